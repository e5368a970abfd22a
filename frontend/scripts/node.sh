# Sourced in frontend/: ends with a message without Node 20, and installs the locked packages where they are not current.
node -e 'process.exit(Number(process.versions.node.split(".")[0]) >= 20 ? 0 : 1)' 2>/dev/null || {
  echo "frontend: Node 20 or newer is not installed; the build in services/orchestrator/app stays as it is" >&2
  exit 1
}
[ node_modules/.package-lock.json -nt package-lock.json ] || npm ci --no-audit --no-fund
