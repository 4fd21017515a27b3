# dockd: `make help` lists what can be done. On a bare Debian 12 with git, make and python3, `make demo` and
# `make test` each do all of their own set-up.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMPS := $(VENV)/.stamps
DEMO ?=
TESTS ?= tests
WORKERS ?= 3
GUESTS ?= 3
CHECKED := dockd drivers migrations tests bench docs deploy
LINTS := lint-format lint-code lint-types lint-imports lint-docs

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: $(STAMPS)/run ## Run a centre and a dock with eight simulated cameras (DEMO="--cameras 4 --seed 7")
	$(BIN)/dockd demo $(DEMO)

.PHONY: check
check: $(STAMPS)/dev ## Format, lint, types, import contracts, generated docs, unit tests: under a minute
	@$(MAKE) --no-print-directory --output-sync=target --jobs=2 $(LINTS) unit

.PHONY: test
test: debian-packages $(STAMPS)/dev ## Everything: what `check` does, all other tests, and the laboratory (TESTS=tests/dock: only these)
	@$(MAKE) --no-print-directory --output-sync=target --jobs=2 $(LINTS)
	$(BIN)/pytest $(TESTS) -m 'not lab' -n $(WORKERS) --dist worksteal --durations=15 --durations-min=1
	@$(if $(filter tests,$(TESTS)),$(MAKE) --no-print-directory lab)

.PHONY: lab
lab: debian-packages $(STAMPS)/dev ## The laboratory: real USB and power cuts in virtual machines (GUESTS=3 at a time)
	$(BIN)/pytest tests/lab -n $(GUESTS) --dist load --maxschedchunk=1 -rs --durations=0 --durations-min=1

.PHONY: bench
bench: $(STAMPS)/dev ## Measure speed and memory; prints a table and writes bench/results/
	@deploy/install-debian-packages deploy/debian-packages-bench.txt
	$(BIN)/python -m bench

.PHONY: deb
deb: $(STAMPS)/run ## Build the Debian package into build/ (DEB_VERSION=0.1.0+1 names another version)
	$(BIN)/python deploy/deb/build.py $(if $(DEB_VERSION),--version $(DEB_VERSION))

.PHONY: format
format: $(STAMPS)/dev ## Format the code and mend what can be mended
	$(BIN)/ruff check --fix $(wildcard $(CHECKED))
	$(BIN)/ruff format $(wildcard $(CHECKED))

.PHONY: docs
docs: $(STAMPS)/dev ## Write the generated references in docs/ again
	$(BIN)/python -m docs.generate

.PHONY: lock
lock: ## Renew both lock files (needs uv: see CONTRIBUTING.md)
	uv pip compile setup.cfg --extra central --extra dev $(LOCK_OPTIONS) --output-file requirements.lock
	uv pip compile setup.cfg --extra central --extra build $(LOCK_OPTIONS) --constraints requirements.lock \
		--output-file requirements-run.lock

.PHONY: clean
clean: ## Remove everything that was made here: environment, caches, build, benchmark results
	rm -rf $(VENV) .cache .hypothesis .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
	rm -rf build dist *.egg-info bench/results demo-state
	find $(wildcard $(CHECKED)) -name __pycache__ -type d -prune -exec rm -rf {} +

# --- the parts of check and test ----------------------------------------------------------------

LOCK_OPTIONS := --python-version 3.11 --generate-hashes --no-annotate --no-header --no-emit-index-url --upgrade --quiet

.PHONY: lint-format lint-code lint-types lint-imports lint-docs unit
lint-format:
	@$(BIN)/ruff format --check --quiet $(wildcard $(CHECKED)) || \
		{ echo 'Some files are not formatted: run `make format`.'; exit 1; }
lint-code:
	@$(BIN)/ruff check --quiet $(wildcard $(CHECKED))
lint-types:
	@$(BIN)/mypy --no-error-summary
lint-imports:
	@mkdir -p .cache
	@$(BIN)/lint-imports --cache-dir .cache/import-linter > .cache/lint-imports.txt 2>&1 || \
		{ cat .cache/lint-imports.txt; exit 1; }
lint-docs:
	@$(BIN)/python -m docs.generate --check
unit:
	@$(BIN)/pytest tests/unit -q -m 'not slow' -n 2 --dist worksteal

# --- set-up -------------------------------------------------------------------------------------
# Stamps are files whose age says whether a step must be done again. The dev environment is the run
# environment with the locked test and lint packages on top.

.PHONY: debian-packages
debian-packages:
	@deploy/install-debian-packages deploy/debian-packages-test.txt

$(STAMPS)/venv: deploy/make-venv deploy/install-debian-packages deploy/debian-packages-run.txt
	@PYTHON='$(PYTHON)' deploy/make-venv $(VENV)
	@mkdir -p $(STAMPS)
	@touch $@

$(STAMPS)/run: $(STAMPS)/venv requirements-run.lock setup.cfg pyproject.toml
	@echo 'Installing the locked packages …'
	@$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements-run.lock
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(STAMPS)/dev: $(STAMPS)/run requirements.lock
	@echo 'Installing the locked packages for tests and checks …'
	@$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements.lock
	@touch $@
