# Every command of the project, once; CI calls these. `make` alone prints help.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready

.DEFAULT_GOAL := help
.PHONY: help book lab test unit check outputs bench workshop lock clean

help: ## this list
	@echo "Usage: make <target>"
	@grep -E '^[a-z]+:.*##' Makefile | sed -E 's/^([a-z]+):.*## (.*)/  \1|\2/' | awk -F'|' '{ printf "%-10s %s\n", $$1, $$2 }'

book: $(READY) ## execute every chapter and build the site into _build/html
	$(BIN)/python -m toolkit.publish book

lab: $(READY) ## open the chapters in JupyterLab
	cd book && ../$(BIN)/python -m jupyterlab

test: $(READY) ## unit tests, doctests, chapters as committed, the site in a browser
	$(BIN)/python -m pytest -n auto --dist worksteal
	$(BIN)/python -m toolkit.publish.notebooks reference
	TOOLKIT_CACHE=$(CURDIR)/_build/cache/demos TOOLKIT_RENDER=text $(BIN)/python -m pytest -n auto --dist loadfile -o addopts= -W default -q --nbval --nbval-current-env --nbval-cell-timeout=600 _build/reference

unit: $(READY) ## unit tests and doctests alone, without the browser
	$(BIN)/python -m pytest -n auto -m "not browser"

check: $(READY) ## style, types, and the normal form of notebooks
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m toolkit.publish.notebooks check

outputs: $(READY) ## execute every chapter and rewrite its outputs to the normal form
	$(BIN)/python -m toolkit.publish.notebooks outputs

bench: $(READY) ## measure the budgets and print them as a table
	$(BIN)/python -m benchmarks

workshop: $(READY) ## write student and instructor notebooks into _build/workshop
	$(BIN)/python -m toolkit.publish.workshop

lock: ## renew requirements.txt from pyproject.toml
	$(PYTHON) -m venv _build/lock
	_build/lock/bin/pip install --quiet uv
	echo '# The full lock: exact versions with hashes for Python 3.11 to 3.14. Renewed by `make lock`; see CONTRIBUTING.' > requirements.new
	_build/lock/bin/uv pip compile pyproject.toml --all-extras --universal --generate-hashes --python-version 3.11 --upgrade --no-header --quiet >> requirements.new
	mv requirements.new requirements.txt

clean: ## remove the built site and the environment
	rm -rf _build $(VENV)

# The stamp is newer than both files once the environment holds what they name.
$(READY): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed; set PYTHON, as in make PYTHON=python3.12")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@
