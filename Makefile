# Everything a person does with a checkout. Each target installs what it needs first.
SHELL := /bin/bash
PY := .venv/bin/python
PYTHON ?= python3

.PHONY: setup demo test check bench bare lock clean help

help:  ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

setup: .venv/.dev  ## install all that developing needs

demo: .venv/.demo  ## install, build the demo catalogue, start the engine and JupyterLab (HEADLESS=1: no browser)
	$(PY) -m earthloom demo $(DEMO)

test: .venv/.dev  ## install and run all tests
	$(PY) tools/system.py
	$(PY) -m pytest -n 2 --dist loadfile $(TESTS)

check: .venv/.dev  ## lint, types, import rule, quick tests: under two minutes
	.venv/bin/ruff check . && .venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports
	$(PY) -m pytest -q -n 2 --dist loadfile -m "not slow and not browser"

bench: .venv/.dev  ## tiles beside rio-tiler; users' functions beside calls in process; from an edit to pixels
	$(PY) benchmarks/tiles.py
	$(PY) benchmarks/sandbox.py
	$(PY) benchmarks/edit_to_pixels.py

bare:  ## try both commands of the README in a bare Debian (needs root and mmdebstrap)
	tools/bare.sh

lock: .venv/.dev  ## resolve the requirements anew
	$(PY) -m pip -q install uv
	$(PY) -m uv pip compile -q --universal --no-emit-index-url --generate-hashes --no-header --python-version 3.11 --extra dev pyproject.toml -o requirements/dev.txt
	$(PY) -m uv pip compile -q --universal --no-emit-index-url --generate-hashes --no-header --python-version 3.11 --extra demo -c requirements/dev.txt pyproject.toml -o requirements/demo.txt

# The stamp is the last step, so that a broken installation is never taken for a good one.
.venv/.demo .venv/.dev: .venv/.%: requirements/%.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Earthloom needs Python 3.11 or newer"; exit 1; }
	@test -x .venv/bin/pip || $(PYTHON) -m venv .venv || { rm -rf .venv; echo "Install the package python3-venv, then run make again"; exit 1; }
	$(PY) -m pip install -q --disable-pip-version-check --require-hashes -r requirements/$*.txt
	$(PY) -m pip install -q --disable-pip-version-check --no-deps -e .
	touch $@

clean:  ## remove the virtual environment and the demo's data
	rm -rf .venv .demo
