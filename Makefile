# Melalog's verbs. `make help` lists them; only Python 3.11+, make and a package registry are needed.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
UV_VERSION := 0.13.8
SERVE := .venv-serve
DEV := .venv
ROLES := orchestrator classifier classifier-gpu vlm fusion serve dev
DATA ?= $(or $(MELALOG_DATA_DIR),../shared/data)
NPROC ?= 2
UNIT := tests/fusion tests/services/common tests/services/risk tests/services/classifier tests/services/vlm tests/services/orchestrator \
  tests/docs tests/app tests/models/common tests/models/classifier/serving tests/models/vlm/serving tests/cli/test_main.py
export BENTOML_DO_NOT_TRACK := True

# $(1): environment, $(2): lock. Made again only when its lock or the project's metadata changed.
define environment
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Melalog needs Python 3.11 or newer: make PYTHON=python3.12 …"; exit 1; }
	@test -x $(1)/bin/uv || { $(PYTHON) -m venv $(1) && $(1)/bin/python -m pip install -q --disable-pip-version-check uv==$(UV_VERSION); }
	@echo "installing requirements/$(2).txt into $(1)"
	@VIRTUAL_ENV=$(1) $(1)/bin/uv pip install -q --python $(1)/bin/python --require-hashes -r requirements/$(2).txt
	@VIRTUAL_ENV=$(1) $(1)/bin/uv pip install -q --python $(1)/bin/python --no-deps -e .
	@touch $(1)/installed
endef

.PHONY: help serve unit test test-engine test-llm test-app lint images frontend test-frontend bench train train-smoke lock

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

serve: $(SERVE)/installed ## start the four services and print the URL (Ctrl-C stops them)
	@exec $(SERVE)/bin/melalog serve

unit: $(DEV)/installed ## the tests that start no service and train nothing, in under a minute
	@$(DEV)/bin/python -m pytest -q -n 2 -m "not system and not slow" $(UNIT)

test: $(DEV)/installed lint ## linters, types, import directions, then every test (NPROC=1: in one process)
	@$(DEV)/bin/python -m pytest -n $(NPROC)

test-engine: $(DEV)/installed ## the vlm against real engines, and test-llm (needs MELALOG_ENGINE, MELALOG_DATA_DIR; not in CI)
	@test -n "$(MELALOG_ENGINE)$(MELALOG_LLM_ENGINE)" || { echo "set MELALOG_ENGINE (vlm), MELALOG_LLM_ENGINE (hosted model) or both to a command that serves a checkpoint: COMMAND MODEL_DIR PORT OPTIONS…"; exit 1; }
	@MELALOG_DATA_DIR=$(DATA) $(DEV)/bin/python -m pytest -m "engine or llm" --timeout 1200 tests/engine tests/llm

test-llm: $(DEV)/installed ## the hosted model's protocol against a real engine on the CPU (needs MELALOG_LLM_ENGINE; not in CI)
	@test -n "$(MELALOG_LLM_ENGINE)" || { echo "set MELALOG_LLM_ENGINE to a command that serves a Llama, such as tests/llm/vllm-cpu: COMMAND MODEL_DIR PORT OPTIONS…"; exit 1; }
	@$(DEV)/bin/python -m pytest -m llm --timeout 1200 tests/llm

# Part of `test`; by name while one works.
lint: $(DEV)/installed
	@$(DEV)/bin/ruff check . && $(DEV)/bin/ruff format --check .
	@$(DEV)/bin/mypy
	@$(DEV)/bin/lint-imports --config pyproject.toml

images: $(SERVE)/installed ## build the four bentos and their images, with docker, podman or buildah (not in CI)
	@$(SERVE)/bin/melalog images

frontend: ## rebuild the app for the web in services/orchestrator/app, to be committed (needs Node 20)
	@frontend/build.sh

test-frontend: ## the app's generated client, types, lint and unit tests (needs Node 20; not in CI)
	@frontend/check.sh

test-app: $(DEV)/installed ## a real browser through the whole app against the real services (needs Node 20, Chromium; not in CI)
	@test -d frontend/node_modules/playwright-core || { echo "the browser's driver is not installed: make frontend"; exit 1; }
	@MELALOG_PYTHON=$(CURDIR)/$(DEV)/bin/python node --test tests/app/*.test.mjs

bench: $(DEV)/installed ## measure latency, throughput and memory; prints the README's figures
	@MELALOG_DATA_DIR=$(DATA) $(DEV)/bin/python -m benchmarks.run

train: $(DEV)/installed ## train the released classifier's two networks, export and measure them (needs MELALOG_DATA_DIR)
	@export MELALOG_DATA_DIR=$(DATA) && \
	  $(DEV)/bin/melalog train classifier --config released-teacher --out runs/teacher --only-train && \
	  $(DEV)/bin/melalog train classifier --config released --out runs/student --only-train && \
	  $(DEV)/bin/melalog export classifier runs/teacher runs/student --config released-teacher --out runs/candidate

train-smoke: $(DEV)/installed ## the factory's whole chain on generated pictures, in under 3 minutes
	@$(DEV)/bin/python tests/smoke/train_smoke.py

lock: $(SERVE)/installed ## resolve the locks in requirements/ again
	@for role in $(ROLES); do extra=$$role; echo "locking $$role"; \
	  if [ $$role = classifier ]; then extra=triton; fi; `# its image can ask a Triton server` \
	  $(SERVE)/bin/uv pip compile -q --universal --generate-hashes --python-version 3.11 --no-emit-index-url --no-emit-find-links \
	    --custom-compile-command "make lock" --extra $$extra pyproject.toml -o requirements/$$role.txt || exit 1; done
	@echo "locking checkov"; cd requirements && $(CURDIR)/$(SERVE)/bin/uv pip compile -q --universal --generate-hashes --python-version 3.11 \
	    --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" checkov.in -o checkov.txt
	@cd services/vlm/engine/vllm && for lock in requirements upgrade; do echo "locking the engine's $$lock"; \
	  $(CURDIR)/$(SERVE)/bin/uv pip compile -q --generate-hashes --python-version 3.12 --python-platform x86_64-manylinux_2_28 \
	    --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" $$lock.in -o $$lock.txt || exit 1; done

$(SERVE)/installed: requirements/serve.txt pyproject.toml
	$(call environment,$(SERVE),serve)

$(DEV)/installed: requirements/dev.txt pyproject.toml
	$(call environment,$(DEV),dev)
