"""k8s/components/monitoring: what it asks for is exported, every alarm fires when it should, and says what to do."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import jsonschema
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample as Scraped

from tests.conftest import Observed
from tests.k8s.manifests import chosen, render
from tests.pictures import encode, lesion

ROOT = Path(__file__).parents[2]
COMPONENT = ROOT / "k8s" / "components" / "monitoring"
PAGE = ROOT / "docs" / "operations" / "monitoring.md"
BOARDS = sorted((COMPONENT / "dashboards").glob("*.json"))
SPEC: dict[str, Any] = yaml.safe_load((COMPONENT / "rules.yaml").read_text())["spec"]
ALARMS: list[dict[str, Any]] = [rule for group in SPEC["groups"] for rule in group["rules"] if "alert" in rule]
RECORDED = {rule["record"] for group in SPEC["groups"] for rule in group["rules"] if "record" in rule}
CASES = [Path(__file__).with_name(name) for name in ("alerts.yaml", "alerts-over-days.yaml")]
SERVICES = ("orchestrator", "classifier", "vlm", "fusion")
OTHERS = re.compile(r"(up|ALERTS|kube_[a-z_]+)$")
"""Not ours: Prometheus's own and kube-state-metrics'."""
ADDED = {"job", "namespace", "pod", "instance", "le"}
"""Labels by Prometheus and the ServiceMonitor."""
SELECTOR = re.compile(r"\b([a-z][a-z_0-9]*(?::[a-z_0-9]+)*)(\{[^}]*\})?(?=\[|\s|\)|$|,)")
MATCHER = re.compile(r'([a-z_]+)(=~|!~|!=|=)"([^"]*)"')
FUNCTIONS = {
    "sum", "min", "max", "by", "on", "and", "or", "unless", "group_left", "offset", "count",
}  # fmt: skip

Sample = tuple[str, dict[str, str]]


def panels(board: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(board.read_text())["panels"]
    return found


def expressions() -> Iterator[tuple[str, str]]:
    for group in SPEC["groups"]:
        for rule in group["rules"]:
            yield rule.get("alert", rule.get("record")), rule["expr"]
    for board in BOARDS:
        for panel in panels(board):
            for target in panel["targets"]:
                yield f"{board.stem} {panel['title']}", target["expr"].replace("$__rate_interval", "5m")


def selectors(expression: str) -> list[tuple[str, list[tuple[str, str, str]]]]:
    """The series an expression asks for: name, and (label, operator, value) of its matchers."""
    found = []
    grouping = r"\b(by|on|group_left|without|ignoring)\s*\([^)]*\)"
    for name, braces in SELECTOR.findall(re.sub(grouping, " ", expression)):
        if name not in FUNCTIONS and ("_" in name or ":" in name or name == "up"):
            found.append((name, MATCHER.findall(braces or "")))
    return found


def matches(matcher: tuple[str, str, str], labels: dict[str, str]) -> bool:
    label, operator, value = matcher
    has = labels.get(label, "")
    holds = re.fullmatch(value, has) is not None if "~" in operator else has == value
    return holds is not operator.startswith("!")


@pytest.fixture(scope="module")
def exported(observed: Observed) -> list[Sample]:
    """What the services have at /metrics after an assessment and two refusals; `job` as the ServiceMonitor says."""
    url = f"{observed.system.url}/v1/assessments"
    for picture in (encode(lesion()), b"no picture", encode(lesion())[:1500]):
        httpx2.post(url, files={"image": ("x.jpg", picture)}, timeout=20, trust_env=False)
    return [(sample.name, sample.labels) for sample in scrape(observed)]


def scrape(observed: Observed) -> list[Scraped]:
    found: list[Scraped] = []
    for name in SERVICES:
        told = httpx2.get(f"http://127.0.0.1:{observed.system.ports[name]}/metrics", timeout=20, trust_env=False)
        assert told.status_code == 200
        for family in text_string_to_metric_families(told.text):
            job = {"job": f"melalog-{name}"}
            found += [sample._replace(labels={**sample.labels, **job}) for sample in family.samples]
    return found


def test_there_is_something_to_look_for() -> None:
    assert len(ALARMS) >= 15
    assert len(BOARDS) == 3
    asked = {name for _, expression in expressions() for name, _ in selectors(expression)}
    assert {"melalog_llm_tokens_total", "melalog_model_info", "melalog_queue_wait_seconds_bucket", "up"} <= asked


@pytest.mark.parametrize(("where", "expression"), [pytest.param(*one, id=one[0]) for one in expressions()])
def test_all_that_is_asked_for_is_exported(where: str, expression: str, exported: list[Sample]) -> None:
    ours = [one for one in selectors(expression) if not OTHERS.match(one[0]) and one[0] not in RECORDED]
    known = {label for name, labels in exported for label in labels}
    for name, matchers in ours:
        series = [labels for exported_name, labels in exported if exported_name == name]
        assert series, f"{where} asks for {name}, which no service exports"
        assert [one for one in series if all(matches(m, one) for m in matchers)], f"no {name} with {matchers}"
        for label, _, value in matchers:
            for word in value.split("|") if re.fullmatch(r"[\w|]+", value) else ():
                assert word in {one.get(label) for one in series}, f"{name} never has {label}={word}"
    for listed in re.findall(r"\b(?:by|on|group_left) ?\(([^)]+)\)", expression):
        if ours:
            assert {one.strip() for one in listed.split(",")} - {""} <= known | ADDED, expression


def test_one_assessment_is_counted_once_by_everyone(observed: Observed) -> None:
    def all_of_them() -> dict[str, float]:
        samples = scrape(observed)

        def total(name: str, **labels: str) -> float:
            return sum(one.value for one in samples if one.name == name and labels.items() <= one.labels.items())

        return {
            "assessments": total("melalog_assessments_total", risk_engine="llm", stacked="yes"),
            "degraded": total("melalog_assessments_degraded_total"),
            "calls": total("melalog_dependency_duration_seconds_count", outcome="ok"),
            "steps": total("melalog_assessment_step_duration_seconds_count"),
            "queued": total("melalog_queue_wait_seconds_count"),
            "batched": total("melalog_batch_size_sum"),
            "inferred": total("melalog_inference_duration_seconds_count"),
            "decoded": total("melalog_decode_duration_seconds_count", queue="ordinary"),
            "waited": total("melalog_decode_wait_seconds_count", queue="ordinary"),
            "classified": total("melalog_pictures_classified_total"),
            "judged": total("melalog_vlm_engine_answers_total", outcome="ok"),
            "explained": total("melalog_llm_explanations_total", level_proposed="low"),
            "llm": total("melalog_llm_duration_seconds_count"),
            "refused": total("melalog_pictures_rejected_total", reason="unsupported"),
        }

    before = all_of_them()
    for picture, status in ((encode(lesion()), 200), (b"no picture", 415)):
        data = {"modality": "dermoscopy"}
        answer = httpx2.post(
            f"{observed.system.url}/v1/assessments", files={"image": ("x.jpg", picture)}, data=data, trust_env=False
        )
        assert answer.status_code == status
    after = all_of_them()
    assert {name: after[name] - before[name] for name in before} == {
        "assessments": 1, "degraded": 0, "calls": 3, "steps": 4, "queued": 1, "batched": 1, "inferred": 1, "decoded": 2,
        "waited": 2, "classified": 1, "judged": 1, "explained": 1, "llm": 1, "refused": 1,
    }  # fmt: skip


def test_labels_hold_nothing_of_a_request(exported: list[Sample]) -> None:
    """Bounded and fixed: short words, digests, routes; after an assessment and two refusals a few hundred series."""
    values = {value for _, labels in exported for key, value in labels.items() if key not in ("le", "sha256", "route")}
    assert not [value for value in values if not re.fullmatch(r"[\w.+-]{0,40}", value)]
    routes = {labels["route"] for _, labels in exported if "route" in labels}
    assert not [route for route in routes if not re.fullmatch(r"(/[a-z0-9-]+)+|unmatched", route)]
    assert len(exported) < 1500


def test_every_model_is_named_with_its_digest(exported: list[Sample], observed: Observed) -> None:
    told = httpx2.get(f"{observed.system.url}/v1/models", timeout=20, trust_env=False).json()
    models = {labels["job"]: labels for name, labels in exported if name == "melalog_model_info"}
    assert set(models) == {f"melalog-{name}" for name in SERVICES}
    for name in ("classifier", "vlm"):
        assert models[f"melalog-{name}"]["sha256"] == told[name]["sha256"]
        assert models[f"melalog-{name}"]["version"] == told[name]["version"]
    assert models["melalog-fusion"] | {"job": ""} == models["melalog-orchestrator"] | {"job": ""}


def anchors(page: Path) -> set[str]:
    """GitHub's: lower case, spaces to hyphens, no punctuation."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("alarm", ALARMS, ids=lambda alarm: str(alarm["alert"]))
def test_an_alarm_says_how_bad_it_is_what_it_means_and_where_to_read_on(alarm: dict[str, Any]) -> None:
    assert alarm["labels"]["severity"] in ("critical", "warning")
    assert set(alarm["annotations"]) == {"summary", "description", "runbook_url"}
    page, _, anchor = alarm["annotations"]["runbook_url"].partition("#")
    assert ROOT / page == PAGE
    assert anchor == alarm["alert"].lower()
    assert anchor in anchors(PAGE)


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: str(board.stem))
def test_dashboards(board: Path) -> None:
    told = json.loads(board.read_text())
    assert told["uid"] == board.stem
    assert len({panel["id"] for panel in told["panels"]}) == len(told["panels"])
    for panel in told["panels"]:
        assert panel["title"]
        assert panel["targets"]
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24


# What a cluster gets


@pytest.fixture(scope="module")
def manifests() -> list[dict[str, Any]]:
    return render("base+monitoring")


def the(manifests: list[dict[str, Any]], kind: str, name: str) -> dict[str, Any]:
    (found,) = (one for one in manifests if one["kind"] == kind and one["metadata"]["name"] == name)
    return dict(found)


@pytest.mark.parametrize("kind", ["ServiceMonitor", "PrometheusRule"])
def test_the_operators_kinds_are_valid(manifests: list[dict[str, Any]], kind: str) -> None:
    schema = json.loads((Path(__file__).parent / "schemas" / f"{kind}.json").read_text())
    found = the(manifests, kind, "melalog")
    jsonschema.validate(found, schema)
    with pytest.raises(jsonschema.ValidationError):  # so that a schema that takes anything would be noticed
        jsonschema.validate({key: value for key, value in found.items() if key != "spec"}, schema)


def test_prometheus_finds_the_four_services(manifests: list[dict[str, Any]]) -> None:
    monitor = the(manifests, "ServiceMonitor", "melalog")
    (endpoint,) = monitor["spec"]["endpoints"]
    assert endpoint["path"] == "/metrics"
    for name in SERVICES:
        service = the(manifests, "Service", name)
        assert chosen(monitor["spec"]["selector"], service["metadata"]["labels"])
        assert service["metadata"]["labels"]["app.kubernetes.io/name"] == name, "`job` is made of it"
        assert endpoint["port"] in [port["name"] for port in service["spec"]["ports"]]
        assert service["metadata"]["namespace"] == monitor["metadata"]["namespace"]


@pytest.mark.parametrize("rendering", ["everything", "everything, with triton"])
def test_prometheus_asks_nobody_who_has_no_metrics(rendering: str) -> None:
    """nginx answers 404 there, and an app that is well would be a target that is down."""
    everything = render(rendering)
    monitor = the(everything, "ServiceMonitor", "melalog")
    (endpoint,) = monitor["spec"]["endpoints"]
    asked = {
        service["metadata"]["name"]
        for service in everything
        if service["kind"] == "Service"
        and chosen(monitor["spec"]["selector"], service["metadata"]["labels"])
        and endpoint["port"] in {port["name"] for port in service["spec"]["ports"]}
    }
    engines = {"engine", "triton"} if rendering.endswith("triton") else {"engine"}
    assert asked == {*SERVICES, "classifier-canary", "orchestrator-canary", *engines}


def test_grafana_finds_the_dashboards(manifests: list[dict[str, Any]]) -> None:
    boards = the(manifests, "ConfigMap", "melalog-dashboards")
    assert boards["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert set(boards["data"]) == {board.name for board in BOARDS}
    for text in boards["data"].values():
        json.loads(text)


def test_the_rules_reach_the_cluster_as_they_are(manifests: list[dict[str, Any]]) -> None:
    def folded(spec: dict[str, Any]) -> str:  # kustomize folds long lines its own way
        return " ".join(json.dumps(spec, sort_keys=True).replace("\\n", " ").split())

    assert folded(the(manifests, "PrometheusRule", "melalog")["spec"]) == folded(SPEC)


# promtool


def promtool(folder: Path, *arguments: str) -> str:
    found = os.environ.get("MELALOG_PROMTOOL") or shutil.which("promtool")
    if found is None:
        pytest.skip("promtool is not installed (Debian's package prometheus has it): rules are not evaluated")
    told = subprocess.run([found, *arguments], cwd=folder, capture_output=True, text=True, check=False, timeout=120)
    assert told.returncode == 0, told.stdout + told.stderr
    return told.stdout


def test_promtool_reads_the_rules_and_every_dashboards_query(tmp_path: Path) -> None:
    queries = [{"record": f"query{n}", "expr": one} for n, (_, one) in enumerate(expressions())]
    (tmp_path / "rules.yml").write_text(yaml.safe_dump(SPEC))
    (tmp_path / "queries.yml").write_text(yaml.safe_dump({"groups": [{"name": "all", "rules": queries}]}))
    assert f"{len(queries)} rules found" in promtool(tmp_path, "check", "rules", "rules.yml", "queries.yml")


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case.stem))
def test_alarms_fire_when_they_should_and_not_else(case: Path, tmp_path: Path) -> None:
    (tmp_path / "rules.yml").write_text(yaml.safe_dump(SPEC))
    shutil.copy(case, tmp_path)
    assert "SUCCESS" in promtool(tmp_path, "test", "rules", case.name)


def test_each_alarm_fires_in_one_of_these_cases() -> None:
    expected = {
        name
        for case in CASES
        for test in yaml.safe_load(case.read_text())["tests"]
        for asked in test["promql_expr_test"]
        for sample in asked["exp_samples"]
        for name in re.findall(r'alertname="(\w+)"', sample["labels"])
    }
    assert expected == {alarm["alert"] for alarm in ALARMS}
