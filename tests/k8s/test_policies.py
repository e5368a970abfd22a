"""Each check of policies.py sees what it is for: one thing is broken at a time in what is otherwise right."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.k8s import policies
from tests.k8s.manifests import Manifest, named, render

Break = Callable[[Manifest], Any]


def pod(manifest: Manifest) -> Manifest:
    spec: Manifest = manifest["spec"]["template"]["spec"]
    return spec


def first(manifest: Manifest) -> Manifest:
    one: Manifest = pod(manifest)["containers"][0]
    return one


def put(of: Callable[[Manifest], Manifest], key: str, value: Any) -> Break:
    return lambda manifest: of(manifest).__setitem__(key, value)


def drop(of: Callable[[Manifest], Manifest], key: str) -> Break:
    return lambda manifest: of(manifest).pop(key)


def spec(manifest: Manifest) -> Manifest:
    found: Manifest = manifest["spec"]
    return found


def more(of: Callable[[Manifest], Manifest], key: str, value: Any) -> Break:
    return lambda manifest: of(manifest)[key].append(value)


def target(manifest: Manifest) -> Manifest:
    found: Manifest = manifest["spec"]["scaleTargetRef"]
    return found


def requests(manifest: Manifest) -> Manifest:
    found: Manifest = first(manifest)["resources"]["requests"]
    return found


def about(manifest: Manifest) -> Manifest:
    found: Manifest = manifest["metadata"]
    return found


BREAKS: list[tuple[policies.Check, str, str, Break]] = [
    (policies.restricted, "Deployment", "vlm", put(lambda m: pod(m)["securityContext"], "runAsUser", 0)),
    (policies.restricted, "Deployment", "vlm", drop(lambda m: pod(m)["securityContext"], "runAsNonRoot")),
    (policies.restricted, "Deployment", "engine", drop(lambda m: pod(m)["securityContext"], "seccompProfile")),
    (policies.restricted, "Deployment", "engine", drop(first, "securityContext")),
    (policies.restricted, "Deployment", "fusion", put(lambda m: first(m)["securityContext"], "privileged", True)),
    (policies.restricted, "Deployment", "fusion", put(pod, "hostNetwork", True)),
    (policies.restricted, "Deployment", "fusion", drop(pod, "enableServiceLinks")),
    (policies.restricted, "Deployment", "fusion", more(pod, "volumes", {"name": "x", "hostPath": {"path": "/"}})),
    (policies.restricted, "Deployment", "fusion", more(pod, "volumes", {"name": "x", "emptyDir": {}})),
    (policies.restricted, "Deployment", "fusion", drop(lambda m: first(m)["resources"], "limits")),
    (policies.restricted, "Deployment", "fusion", put(lambda m: first(m)["ports"][0], "hostPort", 80)),
    (policies.one_namespace, "Service", "vlm", put(about, "namespace", "default")),
    (policies.one_namespace, "PriorityClass", "melalog-api", put(about, "namespace", "melalog")),
    (policies.one_namespace, "Service", "vlm", put(about, "labels", {})),
    (policies.one_namespace, "Service", "vlm", put(about, "name", "fusion")),
    (policies.selectors, "Service", "vlm", put(spec, "selector", {"app.kubernetes.io/name": "vllm"})),
    (policies.selectors, "Service", "vlm", put(spec, "selector", {"app.kubernetes.io/component": "model"})),
    (policies.selectors, "PodDisruptionBudget", "vlm", put(spec, "selector", {"matchLabels": {"a": "b"}})),
    (policies.selectors, "NetworkPolicy", "vlm", put(spec, "podSelector", {"matchLabels": {"a": "b"}})),
    (policies.ports, "Service", "vlm", put(lambda m: spec(m)["ports"][0], "targetPort", "grpc")),
    (policies.ports, "Deployment", "vlm", put(lambda m: first(m)["ports"][0], "name", "web")),
    (policies.ports, "Service", "orchestrator", put(lambda m: spec(m)["ports"][0], "name", "web")),
    (policies.ports, "Service", "orchestrator-canary", put(lambda m: spec(m)["ports"][0], "port", 80)),
    (policies.references, "ServiceAccount", "engine", put(about, "name", "vllm")),
    (policies.references, "PersistentVolumeClaim", "melalog-release", put(about, "name", "weights")),
    (policies.references, "PriorityClass", "melalog-batch", put(about, "name", "batch")),
    (policies.references, "Deployment", "fusion", put(lambda m: pod(m)["volumes"][-1]["secret"], "optional", False)),
    (policies.references, "Deployment", "fusion", lambda m: pod(m)["volumes"].pop()),
    (policies.references, "Deployment", "fusion", lambda m: first(m)["env"].append(first(m)["env"][0])),
    (policies.references, "Deployment", "fusion", more(first, "env", {"name": "K", "valueFrom": {"secretKeyRef": {}}})),
    (policies.images, "Deployment", "engine", put(first, "image", "registry:5000/melalog-engine")),
    (policies.images, "Deployment", "engine", put(first, "image", "melalog-engine:latest")),
    (policies.images, "Deployment", "engine", put(first, "imagePullPolicy", "Always")),
    (policies.one_owner_of_replicas, "Deployment", "classifier", put(spec, "replicas", 2)),
    (policies.one_owner_of_replicas, "Deployment", "engine", put(spec, "replicas", 1)),
    (policies.one_owner_of_replicas, "Deployment", "vlm", drop(spec, "replicas")),
    (policies.one_owner_of_replicas, "HorizontalPodAutoscaler", "classifier", put(target, "name", "x")),
    (policies.one_owner_of_replicas, "Deployment", "classifier", drop(requests, "cpu")),
    (policies.never_below_what_is_asked_for, "Deployment", "vlm", put(spec, "strategy", {"type": "Recreate"})),
    (policies.never_below_what_is_asked_for, "Deployment", "classifier", drop(pod, "tolerations")),
    (
        policies.never_below_what_is_asked_for,
        "Deployment",
        "classifier",
        put(lambda m: spec(m)["strategy"]["rollingUpdate"], "maxSurge", 1),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("check", "kind", "name", "spoil"), BREAKS)
def test_what_is_broken_is_seen(check: policies.Check, kind: str, name: str, spoil: Break) -> None:
    manifests = render("everything")
    assert not list(check(manifests))
    spoil(named(manifests, kind)[name])
    assert list(check(manifests))


def test_every_check_is_broken_at_least_once() -> None:
    assert {check for check, *_ in BREAKS} == set(policies.CHECKS)
