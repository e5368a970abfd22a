#!/bin/sh
# `make test-frontend`: the generated client is current, types, lint, unit tests.
set -eu
cd "$(dirname "$0")"
. scripts/node.sh
npm run --silent client:check
npm run --silent typecheck
npm run --silent lint
npm run --silent test
