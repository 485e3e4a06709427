# Every command of this repository. Needs Python 3.11 or later with pip and venv, and make.

PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
# The site's packages are kept apart: with one of them, watchdog, Flask's reloader works differently.
ifneq (,$(filter docs build,$(MAKECMDGOALS)))
VENV   ?= .venv-docs
endif
VENV   ?= .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check --no-input -qq

# Some machines forbid Python to keep compiled files; then each of a thousand test processes compiles
# everything anew, which takes it two seconds.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help demo test test-fast lint types docs build bench chaos simulate screenshots format pins clean

help: ## Print this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' Makefile

demo: $(VENV)/.demo ## Start the demo application and print its address and what to try
	$(BIN)/python -m apps.demo

# One more than there are cores: tests wait for processes and for the disk as well.
WORKERS ?= $(shell $(PYTHON) -c 'import os; print(1 + len(os.sched_getaffinity(0)))' 2>/dev/null || echo auto)
test: $(VENV)/.dev ## Run every test that can run here; the end lists what was skipped, and why
	$(BIN)/python -m pytest -n $(WORKERS) $(ARGS)

# What needs a server, a browser, another process or half a minute is marked so.
test-fast: $(VENV)/.dev ## Run the unit, SQLite and house tests: under a minute on two cores
	$(BIN)/python -m pytest -n $(WORKERS) -m "not (server or browser or processes or slow)" \
		--hypothesis-profile=fast tests/unit tests/store tests/worker tests/operations tests/house $(ARGS)

lint: $(VENV)/.dev ## Check style (ruff), spelling, types (mypy) and walls (import-linter); changes nothing
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

types: $(VENV)/.dev ## Check what mypy and pyright say about programs that use Duly
	$(BIN)/python -m pytest tests/typing $(ARGS)

docs: $(VENV)/.docs ## Build the documentation into build/site; a broken link or an undocumented name fails
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

build: $(VENV)/.docs ## Build the wheel and the source archive into dist/ and try the wheel
	$(BIN)/python scripts/build.py

bench: $(VENV)/.dev ## Measure Duly and its peers; writes bench/RESULTS.md (ARGS="--only F1,F7")
	$(BIN)/python -m bench $(ARGS)

chaos: $(VENV)/.dev ## Break everything on real databases and check what must hold (ARGS="--seed 7")
	$(BIN)/python -m tests.chaos $(ARGS)

SEEDS  ?= 200
simulate: $(VENV)/.dev ## Let seeded worlds of crashes live (SEEDS=2000, MUTATE=token, ARGS="--seed 7")
	$(BIN)/python -m simulation --seeds $(SEEDS) $(if $(MUTATE),--mutate $(MUTATE)) $(ARGS)

screenshots: $(VENV)/.dev ## Take pictures of every page, in the scene, into docs/screenshots
	$(BIN)/python -m scripts.screenshots $(ARGS)

format: $(VENV)/.dev ## Format the code and sort its imports
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

pins: ## Resolve the dependencies afresh into requirements/*.txt
	$(PYTHON) scripts/pins.py

clean: ## Remove the environment, caches and build results (never a database)
	rm -rf $(VENV) .venv-docs .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# ------------------------------------------------------------------ the environment
# A stamp is newer than what it was made from, so the second call has nothing to do.

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Duly needs Python 3.11 or later: make PYTHON=/path/to/python"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.%: requirements/%.txt pyproject.toml | $(BIN)/python
	$(PIP) install -r $<
	$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

.PRECIOUS: $(VENV)/.%
