# Two commands for a bare machine with Python 3.11: `make search` and `make test`.
# Each makes the virtual environment by itself; `make clean` removes it.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
STUDY ?= pocket
export PIP_DISABLE_PIP_VERSION_CHECK := 1

# Tests of one file stay in one process, in order; what is made once is shared (tests/conftest.py).
PYTEST := OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder

.PHONY: search test test-slow test-all check ui clean

search: $(READY)
	$(BIN)/transfer-search run $(STUDY)
	@echo "The record: make ui, then http://127.0.0.1:5000. A model of the winner: $(BIN)/transfer-search retrain $(STUDY)"

test: $(READY)
	$(PYTEST) -m "not slow"

test-slow: $(READY)
	$(PYTEST) -m slow

test-all: $(READY)
	$(PYTEST)

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

ui: $(READY)
	$(BIN)/mlflow ui --backend-store-uri "$${MLFLOW_TRACKING_URI:-sqlite:///$$(pwd)/.transfer-search/mlflow.db}" --host 127.0.0.1 --port 5000

clean:
	rm -rf $(VENV)

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet -e '.[dev]' -c constraints.txt
	touch $@
