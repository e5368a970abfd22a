"""The programs that Jobs start are there and take these arguments; trainers find each other."""

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml
from torch.distributed.elastic.rendezvous import RendezvousParameters
from torch.distributed.elastic.rendezvous.utils import _parse_rendezvous_config
from torch.distributed.run import get_args_parser

from cli.images.targets import TARGETS
from cli.main import app
from cli.processes import ROOT
from models.classifier.training.config import TrainConfig
from services.probes import known_answer
from tests.k8s.manifests import Manifest, containers, named, render

TRAINING = ["train", "train-many"]


@pytest.fixture
def jobs() -> dict[str, Manifest]:
    found = {**named(render("base+training"), "CronJob"), **named(render("base+known-answer"), "CronJob")}
    assert set(found) == {*TRAINING, "known-answer"}
    return found


def job(cron: Manifest) -> Any:
    return cron["spec"]["jobTemplate"]["spec"]


def words(cron: Manifest, folder: Path, number: str = "0") -> list[str]:
    """What is run in the end: $(…) as the kubelet puts it in, and a shell's script by a shell."""
    (one,) = containers(job(cron)["template"])
    (told,) = [one for one in named(render("base+training"), "ConfigMap").values() if "PLAN" in one["data"]]
    values = told["data"] | {entry["name"]: entry.get("value", "run-1") for entry in one["env"]}
    command = [re.sub(r"\$\((\w+)\)", lambda found: values[found[1]], word) for word in one["command"] + one["args"]]
    if command[0] != "sh":
        return command
    python = folder / "python"
    python.write_text('#!/bin/sh\nprintf "%s\\n" python "$@"\n')
    python.chmod(0o755)
    environment = {**values, "JOB_COMPLETION_INDEX": number, "PATH": f"{folder}:{os.environ['PATH']}"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=10)
    return done.stdout.splitlines()


def test_templates_never_start_by_themselves(jobs: dict[str, Manifest]) -> None:
    assert {name: cron["spec"].get("suspend", False) for name, cron in jobs.items()} == {
        "train": True,
        "train-many": True,
        "known-answer": False,
    }


@pytest.mark.parametrize("name", TRAINING)
def test_trainers_run_a_command_that_is_there(jobs: dict[str, Manifest], name: str, tmp_path: Path) -> None:
    run = words(jobs[name], tmp_path)
    arguments = run[run.index("cli.main") + 1 :]
    group: Any = typer.main.get_command(app)
    for word in arguments[:2]:
        group = group.commands[word]
    context = group.make_context("classifier", arguments[2:], resilient_parsing=True)
    assert str(context.params["out"]) == "/runs/run-1", "a run of its own, where a second try goes on"
    assert context.params["only_train"] is True
    assert TrainConfig.load(context.params["config"], ())
    mounts = {mount["mountPath"]: mount for mount in containers(job(jobs[name])["template"])[0]["volumeMounts"]}
    assert set(mounts) == {"/data", "/runs", "/tmp", "/dev/shm"}  # noqa: S108


def test_trainers_meet_at_number_0(jobs: dict[str, Manifest], tmp_path: Path) -> None:
    cron = jobs["train-many"]
    for number, holds in (("0", True), ("1", False), ("2", False)):
        run = words(cron, tmp_path, number)
        assert run[:3] == ["python", "-m", "torch.distributed.run"]
        told = get_args_parser().parse_args(run[3:])
        assert (told.module, told.training_script) == (True, "cli.main")
        conf = RendezvousParameters("c10d", "x", "x", 1, 1, **_parse_rendezvous_config(told.rdzv_conf))
        assert conf.get_as_bool("is_host") is holds
    assert job(cron)["completionMode"] == "Indexed"
    assert int(told.nnodes) == job(cron)["completions"] == job(cron)["parallelism"] >= 2
    host, _, port = told.rdzv_endpoint.partition(":")
    pod, _, service = host.partition(".")
    assert pod == "run-1-0", "an Indexed Job's pod is called JOB-NUMBER"
    assert service == job(cron)["template"]["spec"]["subdomain"]
    headless = named(render("base+training"), "Service")[service]["spec"]
    assert headless["clusterIP"] == "None"
    assert headless["publishNotReadyAddresses"] is True
    assert headless["selector"].items() <= job(cron)["template"]["metadata"]["labels"].items()
    assert [entry["port"] for entry in headless["ports"]] == [int(port)]
    field = containers(job(cron)["template"])[0]["env"][1]["valueFrom"]["fieldRef"]["fieldPath"]
    assert field == "metadata.labels['batch.kubernetes.io/job-name']"


@pytest.mark.parametrize("name", TRAINING)
def test_being_driven_out_is_no_failure(jobs: dict[str, Manifest], name: str) -> None:
    (rule,) = job(jobs[name])["podFailurePolicy"]["rules"]
    assert (rule["action"], rule["onPodConditions"][0]["type"]) == ("Ignore", "DisruptionTarget")
    assert job(jobs[name])["template"]["spec"]["restartPolicy"] == "Never", "podFailurePolicy wants it"


def test_the_known_answer_fails_at_once_when_it_moved(jobs: dict[str, Manifest]) -> None:
    told = job(jobs["known-answer"])
    (rule,) = told["podFailurePolicy"]["rules"]
    (one,) = containers(told["template"])
    assert (rule["action"], rule["onExitCodes"]["containerName"]) == ("FailJob", one["name"])
    assert set(rule["onExitCodes"]["values"]) == {known_answer.MOVED, known_answer.UNRECORDED}
    assert one["command"] == ["python", "-m", known_answer.__name__]
    bento = yaml.safe_load((ROOT / "bentofile.yaml").read_text())
    assert "services/orchestrator/*.py" in bento["include"], "its image is the orchestrator's"
    assert one["image"].startswith("melalog-orchestrator:")


def test_the_known_answer_is_asked_with_what_is_mounted(
    jobs: dict[str, Manifest], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(known_answer, "check", lambda question, file: asked.append((question, file)) or (0, ""))
    told = job(jobs["known-answer"])["template"]["spec"]
    assert known_answer.main(told["containers"][0]["args"]) == 0
    ((question, file),) = asked
    services = named(render("base+known-answer"), "Service")
    host, _, port = question.url.removeprefix("http://").partition(":")
    assert int(port) == services[host]["spec"]["ports"][0]["port"]
    mounts = {mount["mountPath"] for mount in told["containers"][0]["volumeMounts"]}
    assert str(file.parent) in mounts
    (expected,) = [one for name, one in named(render("base+known-answer"), "ConfigMap").items() if "known" in name]
    assert file.name in expected["data"]


def test_the_training_image_has_all_packages_and_the_pods_user() -> None:
    lines = (ROOT / "k8s" / "components" / "training" / "Dockerfile").read_text().splitlines()
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert {f"COPY {name} {name}" for name in packages} <= set(lines)
    (user,) = [line for line in lines if line.startswith("USER")]
    uid = job(named(render("base+training"), "CronJob")["train"])["template"]["spec"]["securityContext"]["runAsUser"]
    assert user == f"USER {uid}:{uid}"
    assert "ENV ORT_DISABLE_TELEMETRY=1" in lines
    assert set(TARGETS["train"].parts) == packages
    assert f"COPY {TARGETS['train'].locked} /tmp/requirements.txt" in lines


def test_data_go_in_and_runs_come_out_by_the_loader() -> None:
    manifests = render("base+training")
    (loader,) = [one for name, one in named(manifests, "Deployment").items() if name.endswith("loader")]
    pod = loader["spec"]["template"]["spec"]
    claims = {volume["name"]: volume["persistentVolumeClaim"] for volume in pod["volumes"]}
    at = {mount["mountPath"]: claims[mount["name"]] for mount in pod["containers"][0]["volumeMounts"]}
    assert at == {"/data": {"claimName": "melalog-data"}, "/runs": {"claimName": "melalog-runs"}}, "writable, both"
    trainer = job(named(manifests, "CronJob")["train"])["template"]["spec"]
    assert pod["securityContext"]["fsGroup"] == trainer["securityContext"]["fsGroup"]
    page = (ROOT / "docs" / "operations" / "kubernetes.md").read_text()
    (chosen_by,) = re.findall(r"loader=\$\(.* -l (\S+) ", page)
    assert dict([chosen_by.split("=")]).items() <= loader["spec"]["template"]["metadata"]["labels"].items()
