"""What the code imports is in pyproject.toml: else it works until another package stops bringing it along."""

import ast
import re
import sys
import tomllib
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OURS = {"benchmarks", "cli", "export", "fusion", "models", "services"}
SERVING = ("", "pictures", "orchestrator", "classifier", "triton", "vlm", "fusion")
EXTRAS = {
    "fusion": ("",),
    "services": SERVING,
    "cli": (*SERVING, "cli"),
    "models": (*SERVING, "cli", "train", "tracking", "quantized"),
    "export": (*SERVING, "cli", "train"),
    "benchmarks": (*SERVING, "cli", "train"),
}
"""Whose dependencies a package may import; no name: what every service needs."""


@cache
def project() -> dict[str, list[str]]:
    table = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return {"": table["dependencies"], **table["optional-dependencies"]}


def declared(extras: tuple[str, ...]) -> set[str]:
    lines = [line for extra in extras for line in project()[extra]]
    return {normal(re.split(r"[^A-Za-z0-9._-]", line)[0]) for line in lines}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def imported(file: Path) -> set[str]:
    modules: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            modules.add(str(node.module))
    return {name for name in modules if name.split(".")[0] not in {*sys.stdlib_module_names, *OURS, "tests"}}


@pytest.mark.parametrize("package", sorted(OURS))
def test_every_import_is_declared(package: str) -> None:
    allowed = declared(EXTRAS[package])
    brought = packages_distributions()
    undeclared = {}
    for file in (ROOT / package).rglob("*.py"):
        for module in imported(file):
            top = module.split(".")[0]
            names = {normal(name) for name in brought.get(top, [top])} | {normal("-".join(module.split(".")[:2]))}
            if not names & allowed:
                undeclared[str(file.relative_to(ROOT))] = module
    assert not undeclared
