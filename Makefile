# prm-search: `make demo` shows the main job, `make test` checks everything.

PYTHON ?= python3.11
VENV ?= .venv
LOCK := requirements/cpu.txt
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
# verl asks for an older Transformers, so it has an environment of its own.
VERL_VENV := .venv-verl
VERL_LOCK := requirements/verl.txt
VERL_INSTALLED := $(VERL_VENV)/.installed

# Modules of another environment must not be found before those of the lock.
unexport PYTHONPATH PYTHONHOME

.DEFAULT_GOAL := help
.PHONY: help install demo test test-slow test-verl lint format lock clean sandbox-models

help: ## List the targets
	@grep -E '^[a-z-]+:.*## ' $(firstword $(MAKEFILE_LIST)) | sed -E 's/:.*## /\t/' | expand -t 14

install: $(INSTALLED) ## Create .venv from the lock file (done by the other targets when needed)

demo: $(INSTALLED) ## Search the sandbox test set with every method; writes a report
	$(BIN)/prm-search search experiment=demo

test: lint ## Lint, types, import rules and the tests
	$(BIN)/python -m pytest

test-slow: $(INSTALLED) ## The tests that take longer
	$(BIN)/python -m pytest -m "slow and not gpu" --timeout 1800

test-verl: $(VERL_INSTALLED) ## The plugins within verl itself, and under OpenRLHF's own client
	$(VERL_VENV)/bin/python -m pytest tests/plugins_verl

lint: $(INSTALLED) ## Lint, format, types, import rules and spelling
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports --no-logo
	$(BIN)/codespell

# Base, policy and judge; then the PRM on the oracle's labels of the policy's own samples.
# MODELS is where the shipped ones are.
MODELS ?= prm_search/sandbox/models
sandbox-models: $(INSTALLED) ## Train the sandbox's models again (long on a CPU)
	$(BIN)/python -m trainers.pretrain --role base --out $(MODELS)/base
	$(BIN)/python -m trainers.pretrain --role policy --start $(MODELS)/base --out $(MODELS)/policy
	$(BIN)/python -m trainers.pretrain --role judge --start $(MODELS)/base --out $(MODELS)/judge
	$(BIN)/prm-search search policy=sandbox policy.model=$(MODELS)/policy data=sandbox \
	  data.split=train data.num_problems=4000 search=majority search.num_samples=8 \
	  run_dir=runs/sandbox_samples_train
	$(BIN)/prm-search search policy=sandbox policy.model=$(MODELS)/policy data=sandbox \
	  data.split=dev data.num_problems=100 search=majority search.num_samples=4 \
	  run_dir=runs/sandbox_samples_dev
	$(BIN)/python -m prm_search.sandbox.label runs/sandbox_samples_train runs/sandbox_train.jsonl
	$(BIN)/python -m prm_search.sandbox.label runs/sandbox_samples_dev runs/sandbox_dev.jsonl
	$(BIN)/prm-search train-prm experiment=sandbox_prm model=$(MODELS)/base \
	  run_dir=runs/sandbox_prm model_dir=$(MODELS)/prm

format: $(INSTALLED) ## Format the code and fix what can be fixed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The lock names the CPU build of torch. pip finds it where its own configuration says; if that
# fails, in PyTorch's index of CPU builds. That index is asked second, so that a machine which
# cannot reach it never waits for it.
$(INSTALLED): $(LOCK) pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null || { \
	  echo "prm-search is locked for Python 3.11, and '$(PYTHON)' is none." >&2; \
	  echo "Install it, or name one: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)" >&2; \
	  exit 1; }
	$(PYTHON) -m venv $(VENV)
	@torch=$$(grep '^torch==' $(LOCK)); \
	  $(BIN)/python -m pip install --no-deps --progress-bar off "$$torch" || \
	  $(BIN)/python -m pip install --no-deps --progress-bar off "$$torch" \
	    --index-url https://download.pytorch.org/whl/cpu
	$(BIN)/python -m pip install --quiet --no-deps --requirement $(LOCK)
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $(INSTALLED)

# OpenRLHF lies beside the environment and is not installed: only its client is loaded, by path.
$(VERL_INSTALLED): $(VERL_LOCK) pyproject.toml
	$(PYTHON) -m venv $(VERL_VENV)
	@torch=$$(grep '^torch==' $(VERL_LOCK)); \
	  $(VERL_VENV)/bin/python -m pip install --no-deps --progress-bar off "$$torch" || \
	  $(VERL_VENV)/bin/python -m pip install --no-deps --progress-bar off "$$torch" \
	    --index-url https://download.pytorch.org/whl/cpu
	$(VERL_VENV)/bin/python -m pip install --quiet --no-deps --requirement $(VERL_LOCK)
	$(VERL_VENV)/bin/python -m pip install --quiet --no-deps --upgrade \
	  --target $(VERL_VENV)/openrlhf openrlhf==0.11.2
	$(VERL_VENV)/bin/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $(VERL_INSTALLED)

# Keeps every version that still fits; UPGRADE=1 takes the newest of all. uv does not read pip's
# configuration, so it is told where pip looks for wheels.
lock: $(INSTALLED) ## Resolve requirements/cpu.txt again (UPGRADE=1: to the newest versions)
	$(BIN)/uv pip compile requirements/cpu.in --override requirements/cpu.overrides.txt \
	  --output-file $(LOCK) --python-version 3.11 --no-header --no-annotate --quiet \
	  --no-emit-package prm-search $(if $(UPGRADE),--upgrade) \
	  $(if $(PIP_FIND_LINKS),--find-links "$(PIP_FIND_LINKS)",--torch-backend cpu)

clean: ## Remove the environment and everything that tools left behind
	rm -rf $(VENV) $(VERL_VENV) build dist .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
