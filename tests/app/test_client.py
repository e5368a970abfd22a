"""The app's typed client is made from frontend/openapi.json: that must be the server's own. Needs no Node."""

import json
import os
import subprocess
import sys
from pathlib import Path

FRONTEND = Path(__file__).parents[2] / "frontend"


def test_the_app_knows_the_api_as_it_is() -> None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MELALOG_")}
    command = [sys.executable, str(FRONTEND / "scripts/print_openapi.py")]
    served = json.loads(subprocess.run(command, env=clean, capture_output=True, text=True, check=True).stdout)
    kept = json.loads((FRONTEND / "openapi.json").read_text("utf-8"))
    assert kept == served, "run `npm run client` in frontend/ and commit what it wrote"
