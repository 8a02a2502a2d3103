# Waypost. `make help` lists what this can do.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
WORKERS ?= 2

.DEFAULT_GOAL := help
.PHONY: help demo test lint bench docs clean

help: ## list the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

$(STAMP): pyproject.toml package-lock.json hatch_build.py
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { \
	  echo 'Python cannot make a virtual environment; on Debian: apt-get install python3-venv' >&2; exit 1; }
	@echo 'Installing Waypost and its tools into $(VENV) …'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable . --group dev --group docs
	@touch $@

demo: $(STAMP) ## show shipments moving; DEMO_ARGS=--once plays the story once and checks it
	@$(BIN)/waypost demo $(DEMO_ARGS)

test: $(STAMP) ## lint, types, import rules and every test
	@$(MAKE) --no-print-directory lint
	@command -v chromium chromium-browser >/dev/null || [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null || { \
	  echo 'Installing chromium for the tests of the pages …'; apt-get update -qq && apt-get install -y -qq chromium; }
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet --site-dir build/site
	@$(BIN)/pytest -q -n $(WORKERS) --dist loadgroup $(TEST_ARGS)

lint: $(STAMP) ## style, types and import rules
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

bench: $(STAMP) ## measure speed and memory, with machine and configuration
	@$(BIN)/waypost bench $(BENCH_ARGS)

docs: $(STAMP) ## build the documentation into build/site
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --site-dir build/site

clean: ## remove what make built
	@rm -rf $(VENV) build dist artifacts .mypy_cache .ruff_cache .pytest_cache .hypothesis
