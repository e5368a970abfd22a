"""Every overlay, every component on top of base, and all of it together: valid, and as policies.py wants it."""

import json
import re
import shlex
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import typer.main

from benchmarks import capacity
from cli.main import app
from services.common.settings import Settings
from tests.k8s import policies
from tests.k8s.manifests import (
    COMPONENTS,
    OFFERED,
    OVERLAYS,
    RENDERINGS,
    Manifest,
    containers,
    named,
    pods,
    render,
    switched_on,
)
from tests.k8s.test_base import OLDEST, WANTED, names_of_settings, quantity

SCHEMAS = Path(__file__).parent / "schemas"
DOCS = Path(__file__).parents[2] / "docs" / "operations" / "kubernetes.md"
CORE = ("v1", "apps/", "batch/", "policy/", "autoscaling/", "networking.k8s.io/", "scheduling.k8s.io/")
OPT_IN = {"gateway.networking.k8s.io": {"canary"}, "keda.sh": {"keda"}, "monitoring.coreos.com": {"monitoring"}}
"""Who brings kinds that Kubernetes itself has not, by their group."""
MONITORING = "monitoring.coreos.com"  # tests/k8s/test_monitoring.py


@cache
def schema_of(kind: str) -> Any:
    return json.loads((SCHEMAS / f"{kind}.json").read_text())


def core(manifest: Manifest) -> bool:
    return str(manifest["apiVersion"]).startswith(CORE)


@cache
def check_schema(manifest: str) -> None:
    """Once for each object: most are in several renderings."""
    for version in (OLDEST, WANTED):
        assert version.startswith(kubernetes_validate.validate(json.loads(manifest), version, strict=True))


def check_all(manifests: list[Manifest]) -> None:
    assert len(manifests) >= 15
    for manifest in manifests:
        if core(manifest):
            check_schema(json.dumps(manifest))
        elif not manifest["apiVersion"].startswith(MONITORING):
            jsonschema.validate(manifest, schema_of(manifest["kind"]))


@pytest.mark.parametrize("rendering", RENDERINGS)
def test_every_object_is_valid(rendering: str) -> None:
    check_all(render(rendering))


@pytest.mark.parametrize(("overlay", "component"), [(name, part) for name in OVERLAYS for part in OFFERED[name]])
def test_each_line_of_an_overlay_can_be_switched_on(overlay: str, component: str) -> None:
    manifests = switched_on(overlay, component)
    check_all(manifests)
    assert [wrong for policy in policies.CHECKS for wrong in policy(manifests)] == []


def test_every_overlay_offers_every_component() -> None:
    for offered in OFFERED.values():
        assert {name for name in COMPONENTS if "/" not in name} == set(offered)


@pytest.mark.parametrize("check", policies.CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("rendering", RENDERINGS)
def test_nothing_is_against_our_policies(rendering: str, check: policies.Check) -> None:
    assert list(check(render(rendering))) == []


@pytest.mark.parametrize("rendering", RENDERINGS)
def test_what_a_cluster_may_lack_comes_with_its_component_only(rendering: str) -> None:
    foreign = {manifest["apiVersion"].partition("/")[0] for manifest in render(rendering) if not core(manifest)}
    named_here = set(rendering.removeprefix("base+").split("/"))
    allowed = {group for group, components in OPT_IN.items() if components & named_here or "everything" in rendering}
    assert foreign <= allowed


def test_every_component_is_rendered() -> None:
    wanted = {"autoscaling", "canary", "gpu", "gpu/classifier", "gpu/engine", "keda", "known-answer", "network"}
    assert wanted | {"oidc", "priority", "training", "triton"} <= set(COMPONENTS)


@pytest.mark.parametrize("rendering", RENDERINGS)
def test_services_are_told_only_what_they_read(rendering: str, monkeypatch: pytest.MonkeyPatch) -> None:
    known = names_of_settings(secret=False)
    manifests = render(rendering)
    (settings,) = [one for name, one in named(manifests, "ConfigMap").items() if name.startswith("melalog-settings")]
    assert set(settings["data"]) <= known
    for name, pod in pods(manifests):
        if any("melalog-settings" in str(one.get("envFrom")) for one in containers(pod)):
            own = {entry["name"]: entry.get("value") for entry in pod["spec"]["containers"][0]["env"]}
            assert {variable for variable in own if variable.startswith("MELALOG_")} <= known, name
            told = settings["data"] | {key: value for key, value in own.items() if value is not None}
            for key, value in told.items():
                monkeypatch.setenv(key, value)
            read = Settings()  # all of them together are accepted
            for url in (read.classifier_url, read.vlm_url, read.fusion_url, read.vlm_base_url):
                if url and "127.0.0.1" not in url:
                    check_address(url.removeprefix("http://").removesuffix("/v1"), manifests)
            if read.classifier_engine == "triton":
                check_address(read.triton_url, manifests)
            for key in told:
                monkeypatch.delenv(key)


def check_address(address: str, manifests: list[Manifest]) -> None:
    host, _, port = address.partition(":")
    assert int(port) in {entry["port"] for entry in named(manifests, "Service")[host]["spec"]["ports"]}


@pytest.mark.parametrize("rendering", ["local", "production"])
def test_images_are_what_push_replaces_or_has_replaced(rendering: str) -> None:
    names = {"orchestrator", "classifier", "vlm", "fusion"}
    used = {one["image"] for _, pod in pods(render(rendering)) for one in containers(pod)}
    for image in used:
        told = re.fullmatch(r"(?:melalog-(\w+):dev|\S+/melalog-(\w+)@sha256:[0-9a-f]{64})", image)
        assert told, f"{image} can be pulled by no cluster, and push would not replace it"
        names.discard(told[1] or told[2])
    assert not names


def test_local_needs_nothing_and_fits_on_two_small_nodes() -> None:
    manifests = render("local")
    assert {manifest["kind"] for manifest in manifests} == {
        "Namespace",
        "ServiceAccount",
        "ConfigMap",
        "Service",
        "Deployment",
        "PodDisruptionBudget",
        "NetworkPolicy",
    }
    for name, deployment in named(manifests, "Deployment").items():
        assert deployment["spec"]["replicas"] == 1, name
        (one,) = containers(deployment["spec"]["template"])
        assert one["resources"]["requests"]["cpu"] == "250m", name


def test_production_can_be_updated_on_two_nodes_of_four_cores() -> None:
    """With all four services one pod up; half a core of each node is the system's."""
    manifests = render("production")
    least = {n: one["spec"]["minReplicas"] for n, one in named(manifests, "HorizontalPodAutoscaler").items()}
    sizes: list[tuple[float, float]] = []
    total = 0.0
    for name, deployment in named(manifests, "Deployment").items():
        (one,) = containers(deployment["spec"]["template"])
        cpu, memory = (quantity(one["resources"]["requests"][kind]) for kind in ("cpu", "memory"))
        standing = least.get(name) or deployment["spec"]["replicas"]
        total += cpu * standing
        sizes += [(cpu, memory)] * (standing + deployment["spec"]["strategy"]["rollingUpdate"]["maxSurge"])
    free = [[3.5, 12 * 2**30], [3.5, 12 * 2**30]]
    for cpu, memory in sorted(sizes, reverse=True):
        node = max(free)
        node[0], node[1] = node[0] - cpu, node[1] - memory
        assert min(node) >= 0, f"a pod that asks for {cpu} CPU stays Pending"
    assert f"`production` asks for {total:g} CPU" in DOCS.read_text()


def test_the_capacity_on_the_page_is_what_follows_from_the_requests() -> None:
    page = DOCS.read_text()
    for service in capacity.SERVICES:
        (row,) = re.findall(rf"(?m)^\| {service} \| ([\d.]+) \|(.+)\|$", page)
        cores = capacity.requested(service)
        assert float(row[0]) == cores
        cells = [float(cell) for cell in row[1].split("|")]
        for ms, *pods_ in (cells[:4], cells[4:]):
            assert pods_ == [capacity.replicas(ms / 1000, cores, rate) for rate in capacity.LOADS], service


def test_production_wants_sign_in_and_waits_for_its_keys() -> None:
    manifests = render("production")
    (settings,) = named(manifests, "ConfigMap").values()
    assert settings["data"]["MELALOG_AUTH"] == "required"
    pod = named(manifests, "Deployment")["orchestrator"]["spec"]["template"]["spec"]
    (keys,) = [v for v in pod["volumes"] if v.get("secret", {}).get("secretName") == "melalog-api-keys"]
    assert keys["secret"]["optional"] is False
    (mount,) = [m for m in pod["containers"][0]["volumeMounts"] if m["name"] == keys["name"]]
    assert settings["data"]["MELALOG_API_KEYS_FILE"] == f"{mount['mountPath']}/keys"
    (ingress,) = named(manifests, "Ingress").values()
    assert ingress["spec"]["tls"] == [{"secretName": "melalog-tls"}]
    told = ingress["metadata"]["annotations"]
    body_mb = int(told["nginx.ingress.kubernetes.io/proxy-body-size"].removesuffix("m"))
    assert body_mb * 2**20 > float(settings["data"]["MELALOG_MAX_BODY_MB"]) * 1e6
    assert told["nginx.ingress.kubernetes.io/proxy-request-buffering"] == "off", "pictures on the controller's disk"
    for name in policies.BY_HAND:
        assert re.search(rf"create secret \w+ {name}\b", DOCS.read_text()), f"nobody says how to make {name}"


@pytest.mark.parametrize("rendering", ["base", "base+priority", "everything"])
def test_a_batch_job_never_drives_a_service_out(rendering: str) -> None:
    manifests = render(rendering)
    classes = named(manifests, "PriorityClass")
    values = {name: one["value"] for name, one in classes.items()} | {None: 0}
    priority = {name: values[pod["spec"].get("priorityClassName")] for name, pod in pods(manifests)}
    for name in ("orchestrator", "classifier", "vlm", "fusion"):
        assert priority["orchestrator"] >= priority[name] >= 0
    for name, value in priority.items():
        if name in ("train", "train-many"):
            assert value < 0
            assert classes[_class_of(manifests, name)]["preemptionPolicy"] == "Never"


@pytest.mark.parametrize("rendering", ["production", *(name for name in RENDERINGS if "everything" in name)])
def test_all_that_runs_for_long_has_a_class(rendering: str) -> None:
    manifests = render(rendering)
    for name, deployment in named(manifests, "Deployment").items():
        told = deployment["spec"]["template"]["spec"].get("priorityClassName")
        if deployment["spec"].get("replicas") != 0:  # a loader: there while somebody copies files
            door = name.startswith(("orchestrator", "app"))
            assert told == ("melalog-api" if door else "melalog-model"), name


@pytest.mark.parametrize("component", [part for part in OFFERED["production"] if part not in ("priority", "keda")])
def test_a_class_comes_with_each_line_that_is_switched_on(component: str) -> None:
    for name, deployment in named(switched_on("production", component), "Deployment").items():
        if deployment["spec"].get("replicas") != 0:
            assert deployment["spec"]["template"]["spec"].get("priorityClassName"), name


def test_triton_starts_anew_until_its_claim_is_filled_and_nobody_asks_it_before() -> None:
    alone, asked = render("base+triton/server"), render("base+triton")
    (server,) = containers(named(alone, "Deployment")["triton"]["spec"]["template"])
    (classifier,) = containers(named(asked, "Deployment")["classifier"]["spec"]["template"])
    model = {entry["name"]: entry.get("value") for entry in classifier["env"]}["MELALOG_TRITON_MODEL"]
    for probe in ("startupProbe", "readinessProbe"):
        # /v2/health/ready is 200 with an empty repository, which is not looked into again.
        assert server[probe]["httpGet"]["path"] == f"/v2/models/{model}/ready"
    assert named(alone, "Deployment")["classifier"] == named(render("base"), "Deployment")["classifier"]


def _class_of(manifests: list[Manifest], maker: str) -> str:
    return str(dict(pods(manifests))[maker]["spec"]["priorityClassName"])


def test_the_hpa_scales_up_at_once_and_down_slowly() -> None:
    scalers = named(render("production"), "HorizontalPodAutoscaler")
    assert set(scalers) == {"classifier", "orchestrator"}
    for scaler in scalers.values():
        spec = scaler["spec"]
        assert 2 <= spec["minReplicas"] < spec["maxReplicas"]
        assert spec["behavior"]["scaleUp"]["stabilizationWindowSeconds"] == 0
        assert spec["behavior"]["scaleDown"]["stabilizationWindowSeconds"] >= 300


def test_the_operators_page_names_what_is_there() -> None:
    """Each object, component and option of a command on it."""
    page = DOCS.read_text()
    both = [*render("everything"), *render("everything, with triton")]
    kinds = {"deployment": "Deployment", "service": "Service", "hpa": "HorizontalPodAutoscaler", "cronjob": "CronJob"}
    written = re.findall(r"\b(deployment|service|hpa|cronjob|httproute)[/ ]([a-z][a-z0-9-]+)", page)
    assert len(written) > 10
    for kind, name in written:
        assert name in named(both, kinds.get(kind, "HTTPRoute")) or kind == "service", f"{kind} {name}"
    for component in re.findall(r"components/([a-z-]+(?:/[a-z]+)?)(?=[`,])", page):
        assert component in COMPONENTS, component
    commands: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    for told in re.findall(r"melalog ((?:known-answer|push|keys new|assess|export \w+)\b[^\n`|;]*)", page):
        words = shlex.split(told.partition("#")[0].partition(" && ")[0].partition(" >>")[0])
        group = commands[words.pop(0)]
        while hasattr(group, "commands"):
            group = group.commands[words.pop(0)]
        options = {name for parameter in group.params for name in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= options, told
