"""The manifests of k8s/base as a cluster would get them: valid, locked down, and in step with the code."""

import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import kubernetes_validate
import pytest
from pydantic import AliasChoices, SecretStr

from services.common import body
from services.common.settings import Settings
from tests.k8s.manifests import kustomize

BASE = Path(__file__).parents[2] / "k8s" / "base"
KINDS = ("Deployment", "Service", "PodDisruptionBudget", "ServiceAccount")
SERVICES = ("orchestrator", "classifier", "vlm", "fusion")
ASKED = ("classifier", "vlm", "fusion")
"""Services that another one calls, by the URL in the ConfigMap."""

OLDEST = "1.34"  # the first release in which `sleep` in preStop is stable
WANTED = "1.36"
BENTO_USER = 10001  # cli/images/Dockerfile
FORGET_S = 5  # until every node has taken a pod that ends out of its tables
SUPERVISOR_S = 30  # circus, under `bentoml serve`, ends a worker that long after SIGTERM
UNITS = {"m": 1e-3, "": 1, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}
SECRETIVE = re.compile(r"KEY|TOKEN|PASSWORD|SECRET|CREDENTIAL", re.IGNORECASE)

Manifest = dict[str, Any]


@pytest.fixture(scope="module")
def manifests() -> list[Manifest]:
    return kustomize(BASE)


def of_kind(manifests: list[Manifest], kind: str) -> dict[str, Manifest]:
    return {manifest["metadata"]["name"]: manifest for manifest in manifests if manifest["kind"] == kind}


def the(manifests: list[Manifest], kind: str, name: str) -> Manifest:
    return of_kind(manifests, kind)[name]


def pod_of(manifests: list[Manifest], service: str) -> Manifest:
    pod: Manifest = the(manifests, "Deployment", service)["spec"]["template"]
    return pod


def container_of(manifests: list[Manifest], service: str) -> Manifest:
    containers: list[Manifest] = pod_of(manifests, service)["spec"]["containers"]
    assert len(containers) == 1
    return containers[0]


def env_of(manifests: list[Manifest], service: str) -> dict[str, Manifest]:
    env: list[Manifest] = container_of(manifests, service)["env"]
    return {entry["name"]: entry for entry in env}


def config_map(manifests: list[Manifest]) -> Manifest:
    (found,) = of_kind(manifests, "ConfigMap").values()
    return found


def settings_of(manifests: list[Manifest], monkeypatch: pytest.MonkeyPatch) -> Settings:
    """What a service reads from the rendered ConfigMap."""
    for name in [name for name in os.environ if name.startswith("MELALOG_")]:
        monkeypatch.delenv(name)
    for name, value in config_map(manifests)["data"].items():
        monkeypatch.setenv(name, value)
    return Settings()


def quantity(text: str) -> float:
    number, unit = re.fullmatch(r"([0-9.]+)(.*)", text).groups()  # type: ignore[union-attr]
    return float(number) * UNITS[unit]


def names_of_settings(*, secret: bool) -> set[str]:
    """Environment variables that Settings reads."""
    names: set[str] = set()
    for name, field in Settings.model_fields.items():
        if (field.annotation is SecretStr) == secret:
            alias = field.validation_alias
            names |= set(map(str, alias.choices)) if isinstance(alias, AliasChoices) else {f"MELALOG_{name.upper()}"}
    return names


# The whole


@pytest.mark.parametrize("version", sorted({OLDEST, WANTED, kubernetes_validate.latest_version()}))
def test_every_manifest_is_valid(manifests: list[Manifest], version: str) -> None:
    assert manifests
    for manifest in manifests:
        used = kubernetes_validate.validate(manifest, version, strict=True)
        assert version.startswith(used), "validated against another version"


def test_the_validator_is_strict(manifests: list[Manifest]) -> None:
    deployment = the(manifests, "Deployment", "fusion")
    misspelt = {**deployment, "spec": {**deployment["spec"], "replica": 2}}
    with pytest.raises(kubernetes_validate.ValidationError, match="replica"):
        kubernetes_validate.validate(misspelt, WANTED, strict=True)


@pytest.mark.parametrize("kind", KINDS)
def test_each_service_has_one_of_each(manifests: list[Manifest], kind: str) -> None:
    assert set(of_kind(manifests, kind)) == set(SERVICES)


def test_all_is_in_one_namespace_that_is_restricted(manifests: list[Manifest]) -> None:
    labels = the(manifests, "Namespace", "melalog")["metadata"]["labels"]
    for mode in ("enforce", "audit", "warn"):
        assert labels[f"pod-security.kubernetes.io/{mode}"] == "restricted"
    others = [manifest for manifest in manifests if manifest["kind"] != "Namespace"]
    assert {manifest["metadata"]["namespace"] for manifest in others} == {"melalog"}


@pytest.mark.parametrize("service", SERVICES)
def test_standard_labels(manifests: list[Manifest], service: str) -> None:
    for manifest in [*(the(manifests, kind, service) for kind in KINDS), pod_of(manifests, service)]:
        labels = manifest["metadata"]["labels"]
        assert labels["app.kubernetes.io/name"] == service
        assert labels["app.kubernetes.io/part-of"] == "melalog"
        assert labels["app.kubernetes.io/component"]


# What a pod may do


@pytest.mark.parametrize("service", SERVICES)
def test_the_pod_is_restricted(manifests: list[Manifest], service: str) -> None:
    spec = pod_of(manifests, service)["spec"]
    assert spec["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": BENTO_USER,
        "runAsGroup": BENTO_USER,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    # Exactly this, so that a container neither lacks one nor takes back what the pod says.
    assert container_of(manifests, service)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert not {"initContainers", "ephemeralContainers", "hostNetwork", "hostPID", "hostIPC"} & set(spec)
    assert all(set(volume) in ({"name", "emptyDir"}, {"name", "secret"}) for volume in spec["volumes"])
    assert all("hostPort" not in port for port in container_of(manifests, service)["ports"])


@pytest.mark.parametrize("service", SERVICES)
def test_no_token_and_no_service_links(manifests: list[Manifest], service: str) -> None:
    spec = pod_of(manifests, service)["spec"]
    assert spec["enableServiceLinks"] is False
    assert spec["automountServiceAccountToken"] is False
    assert spec["serviceAccountName"] == service
    assert the(manifests, "ServiceAccount", service)["automountServiceAccountToken"] is False


@pytest.mark.parametrize("service", SERVICES)
def test_what_is_written_to_is_a_volume(
    manifests: list[Manifest], service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = pod_of(manifests, service)["spec"]
    volumes = {volume["name"]: volume["emptyDir"] for volume in spec["volumes"] if "emptyDir" in volume}
    mounted = container_of(manifests, service)["volumeMounts"]
    mounts = {mount["mountPath"]: mount for mount in mounted if mount["name"] in volumes}
    home = env_of(manifests, service)["BENTOML_HOME"]["value"]
    assert set(mounts) == {"/tmp", home}  # noqa: S108
    assert not any(mount.get("readOnly") for mount in mounts.values())
    # A mount here or above hides the bento itself.
    assert not "/home/bentoml/bento".startswith(home.rstrip("/"))
    assert all("sizeLimit" in volume for volume in volumes.values())

    tmp = volumes[mounts["/tmp"]["name"]]  # noqa: S108
    assert tmp["medium"] == "Memory", "an uploaded picture would reach a disk"
    settings = settings_of(manifests, monkeypatch)
    assert quantity(tmp["sizeLimit"]) >= settings.max_in_flight * settings.max_body_bytes
    assert quantity(tmp["sizeLimit"]) < quantity(container_of(manifests, service)["resources"]["limits"]["memory"])


# Settings and secrets


def test_the_config_map_says_what_the_code_reads(manifests: list[Manifest], monkeypatch: pytest.MonkeyPatch) -> None:
    found = config_map(manifests)
    # The hash makes a changed setting a rolling update.
    assert re.fullmatch(r"melalog-settings-[a-z0-9]+", found["metadata"]["name"])
    unknown = set(found["data"]) - names_of_settings(secret=False)
    assert not unknown, "Settings ignores a name it does not know"
    for service in SERVICES:
        assert container_of(manifests, service)["envFrom"] == [{"configMapRef": {"name": found["metadata"]["name"]}}]
        own = {name for name in env_of(manifests, service) if name.startswith("MELALOG_")}
        assert own <= names_of_settings(secret=False) | names_of_settings(secret=True)


def test_no_secret_has_a_value(manifests: list[Manifest]) -> None:
    assert not of_kind(manifests, "Secret")
    secret = names_of_settings(secret=True)
    assert secret
    data = config_map(manifests)["data"]
    assert not {name for name in data if name in secret or SECRETIVE.search(name)}
    for service in SERVICES:
        for name, entry in env_of(manifests, service).items():
            if name in secret or (SECRETIVE.search(name) and not name.endswith("_FILE")):
                assert "value" not in entry


SECRETS = {
    "fusion": {"MELALOG_LLM_API_KEY_FILE": ("melalog-llm", "/etc/melalog/llm/api-key")},
    "orchestrator": {
        "MELALOG_LOG_KEY_FILE": ("melalog-log-key", "/etc/melalog/log/key"),
        "MELALOG_API_KEYS_FILE": ("melalog-api-keys", "/etc/melalog/keys/keys"),
    },
}
"""By service and setting: the Secret, and where its file is. MELALOG_API_KEYS_FILE is for an overlay to set."""


@pytest.mark.parametrize("service", SERVICES)
def test_secrets_are_files_of_who_needs_them_and_can_be_missing(manifests: list[Manifest], service: str) -> None:
    wanted = SECRETS.get(service, {})
    volumes = {v["name"]: v["secret"] for v in pod_of(manifests, service)["spec"]["volumes"] if "secret" in v}
    assert list(volumes.values()) == [
        {"secretName": n, "optional": True} for n in sorted(n for n, _ in wanted.values())
    ]
    mounts = {m["mountPath"]: m for m in container_of(manifests, service)["volumeMounts"] if m["name"] in volumes}
    assert {volumes[mount["name"]]["secretName"]: path for path, mount in mounts.items()} == {
        name: str(Path(file).parent) for name, file in wanted.values()
    }
    for mount in mounts.values():
        assert mount["readOnly"] is True
        assert "subPath" not in mount, "a file mounted alone stays what it was when the Secret changes"
    env = env_of(manifests, service)
    assert not any("valueFrom" in entry and "secretKeyRef" in entry["valueFrom"] for entry in env.values())
    files = {name: entry["value"] for name, entry in env.items() if name.endswith("_FILE")}
    assert files == {name: file for name, (_, file) in wanted.items() if name != "MELALOG_API_KEYS_FILE"}
    assert set(wanted) <= names_of_settings(secret=False)


# How they find each other


@pytest.mark.parametrize("service", SERVICES)
def test_one_port_everywhere(manifests: list[Manifest], service: str) -> None:
    port = Settings.model_fields[f"{service}_bind_port"].default
    container = container_of(manifests, service)
    assert container["ports"] == [{"name": "http", "containerPort": port}]
    env = env_of(manifests, service)
    # What `bentoml serve` in the image reads; PORT would override it.
    assert env["BENTOML_PORT"]["value"] == str(port)
    assert env["BENTOML_HOST"]["value"] == "0.0.0.0"  # noqa: S104
    assert "PORT" not in env
    assert not {"command", "args"} & set(container)

    spec = the(manifests, "Service", service)["spec"]
    assert spec["type"] == "ClusterIP"
    ((listening, target),) = [(entry["port"], entry["targetPort"]) for entry in spec["ports"]]
    assert (listening, target) == (port, "http")


@pytest.mark.parametrize("service", ASKED)
def test_the_urls_lead_to_the_services(
    manifests: list[Manifest], service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = urlsplit(getattr(settings_of(manifests, monkeypatch), f"{service}_url"))
    assert (url.scheme, url.path) == ("http", "")
    assert url.port == the(manifests, "Service", url.hostname or "")["spec"]["ports"][0]["port"]
    assert url.hostname == service


@pytest.mark.parametrize("service", SERVICES)
def test_selectors_choose_this_service_alone(manifests: list[Manifest], service: str) -> None:
    selectors = [
        the(manifests, "Service", service)["spec"]["selector"],
        the(manifests, "Deployment", service)["spec"]["selector"]["matchLabels"],
        the(manifests, "PodDisruptionBudget", service)["spec"]["selector"]["matchLabels"],
    ]
    for selector in selectors:
        assert selector
        chosen = {
            name for name in SERVICES if selector.items() <= pod_of(manifests, name)["metadata"]["labels"].items()
        }
        assert chosen == {service}


# Starting, stopping, being moved


@pytest.mark.parametrize("service", SERVICES)
def test_probes(manifests: list[Manifest], service: str) -> None:
    container = container_of(manifests, service)
    for probe, path in (("startupProbe", "/readyz"), ("readinessProbe", "/readyz"), ("livenessProbe", "/livez")):
        assert container[probe]["httpGet"] == {"path": path, "port": "http"}
    startup = container["startupProbe"]
    assert startup["periodSeconds"] * startup["failureThreshold"] >= 60, "a bento on a busy node needs longer"


@pytest.mark.parametrize("service", SERVICES)
def test_a_request_in_hand_is_finished(
    manifests: list[Manifest], service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    wait = container_of(manifests, service)["lifecycle"]["preStop"]["sleep"]["seconds"]
    grace = pod_of(manifests, service)["spec"]["terminationGracePeriodSeconds"]
    upload = body.UPLOAD_S if service == "orchestrator" else 0  # the others are sent a picture from memory
    longest = upload + settings_of(manifests, monkeypatch).deadline_s
    assert wait >= FORGET_S
    assert min(grace, wait + SUPERVISOR_S) >= FORGET_S + longest + 5


@pytest.mark.parametrize("service", SERVICES)
def test_an_update_or_a_drain_is_no_outage(manifests: list[Manifest], service: str) -> None:
    spec = the(manifests, "Deployment", service)["spec"]
    assert spec["replicas"] >= 2
    assert spec["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}
    budget = the(manifests, "PodDisruptionBudget", service)["spec"]
    assert budget["maxUnavailable"] == 1
    assert "minAvailable" not in budget
    assert budget["unhealthyPodEvictionPolicy"] == "AlwaysAllow"


@pytest.mark.parametrize("service", SERVICES)
def test_replicas_are_spread(manifests: list[Manifest], service: str) -> None:
    pod = pod_of(manifests, service)
    constraints = pod["spec"]["topologySpreadConstraints"]
    assert {entry["topologyKey"] for entry in constraints} == {"kubernetes.io/hostname", "topology.kubernetes.io/zone"}
    for entry in constraints:
        assert entry["whenUnsatisfiable"] == "ScheduleAnyway"
        assert entry["labelSelector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
        assert "app.kubernetes.io/name" in entry["matchLabelKeys"], "counts the pods of other services too"


@pytest.mark.parametrize("service", SERVICES)
def test_resources(manifests: list[Manifest], service: str) -> None:
    resources = container_of(manifests, service)["resources"]
    assert quantity(resources["requests"]["cpu"]) > 0
    assert 400e6 <= quantity(resources["requests"]["memory"]) < quantity(resources["limits"]["memory"])
    # No throttling; threads are bound to the request instead.
    assert "cpu" not in resources["limits"]
    threads = env_of(manifests, service)["MELALOG_THREADS"]["valueFrom"]["resourceFieldRef"]
    assert threads == {"resource": "requests.cpu", "divisor": "1"}


@pytest.mark.parametrize("service", SERVICES)
def test_images_are_for_an_overlay_to_name(manifests: list[Manifest], service: str) -> None:
    assert container_of(manifests, service)["image"] == f"melalog-{service}:dev"
