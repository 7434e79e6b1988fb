# Everything runs from a checkout with Python 3.11 or newer and nothing else.
PYTHON ?= python3
VENV   := .venv
PY     := $(VENV)/bin/python
READY  := $(VENV)/.ready
LOCK   := --quiet --universal --generate-hashes --no-header --no-emit-index-url --python-version 3.11

.PHONY: demo test check bench cluster-up cluster-down clean lock help

help:            ## say what the targets do
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | sort

$(READY): requirements-dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "canary needs Python 3.11 or newer; set PYTHON=python3.11 or later")'
	@echo "Setting up $(VENV), once: a minute or two"
	@$(PYTHON) -m venv $(VENV)
	@$(PY) -m pip --quiet --disable-pip-version-check install --require-hashes -r requirements-dev.lock
	@$(PY) -m pip --quiet --disable-pip-version-check install --no-deps --no-build-isolation --editable .
	@touch $(READY)

demo: $(READY)   ## release a bad and a good version of a real service, watched live
	@$(VENV)/bin/canary demo

test: $(READY)   ## run every test, the checks first
	@$(PY) -m tests.run

check: $(READY)  ## ruff, mypy --strict, import-linter, lengths
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports --no-cache
	$(PY) -m tests.lengths

bench: $(READY)  ## figures: power, false-rollback rates, replay speed, start-up
	@$(PY) -m bench

cluster-up: $(READY)    ## a real Kubernetes with simulated nodes; NODE=1: with one that runs containers
	@$(PY) -m tests.cluster up $(if $(NODE),--node)

cluster-down: $(READY)  ## take the test clusters down; nothing of them stays
	@$(PY) -m tests.cluster down

lock: $(READY)   ## pin every dependency anew, with hashes
	$(PY) -m uv pip compile pyproject.toml --extra kubernetes --extra seal $(LOCK) --upgrade -o requirements.lock
	$(PY) -m uv pip compile pyproject.toml --extra kubernetes --extra seal --extra dev -c requirements.lock $(LOCK) -o requirements-dev.lock
	$(PY) -m uv pip compile examples/app/requirements.in -c requirements-dev.lock $(LOCK) -o examples/app/requirements.txt

clean:           ## remove what the targets made
	rm -rf $(VENV) .cache
