# Every chore is one word. Needs make and Python 3.11 or newer; everything else goes into .venv.
# `make` alone lists the words. PYTHON=/path/to/python picks another interpreter.

VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3 python; do \
	$$p -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 \
	&& { echo $$p; break; }; done)
# Python compiles a module when it is first imported; compiling all of them here takes longer.
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --no-compile \
	--constraint constraints.txt
# More processes than cores, since tests also wait; worksteal leaves a module's tests together.
PYTEST := $(BIN)/python -m pytest --numprocesses 3 --dist worksteal
INPUTS := pyproject.toml constraints.txt
SCRIPTS := $(filter-out benchmarks/_%,$(wildcard benchmarks/*.py))

.DEFAULT_GOAL := help
.PHONY: help demo test lint format types notebooks browser proof emulator clean

help: ## list these words
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.demo ## sweep the sample pictures and clip on the emulator; no key, no cost
	@$(BIN)/decart-lab demo

test: $(VENV)/.dev ## run every test, those in a browser last, and list what was skipped and why
	@failed=0; $(PYTEST) -m "not browser" || failed=1; \
	$(BIN)/python -m pytest -m browser || failed=1; exit $$failed

lint: $(VENV)/.dev ## check style and formatting
	$(BIN)/ruff check
	$(BIN)/ruff format --check

format: $(VENV)/.dev ## mend style and formatting
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

types: $(VENV)/.dev ## check types
	$(BIN)/mypy

notebooks: $(VENV)/.dev ## execute the notebooks
	$(PYTEST) tests/notebooks

browser: $(VENV)/.dev ## the tests that drive a real Chromium
	$(BIN)/python -m pytest -m browser

proof: $(VENV)/.dev ## measure every promised figure at full size, into benchmarks/results
	@missed=""; for script in $(SCRIPTS); do \
		echo "$$script"; $(BIN)/python $$script || missed="$$missed $$script"; \
	done; if [ -n "$$missed" ]; then echo "Not reached:$$missed"; exit 1; fi

emulator: $(VENV)/.demo ## serve the emulator on port 8765
	@$(BIN)/decart-lab emulator --port 8765

clean: ## remove the venv, caches and builds; runs are kept
	rm -rf $(VENV) .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist

$(BIN)/python:
	@if [ -z "$(PYTHON)" ]; then \
		echo "Python 3.11 or newer, with its venv module, was not found."; \
		echo "Install it (on Debian and Ubuntu: apt install python3 python3-venv)"; \
		echo "or name one: make PYTHON=/path/to/python"; exit 1; fi
	@echo "Making $(VENV) with $(PYTHON)."
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: $(INPUTS) | $(BIN)/python
	@echo "Installing decart-lab and its dependencies into $(VENV); this takes a minute or two."
	@$(PIP) --editable .
	@touch $@

$(VENV)/.dev: $(INPUTS) | $(BIN)/python
	@echo "Installing decart-lab and its development tools into $(VENV); this takes a few minutes."
	@$(PIP) --editable '.[dev]'
	@touch $@ $(VENV)/.demo
