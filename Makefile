# Two commands for a bare machine with Python 3.11: `make search` and `make test`.
# Each makes the virtual environment by itself; `make clean` removes it.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
STUDY ?= pocket
IMAGE ?= transfer-search:dev
BUILD_FLAGS ?=
DATA_ROOT ?=
export PIP_DISABLE_PIP_VERSION_CHECK := 1

# Tests of one file stay in one process, in order; what is made once is shared (tests/conftest.py).
PYTEST := OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder

.PHONY: help search test test-slow test-all check format schemas docs docs-serve docs-images bench bench-gpu ui clean image image-test sbom audit

# What `make help` shows stands behind ## in the line of the target.
help:  ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

search: $(READY)  ## install into .venv, search the embedded benchmark, report (STUDY=name for another)
	$(BIN)/transfer-search run $(STUDY)
	@echo "The record: make ui. A model of the winner: $(BIN)/transfer-search retrain $(STUDY)"

test: $(READY)  ## every fast test
	$(PYTEST) -m "not slow"

test-slow: $(READY)  ## the long tests
	$(PYTEST) -m slow

test-all: $(READY)  ## all of them
	$(PYTEST)

format: $(READY)  ## let ruff rewrite what it can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

schemas: $(READY)  ## write the JSON Schemas of report, status and compare into docs/reference
	$(BIN)/python -m scripts.report_schemas

check: $(READY)  ## format, lint, types, the import contract, the links of the documentation
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(MKDOCS) build --strict --quiet

# MkDocs' theme prints news of its makers otherwise.
MKDOCS := NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs
docs: $(READY)  ## write the page of commands, build the documentation into build/docs
	$(BIN)/python -m scripts.command_page
	$(BIN)/python -m scripts.report_schemas
	$(MKDOCS) build --strict
	@echo "open build/docs/index.html"

docs-serve: $(READY)  ## the documentation at http://127.0.0.1:8000, built again as pages change
	$(MKDOCS) serve --dev-addr 127.0.0.1:8000

# The pictures of README and tutorial, from the record of a study in a home: HOME_FOLDER=... STUDY=...
HOME_FOLDER ?= .transfer-search
docs-images: $(READY)  ## draw docs/images from a finished study
	$(BIN)/python -m scripts.docs_images $(STUDY) --home $(HOME_FOLDER)

# Each script takes minutes; they run one after the other and write benchmarks/RESULTS.md. DATA_ROOT
# reads rows from a folder in the hub's layout. `bench-gpu` needs a machine with a GPU.
BENCH := OMP_NUM_THREADS=1 $(BIN)/python -m
ROWS := $(if $(DATA_ROOT),--data-root $(DATA_ROOT))
bench: $(VENV)/.bench  ## compare with other tools; each benchmark takes minutes
	$(BENCH) benchmarks.training_throughput --write $(ROWS)
	$(BENCH) benchmarks.scoring_throughput --write $(ROWS)
	$(BENCH) benchmarks.search_by_hand --write
	$(BENCH) benchmarks.stage_sharing --write
	$(BENCH) benchmarks.worker_scaling --write $(ROWS)
	$(BENCH) benchmarks.mining_speed --write
	$(BENCH) benchmarks.control_plane_cost --write
	$(BENCH) benchmarks.sampler_comparison --write
	$(BENCH) benchmarks.kill_recovery --write

bench-gpu: $(VENV)/.bench  ## compare training on a GPU
	$(BIN)/python -m benchmarks.gpu_throughput --write

# BUILD_FLAGS: further words for docker build, e.g. --build-arg TORCH=cuda (docs/how-to/docker.md).
image:  ## the image of the service
	DOCKER_BUILDKIT=1 docker build $(BUILD_FLAGS) --tag $(IMAGE) \
	  --build-arg REVISION=$$(git rev-parse HEAD) .

image-test: $(READY)  ## the image and the service on a real Docker engine
	$(BIN)/pytest tests/image_tests

# What the lock names, as a CycloneDX bill of materials.
sbom: $(VENV)/.audit  ## a bill of materials of what the lock names
	$(BIN)/cyclonedx-py requirements constraints.txt --pyproject pyproject.toml \
	  --output-reproducible --output-file sbom.json

# Known holes in what the lock names, by the OSV database.
audit: $(VENV)/.audit  ## known holes in what the lock names
	$(BIN)/pip-audit --requirement constraints.txt --no-deps --disable-pip --vulnerability-service osv

ui: $(READY)  ## the trials of STUDY in MLflow's own UI
	$(BIN)/transfer-search ui $(STUDY)

clean:  ## remove .venv
	rm -rf $(VENV)

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet -e '.[dev]' -c constraints.txt
	touch $@

$(VENV)/.audit: $(READY)
	$(BIN)/pip install --quiet -e '.[audit]' -c constraints.txt
	touch $@

$(VENV)/.bench: $(READY)
	$(BIN)/pip install --quiet -e '.[bench]' -c constraints.txt
	touch $@
