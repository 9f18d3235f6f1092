# Two commands on a machine with Python >= 3.11 and make: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PACKAGES := $(VENV)/.packages
STAMP := $(VENV)/.ready
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
           --no-emit-index-url --no-header --no-annotate pyproject.toml
# Tests of measuring wait more than they compute, so they run beside each other and not beside those that compute;
# beside those that hold measured times against a server's schedule no other runs.
MEASURING := tests/measure
TIMED := $(addprefix tests/measure/bench/test_,against_mock.py client_health.py peers_errors.py real_engine.py)
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup demo test lint format bench studies requirements clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## create .venv with the command and its tools (once; again when requirements change)

$(PACKAGES): requirements/dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "inferatlas needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) --version 2>/dev/null || echo 'not found')." >&2; \
	  echo "Name another one: make PYTHON=/path/to/python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "'$(PYTHON)' cannot make virtual environments (on Debian and Ubuntu: apt install python3-venv)." >&2; exit 1; }
	@echo "setting up $(VENV): once, about a minute" >&2
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install -qq --no-deps --require-hashes -r requirements/dev.txt
	@touch $@

$(STAMP): $(PACKAGES) pyproject.toml
	@$(BIN)/python -m pip install -qq --no-deps --no-build-isolation -e .
	@touch $@

demo: $(STAMP) ## the main job on real input; leaves report.html
	$(BIN)/inferatlas recommend --model llama-3.3-70b --workload chat --slo "ttft:p95<500ms" --slo "itl:mean<50ms" \
	  --request-rate 4 --report report.html

test: lint ## linters, types, floors, tests
	$(BIN)/python -m pytest -n 2 --dist loadfile --ignore=$(MEASURING)
	$(BIN)/python -m pytest -n 2 --dist loadfile $(MEASURING) $(addprefix --ignore=,$(TIMED))
	$(BIN)/python -m pytest $(TIMED)

lint: $(STAMP) ## ruff, basedpyright and the floors (import-linter)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/basedpyright
	$(BIN)/lint-imports

format: $(STAMP) ## let ruff format and fix what it can
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: $(STAMP) ## run every benchmark and print what it measures
	@set -e; for b in benchmarks/bench_*.py; do echo "== $$b"; $(BIN)/python "$$b"; done

studies: $(STAMP) ## write the reports under docs/studies again, with their pictures
	@set -e; for paper in sharma-2025 park-review brunetta; do \
	  $(BIN)/inferatlas reproduce $$paper --output build/studies >/dev/null; \
	  mkdir -p docs/studies/$$paper; rm -f docs/studies/$$paper/*.svg; \
	  cp build/studies/$$paper/*.svg docs/studies/$$paper/; \
	  sed "s#](\([A-Za-z0-9._-]*[.]svg\))#]($$paper/\1)#" build/studies/$$paper/report.md >docs/studies/$$paper.md; \
	done

requirements: $(STAMP) ## compile requirements/*.txt from pyproject.toml again (add UP=--upgrade for newer versions)
	$(COMPILE) $(UP) --output-file requirements/runtime.txt
	$(COMPILE) $(UP) --extra dev --constraint requirements/runtime.txt --output-file requirements/dev.txt

clean: ## remove the environment and everything generated
	rm -rf $(VENV) build dist report.html .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -not -path './.git/*' -prune -exec rm -rf {} +
