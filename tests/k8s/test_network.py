"""Who reaches whom, worked out from the NetworkPolicies as a cluster would: in and out have to be allowed both."""

from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from tests.k8s.manifests import Manifest, chosen, containers, named, pods, render

ORCHESTRATORS = ("orchestrator", "orchestrator-canary")
SERVICES = {"classifier": 3001, "classifier-canary": 3001, "vlm": 3002, "fusion": 3003}
AMONG_US = {
    *((one, name, port) for one in ORCHESTRATORS for name, port in SERVICES.items()),
    ("vlm", "engine", 8100),
    ("classifier", "triton", 8001),
    ("known-answer", "orchestrator", 3000),
}
"""All there is between pods; trainers, who talk to each other on any port, apart."""
ELSEWHERE = {
    "ingress": {"kubernetes.io/metadata.name": "ingress-nginx"},
    "monitoring": {"kubernetes.io/metadata.name": "monitoring"},
    "dns": {"kubernetes.io/metadata.name": "kube-system"},
    "stranger": {"kubernetes.io/metadata.name": "default"},
}
PUBLIC, METADATA, INSIDE = "93.184.216.34", "169.254.169.254", "10.96.0.1"


class Network:
    """The policies of one rendering."""

    def __init__(self, manifests: list[Manifest]) -> None:
        self.pods = {pod["metadata"]["labels"]["app.kubernetes.io/name"]: pod for _, pod in pods(manifests)}
        self.policies = [policy["spec"] for policy in named(manifests, "NetworkPolicy").values()]
        self.ports = {
            port["containerPort"]
            for _, pod in pods(manifests)
            for one in containers(pod)
            for port in one.get("ports", ())
        }

    def labels(self, name: str) -> dict[str, str]:
        found: dict[str, str] = self.pods[name]["metadata"]["labels"]
        return found

    def rules(self, name: str, direction: str) -> Iterator[Manifest] | None:
        """Rules for a pod; None: no policy is for it, and all is allowed."""
        mine = [
            policy
            for policy in self.policies
            if direction.capitalize() in policy["policyTypes"] and chosen(policy["podSelector"], self.labels(name))
        ]
        return (rule for policy in mine for rule in policy.get(direction) or ()) if mine else None

    def allows(self, name: str, direction: str, peer: Any, port: int) -> bool:
        rules = self.rules(name, direction)
        key = {"ingress": "from", "egress": "to"}[direction]
        return rules is None or any(
            (key not in rule or any(matches(peer, told) for told in rule[key])) and port in open_ports(rule, port)
            for rule in rules
        )

    def reaches(self, source: str, target: str, port: int) -> bool:
        out, back = self.labels(target), self.labels(source)
        return self.allows(source, "egress", out, port) and self.allows(target, "ingress", back, port)


def open_ports(rule: Manifest, asked: int) -> set[int]:
    return {entry["port"] for entry in rule["ports"]} if "ports" in rule else {asked}


def matches(peer: Any, told: Manifest) -> bool:
    """`peer`: labels of a pod of ours, ("namespace", labels, labels of the pod) elsewhere, or an address."""
    if isinstance(peer, str):
        block = told.get("ipBlock")
        inside = block and ip_address(peer) in ip_network(block["cidr"])
        return bool(inside) and not any(ip_address(peer) in ip_network(one) for one in block.get("except", ()))
    if "ipBlock" in told:
        return False
    if isinstance(peer, tuple):
        _, namespace, pod = peer
        return (
            "namespaceSelector" in told
            and chosen(told["namespaceSelector"], namespace)
            and chosen(told.get("podSelector"), pod)
        )
    return "namespaceSelector" not in told and chosen(told["podSelector"], peer)


def elsewhere(name: str, **labels: str) -> Any:
    return ("namespace", ELSEWHERE[name], labels)


@pytest.fixture(scope="module", params=["everything", "everything, with triton"])
def network(request: pytest.FixtureRequest) -> Network:
    return Network(render(request.param))


def test_pods_reach_whom_they_must_and_nobody_else(network: Network) -> None:
    ports = network.ports | {22, 443, 29400}
    found = {
        (source, target, port)
        for source in network.pods
        for target in network.pods
        for port in ports
        if network.reaches(source, target, port) and (source, target) != ("train", "train")
    }
    assert found == {way for way in AMONG_US if way[0] in network.pods and way[1] in network.pods}


def test_trainers_talk_to_each_other_on_any_port(network: Network) -> None:
    assert all(network.reaches("train", "train", port) for port in (29400, 41234))


def test_only_fusion_leaves_and_the_orchestrators_to_an_issuer(network: Network) -> None:
    leaving = {name for name in network.pods if network.allows(name, "egress", PUBLIC, 443)}
    assert leaving == {"fusion", *ORCHESTRATORS}
    for name in network.pods:
        for address in (METADATA, INSIDE, "192.168.1.1", "100.64.0.1", "fd00::1", "::1"):
            assert not network.allows(name, "egress", address, 443), (name, address)
        for port in (80, 22, 4318):
            assert not network.allows(name, "egress", PUBLIC, port), (name, port)


@pytest.mark.parametrize("rendering", ["local", "production", "base+network"])
def test_without_an_issuer_only_fusion_leaves(rendering: str) -> None:
    plain = Network(render(rendering))
    assert {name for name in plain.pods if plain.allows(name, "egress", PUBLIC, 443)} == {"fusion"}


def test_the_engine_and_triton_ask_for_nothing_at_all(network: Network) -> None:
    for name in {"engine", "triton"} & set(network.pods):
        for peer in (PUBLIC, elsewhere("dns"), elsewhere("monitoring"), "169.254.20.10"):
            assert not any(network.allows(name, "egress", peer, port) for port in (53, 443, 4318))
        assert not any(network.allows(name, "egress", network.labels(other), 53) for other in network.pods)


@pytest.mark.parametrize("component", ["gpu/engine", "triton", "known-answer", "training"])
def test_what_must_not_leave_does_not_without_the_component_network_either(component: str) -> None:
    alone = Network(render(f"base+{component}"))
    for name in {"engine", "triton", "known-answer", "train"} & set(alone.pods):
        assert not alone.allows(name, "egress", PUBLIC, 443)
        assert not alone.allows(name, "ingress", elsewhere("stranger"), 8100)


def test_names_are_found_by_who_asks_by_name(network: Network) -> None:
    asking = {name for name in network.pods if network.allows(name, "egress", elsewhere("dns"), 53)}
    assert asking == set(network.pods) - {"app", "engine", "triton", "loader"}
    assert all(network.allows(name, "egress", "169.254.20.10", 53) for name in asking)


def test_the_world_comes_in_by_the_orchestrator_and_the_app_alone(network: Network) -> None:
    for peer in (elsewhere("ingress"), elsewhere("stranger"), PUBLIC, INSIDE):
        port_of = {"engine": 8100, "triton": 8001} | dict.fromkeys(ORCHESTRATORS, 3000) | SERVICES | {"app": 8080}
        entered = {
            name
            for name, port in port_of.items()
            if name in network.pods and network.allows(name, "ingress", peer, port)
        }
        assert entered == {"app", *ORCHESTRATORS}


def test_prometheus_comes_for_metrics_and_traces_leave_for_a_collector(network: Network) -> None:
    prometheus = elsewhere("monitoring", **{"app.kubernetes.io/name": "prometheus"})
    for name, port in SERVICES.items() | {(one, 3000) for one in ORCHESTRATORS} | {("engine", 8100), ("triton", 8002)}:
        if name in network.pods:
            assert network.allows(name, "ingress", prometheus, port), name
    assert not network.allows("engine", "ingress", elsewhere("monitoring"), 8100), "anybody there, not Prometheus alone"
    for name in (*SERVICES, *ORCHESTRATORS):
        assert network.allows(name, "egress", elsewhere("monitoring"), 4318)
        assert not network.allows(name, "egress", elsewhere("stranger"), 4318)


def test_every_name_in_a_policy_is_somebodys() -> None:
    """A label that nobody has is a rule for nobody: misspelt, or forgotten."""
    both = [*render("everything"), *render("everything, with triton")]
    known = set(Network(both).pods) | {"prometheus"}
    written: set[str] = set()
    for policy in named(both, "NetworkPolicy").values():
        _names(policy["spec"], written)
    assert written <= known, written - known
    assert {"engine", "triton", "known-answer", *SERVICES, *ORCHESTRATORS} <= written


def _names(part: Any, into: set[str]) -> None:
    if isinstance(part, list):
        for one in part:
            _names(one, into)
    elif isinstance(part, dict):
        if part.get("key") == "app.kubernetes.io/name":
            into.update(part["values"])
        if "app.kubernetes.io/name" in part:
            into.add(part["app.kubernetes.io/name"])
        for one in part.values():
            _names(one, into)
