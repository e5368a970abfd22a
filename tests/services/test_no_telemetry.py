"""Nothing that runs pictures reports its use to anybody."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    "module",
    [
        "services.classifier.engine.onnx_runtime",
        "services.vlm.engine.embedded",
        "models.classifier.evaluation.measurement",
        "export.variants",
    ],
)
def test_onnx_runtime_is_told_to_be_silent_before_it_is_imported(module: str) -> None:
    code = (
        "import builtins, os, sys\n"
        "real = builtins.__import__\n"
        "def watching(name, *rest, **named):\n"
        "    if name.split('.')[0] == 'onnxruntime' and os.environ.get('ORT_DISABLE_TELEMETRY') != '1':\n"
        "        sys.exit(3)\n"
        "    return real(name, *rest, **named)\n"
        "builtins.__import__ = watching\n"
        f"import {module}\n"
        "sys.exit('onnxruntime' not in sys.modules)\n"
    )
    environment = {"PATH": "/usr/bin:/bin"}
    assert subprocess.run([sys.executable, "-c", code], check=False, env=environment).returncode == 0
