# Everything sets itself up: git, make and Python 3.11 or newer are enough.
PYTHON ?= $(shell for p in python3.14 python3.13 python3.12 python3.11 python3; do command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin

.PHONY: demo test lint bench soak mutants format clean

demo: .venv/.ready
	$(BIN)/keylift demo

test: .venv/.ready
	$(BIN)/pytest -n auto $(ARGS)

lint: .venv/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# What is measured: run (estates; alone with ARGS), scan (trees, histories, the hook, beside peers), scale (very large
# inputs), images, rehearse, wizard (its first frame, and keys on 10,000 findings): make bench BENCH=scale ARGS="--only line".
BENCH ?= $(if $(ARGS),run,run scan)
bench: .venv/.ready
	set -e; for what in $(BENCH); do $(BIN)/python benchmarks/$$what.py $(ARGS); done

# Every crash that can be thought of, by the hundred thousand: hours on two cores. ARGS chooses less, e.g. ARGS='--worlds 1000'.
soak: .venv/.ready
	$(BIN)/python -m tests.executor.soak $(if $(ARGS),$(ARGS),--kills 500 --sweep 1 --worlds 100000)

mutants: .venv/.ready
	$(BIN)/python -m tests.executor.mutations $(ARGS)

format: .venv/.ready
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf .venv .venv-az .node .mypy_cache .ruff_cache .pytest_cache .hypothesis

.venv/.ready: pyproject.toml uv.lock
	@test -n "$(PYTHON)" || { echo "keylift needs Python 3.11 or newer; install it or say: make PYTHON=/path/to/python3" >&2; exit 1; }
	$(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	UV_PROJECT_ENVIRONMENT=.venv $(BIN)/uv sync --quiet --frozen --inexact
	@touch $@

# The independent client of the conformance tests, in an environment of its own: its pins are not ours.
.venv-az/.ready: .venv/.ready
	$(PYTHON) -m venv --clear .venv-az
	$(BIN)/uv pip install --quiet --python .venv-az/bin/python azure-cli==2.91.0
	@touch $@

.PHONY: azure-cli
azure-cli: .venv-az/.ready

# The storage emulator that tests of shared state run against; node and npm must be there. Newer ones want node 22.
.node/.ready:
	npm install --prefix .node --silent --no-audit --no-fund --ignore-scripts azurite@3.35.0
	@touch $@

.PHONY: azurite
azurite: .node/.ready
