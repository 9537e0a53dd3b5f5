# Everything runs in .venv, which is made when it is missing or pyproject.toml is newer.
SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin
RUNS := $(VENV)/.runs
READY := $(VENV)/.ready
LOOKS := $(VENV)/.looks
PIP := $(BIN)/python -m pip install -qq --disable-pip-version-check

# A name on the PATH may be a shim that does not run, so each is tried: Python 3.11 or newer that can make an environment.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	if "$$p" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
	command -v "$$p"; break; fi; done)

.PHONY: help demo notebook notebooks test lint layers format docs bench wheel-check ci clean oracle
.DEFAULT_GOAL := help

help:  ## show this list
	@sed -n 's/^\([a-z-]*\):[^#]*## /\1\t/p' Makefile | while IFS="$$(printf '\t')" read -r name text; do \
	printf '  make %-12s %s\n' "$$name" "$$text"; done

$(RUNS): pyproject.toml
	@if [ ! -x $(BIN)/python ] || ! $(BIN)/python -c '' 2>/dev/null; then \
	python="$(PYTHON)"; \
	if [ -z "$$python" ] || ! "$$python" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; \
	then echo "rxfeed needs Python 3.11 or newer with venv; none runs here. Name one: make PYTHON=/path/to/python3" >&2; exit 1; fi; \
	echo "making $(VENV) with $$("$$python" -V)"; "$$python" -m venv --clear $(VENV); fi
	@echo "installing rxfeed into $(VENV)"
	@$(PIP) --editable ".[calendars]"
	@touch $@

$(READY): $(RUNS)
	@echo "installing what tests and lint need into $(VENV)"
	@$(PIP) --editable ".[dev,calendars,fast,bench]"
	@touch $@

$(LOOKS): $(RUNS)
	@echo "installing JupyterLab and marimo into $(VENV)"
	@$(PIP) --editable ".[calendars,notebook]" jupyterlab
	@touch $@

# The whole path over a real WebSocket, on the simulator whatever credentials are set; it fails where the totals differ, or a
# bar of ours from one of the market's.
demo: $(RUNS)  ## stream live bars from a simulated gateway, over changes of its token, a drop, and a consumer that is too slow
	@mkdir -p build/demo
	env -u RXFEED_USER -u RXFEED_KEY -u RXFEED_CREDENTIALS -u RXFEED_GATEWAY -u PROJECT_X_USERNAME -u PROJECT_X_API_KEY \
	RXFEED_CAPACITIES__CONSUMER=2048 RXFEED_CAPACITIES__LEAST=512 $(BIN)/rxfeed run MNQ MES -t 1s -t 5s --rate 2000 \
	--token-life 12s --fault drop@10s --consumer docs/examples/busy.py:busy --for 30s -o build/demo </dev/null

notebook: $(LOOKS)  ## open the notebooks in JupyterLab, or with WITH=marimo in marimo
	@case "$(WITH)" in \
	marimo) exec $(BIN)/marimo edit notebooks ;; \
	"" | jupyter | jupyterlab) exec $(BIN)/jupyter lab notebooks/first_look.ipynb ;; \
	*) echo "WITH must be jupyter or marimo, got $(WITH)" >&2; exit 1 ;; esac

notebooks: $(READY)  ## make notebooks/*.ipynb again from notebooks/*.py
	@$(BIN)/python -m tests.notebooks

# The official SignalR client, which the simulator is tested with: skipped where there is no Node, but not on CI.
oracle:
	@cd tests/oracles/node && if [ node_modules/.ready -nt package-lock.json ]; then exit 0; fi; \
	if ! command -v node >/dev/null || ! command -v npm >/dev/null; then \
	echo "no Node here: the tests with the official SignalR client are skipped" >&2; \
	elif echo "installing @microsoft/signalr into tests/oracles/node" && npm ci --silent; then touch node_modules/.ready; exit 0; \
	else echo "npm could not install it: its tests are skipped" >&2; fi; \
	[ -z "$$CI" ] || { echo "on CI they must run" >&2; exit 1; }

test: $(READY) oracle  ## run the tests
	@$(BIN)/python -m pytest -q -n auto --maxprocesses 4 $(ARGS)

lint: $(READY)  ## check style, format, types and layers
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/pyright
	@$(MAKE) --no-print-directory layers

# Import-linter looks for rxfeed.operators inside rxfeed/, so it gets a copy that is laid out as the wheel is.
layers: $(READY)
	@rm -rf build/layers && mkdir -p build/layers
	@cp -R rxfeed build/layers/rxfeed && rm build/layers/rxfeed/operators.pyi
	@cp -R operators build/layers/rxfeed/operators
	@cd build/layers && "$(CURDIR)/$(BIN)/lint-imports" --config ../../pyproject.toml --no-cache --no-logo

format: $(READY)  ## put the code into shape
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

docs: $(RUNS)  ## make docs/operators.md from the operators' docstrings, and the table in docs/pipeline.md from the settings
	@$(BIN)/python docs/make_operators.py
	@$(BIN)/python docs/make_settings.py

bench: $(READY)  ## measure side by side with the peers
	$(BIN)/python -m tests.bench --json build/bench.json $(ARGS)
	@echo "to put these figures into docs/benchmarks.md: $(BIN)/python -m tests.bench.report build/bench.json"

wheel-check: $(READY)  ## build the wheel and use it from an empty environment
	@.ci/wheel $(BIN)/python

ci:  ## all of the above that must pass
	@.ci/run

clean:  ## remove what was made, .venv too
	rm -rf $(VENV) build dist tests/oracles/node/node_modules *.egg-info .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find rxfeed operators tests -name __pycache__ -type d -prune -exec rm -rf {} +
