"""compose.yaml by what it says: the images' own ports and user, nothing open but the API on this machine."""

import yaml

from cli.images.targets import SERVICES, TARGETS
from cli.processes import ROOT

COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())


def test_only_the_api_is_published_and_only_here() -> None:
    services = COMPOSE["services"]
    assert set(services) == set(SERVICES)
    assert {name: one["ports"] for name, one in services.items() if "ports" in one} == {
        "orchestrator": ["127.0.0.1:${MELALOG_ORCHESTRATOR_BIND_PORT:-3000}:3000"]
    }
    # Somebody has decided, where it can be seen; off only because of the line above.
    assert services["orchestrator"]["environment"]["MELALOG_AUTH"] == "${MELALOG_AUTH:-off}"
    assert COMPOSE["networks"]["services"] == {"internal": True}
    assert {name for name, one in services.items() if "outside" in one["networks"]} == {"orchestrator", "fusion"}


def test_each_is_asked_at_its_image_s_port_and_is_hardened() -> None:
    for name, one in COMPOSE["services"].items():
        port = TARGETS[name].port
        assert f"http://127.0.0.1:{port}/readyz" in one["healthcheck"]["test"][-1]
        if name != "orchestrator":
            assert one["environment"][f"MELALOG_{name.upper()}_URL"] == f"http://{name}:{port}"
        assert one["image"].endswith(f":-{TARGETS[name].image}:dev}}")
        assert (one["user"], one["read_only"], one["cap_drop"]) == ("10001:10001", True, ["ALL"])
        assert not {"privileged", "cap_add", "volumes", "network_mode", "env_file"} & set(one)
