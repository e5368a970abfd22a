#!/bin/sh
# `make frontend`: install, client, types, lint, unit tests, web export to frontend/dist and to the orchestrator. Without Node it says so and is done.
set -eu
cd "$(dirname "$0")"
node -e 'process.exit(Number(process.versions.node.split(".")[0]) >= 20 ? 0 : 1)' 2>/dev/null || {
  echo "frontend: skipped, Node 20 or newer is not installed; the orchestrator serves its plain page instead"
  exit 0
}
npm ci --no-audit --no-fund
npm run --silent client:check
npm run --silent typecheck
npm run --silent lint
npm run --silent test
npm run --silent export
node scripts/publish.mjs
echo "frontend: $(cat dist/_expo/static/js/web/entry-*.js | wc -c) bytes of script to begin with, $(cat dist/_expo/static/js/web/entry-*.js | gzip -9 | wc -c) compressed; the orchestrator serves it at /"
