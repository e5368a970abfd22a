#!/bin/sh
# `make frontend`: install, export the web build to frontend/dist, publish it to services/orchestrator/app. Tests: check.sh.
set -eu
cd "$(dirname "$0")"
. scripts/node.sh
npm run --silent export
node scripts/publish.mjs
echo "frontend: $(cat dist/_expo/static/js/web/entry-*.js | wc -c) bytes of script on the first visit, $(cat dist/_expo/static/js/web/entry-*.js.gz | wc -c) compressed; commit services/orchestrator/app and frontend/bundle.json"
