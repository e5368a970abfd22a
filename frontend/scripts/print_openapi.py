"""Prints what the server of this checkout answers at /openapi.json; `npm run client` keeps it."""  # noqa: INP001

import json
import sys

from services.orchestrator.service import app

sys.stdout.write(json.dumps(app.openapi(), indent=2, ensure_ascii=False) + "\n")
