# Every target does its own set-up: `.venv` with the pinned requirements, once per change of a
# requirements file or of pyproject.toml.

PYTHON ?= $(firstword $(shell command -v python3.11) $(shell command -v python3) python3.11)
VENV := .venv
# One more than there are processors: tests wait half of the time for the parts that they start.
TEST_PROCESSES ?= $(shell $(PYTHON) -c "import os; print(min(os.cpu_count() or 1, 3) + 1)")
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 \
	--no-header --no-emit-index-url --no-annotate pyproject.toml
FOR_USE := $(VENV)/.installed
FOR_DEVELOPMENT := $(VENV)/.installed-for-development

# Without bytecode, every Dagster run would spend seconds on compiling what it imports.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo up down test fuzz soak lint bench bench-models docs lock clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(FOR_USE) ## the whole way once: Postgres, Dagster runs, S3, answers over HTTP
	@$(BIN)/lake demo

up: $(FOR_USE) ## start S3, Postgres, Dagster and the service; Ctrl-C stops them
	@$(BIN)/lake up

down: $(FOR_USE) ## stop what `make up` or `lake up --detach` started
	@$(BIN)/lake down

test: $(FOR_DEVELOPMENT) ## run every test, on real parts
	@$(BIN)/python -m pytest -n $(TEST_PROCESSES) --dist loadfile

fuzz: MINUTES ?= 10
fuzz: $(FOR_DEVELOPMENT) ## hostile and mutated SQL until a canary is seen or MINUTES=10 are over
	@$(BIN)/python -m tests.fuzz --minutes $(MINUTES)

soak: STEPS ?= 2000
soak: $(FOR_DEVELOPMENT) ## random writes, purges, renames, kills and runs over a month of days, STEPS=2000
	@$(BIN)/python -m tests.soak --steps $(STEPS)

lint: $(FOR_DEVELOPMENT) ## ruff, its format, pyright in strict mode
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/pyright

bench: $(FOR_DEVELOPMENT) ## measure, beside the bare engine or a peer
	@$(BIN)/python -m benchmarks

bench-models: $(FOR_DEVELOPMENT) ## backtest forecasts and alarms, and write the figures to docs/models.md
	@$(BIN)/python -m benchmarks models

docs: $(FOR_USE) ## rewrite the generated tables of README.md
	@$(BIN)/python docs/generate.py

lock: $(FOR_USE) ## compile the requirements files from pyproject.toml
	@$(PIP) install uv
	@$(COMPILE) --output-file requirements.txt
	@$(COMPILE) --group dev --output-file requirements-dev.txt
	@echo "requirements.txt and requirements-dev.txt are compiled"

clean: ## remove .venv and caches; what the lake holds (.lake) stays
	@rm -rf $(VENV) build *.egg-info .pytest_cache .ruff_cache .hypothesis
	@find lake_api lake_assets tests benchmarks docs -name __pycache__ -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@echo "Making $(VENV) with $(PYTHON) …"
	@$(PYTHON) -m venv $(VENV)

$(FOR_USE): requirements.txt pyproject.toml | $(BIN)/python
	@echo "Installing requirements.txt into $(VENV) (a minute or two, once) …"
	@$(PIP) install --requirement requirements.txt
	@$(PIP) install --no-deps --editable .
	@$(BIN)/python -m compileall -q lake_api lake_assets
	@touch $@

# The development requirements include the others, so that this serves both.
$(FOR_DEVELOPMENT): requirements-dev.txt requirements.txt pyproject.toml | $(BIN)/python
	@echo "Installing requirements-dev.txt into $(VENV) (a minute or two, once) …"
	@$(PIP) install --requirement requirements-dev.txt
	@$(PIP) install --no-deps --editable .
	@$(BIN)/python -m compileall -q lake_api lake_assets
	@touch $(FOR_USE) $@
