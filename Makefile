VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

# A name on PATH can be a shim that fails, so a Python counts only once it has run.
USABLE := import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for python in python3.13 python3.12 python3.11 python3 python; do \
	$$python -c '$(USABLE)' 2>/dev/null && echo $$python && break; done)

# Installs the Debian package of a program that is missing, or says so.
debian = command -v $(1) >/dev/null || { sudo=$$([ "$$(id -u)" = 0 ] || echo sudo); \
	$$sudo apt-get update -qq && $$sudo apt-get install -qq --yes $(2) >/dev/null; } || { \
	echo "error: $(1) is missing: apt-get install $(2)" >&2; exit 1; }

.DEFAULT_GOAL := help
.PHONY: help install demo ui test e2e screenshots check lint types docs test-matrix e2e-distributed bench build \
	release clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

$(READY): pyproject.toml airflow_provider_zelto/__init__.py
	@$(or $(PYTHON),false) -c '$(USABLE)' 2>/dev/null || { \
		echo "error: no usable Python 3.11 or newer$(if $(PYTHON), ($(PYTHON))): install python3 and python3-venv, or name one with PYTHON=..." >&2; \
		exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python --editable '.[dev]'
	@touch $@

install: $(READY) ## Make .venv with the provider and everything the other targets use

demo: $(READY) ## Run the example DAG on a throwaway Airflow against a local Zelto
	$(BIN)/python -m tests.live.demo

ui: $(READY) ## Open a local Airflow and a local Zelto in the browser until Ctrl-C
	$(BIN)/python -m tests.live.ui

test: $(READY) ## Run the tests with coverage
	$(BIN)/python -m pytest --numprocesses=3 --dist=worksteal --cov --cov-report=term

e2e: $(READY) ## Run everything on a real Airflow and in a browser, and break it; TESTS=path for a part
	@$(call debian,chromium,chromium)
	$(BIN)/python -m pytest $(or $(TESTS),tests/e2e)

screenshots: $(READY) ## Take the pictures in docs/images anew
	@$(call debian,chromium,chromium)
	$(BIN)/python -m tests.e2e.screenshots

check: lint types docs ## Run the formatter, linter, type checker and the docs build

lint: $(READY) ## Run the linter, and see that the formatter has nothing to do
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(READY) ## Run the type checker
	$(BIN)/mypy

# From nothing: Sphinx warns only of pages that it reads anew, and leaves those that are gone.
docs: $(READY) ## Build the documentation into docs/_build/html; warnings and dead links are errors
	rm -rf docs/_build/html
	$(BIN)/sphinx-build --quiet --nitpicky --fail-on-warning --keep-going docs docs/_build/html
	$(BIN)/python -m tests.docs.dead_links docs/_build/html

test-matrix: $(READY) ## Run the tests on every Airflow and on the lowest versions; LEG=3.3.2 for one, TESTS=path for a part
	$(BIN)/nox $(if $(LEG),--session '$(if $(filter lowest,$(LEG)),lowest,tests($(LEG)))') -- $(TESTS)

e2e-distributed: $(READY) ## Run a mapped bulk submit on two Celery workers, PostgreSQL and Redis
	@$(call debian,redis-server,redis-server)
	$(BIN)/python -m pytest tests/e2e_distributed -s

bench: $(READY) ## Measure imports and waits beside their peers
	$(BIN)/python -m tests.bench

build: $(READY) ## Build the wheel and the sdist into dist and check them
	rm -rf dist
	$(BIN)/python -m build --installer uv
	$(BIN)/twine check --strict dist/*

release: $(READY) ## Check the tag, build, and try the wheel in a clean Airflow; DRY_RUN=1 for all but the tag
	$(BIN)/python -m tests.packaging.release $(if $(DRY_RUN),--dry-run)

clean: ## Remove everything the other targets made
	rm -rf $(VENV) .nox dist docs/_build .airflow-ui .coverage .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
