# `make help` says what there is. Everything works from a fresh clone: what is missing is set up first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip --disable-pip-version-check

# What an edge box may use, beside what it always needs. pip judges markers by the machine it runs on; uv by the one that is asked for.
EDGE_EXTRAS := torch video onnx mqtt kafka parquet web otel

# Tests that start graphs, links and benches wait most of their time: they share the machine with each other, not with tests that work.
WAITING := tests/graph tests/net tests/services tests/test_bench.py tests/test_engines.py tests/test_doctor.py

.DEFAULT_GOAL := help
.PHONY: help setup demo test check check-jetson docs docs-external format bench clean

help: ## Say what each target does
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 24

setup: $(VENV)/.dev ## Set up everything for development in .venv

demo: $(VENV)/.run ## Play a stream through edge and cloud on this machine, and sum up (no data, no network needed)
	$(BIN)/clownfish run puppets:test/0 --seconds 60 --picture runs/demo.png --web $(DEMO_ARGS)

test: $(VENV)/.dev ## Run the tests (PYTEST_ARGS="tests/test_gate.py -k …": some of them)
ifdef PYTEST_ARGS
	$(BIN)/python -m pytest $(PYTEST_ARGS)
else
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile tests $(addprefix --ignore ,$(WAITING))
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile $(WAITING)
endif

check: $(VENV)/.dev ## Lint and types; build the documentation, whose links must hold
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m sphinx --quiet --fresh-env --fail-on-warning --keep-going docs build/docs

docs: $(VENV)/.dev ## Build the documentation: build/docs/index.html
	$(BIN)/python -m sphinx --fail-on-warning --keep-going docs build/docs

docs-external: $(VENV)/.dev ## Ask the network whether the documentation's links to elsewhere still lead there
	$(BIN)/python -m sphinx --quiet --builder linkcheck docs build/linkcheck

check-jetson: $(VENV)/.dev ## Would all of an edge box install on a Jetson (aarch64, Python 3.10), and does the code suit it?
	$(PIP) install --quiet uv
	mkdir -p runs
	$(BIN)/uv pip compile --quiet pyproject.toml $(addprefix --extra ,$(EDGE_EXTRAS)) --only-binary :all: \
		--constraint deploy/jetson/constraints.txt \
		--python-platform aarch64-manylinux_2_35 --python-version 3.10 --output-file runs/jetson.txt
	$(BIN)/ruff check --target-version py310 .
	@echo "$$(grep -c == runs/jetson.txt) packages, each a wheel for aarch64 and Python 3.10: runs/jetson.txt"

format: $(VENV)/.dev ## Put the code in shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.bench ## Costs, each beside its yardstick in the same run
	$(BIN)/clownfish bench $(BENCH_ARGS)

clean: ## Remove what was set up and built
	rm -rf $(VENV) dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis

# One stamp for each set of extras; a set is installed anew when the requirements change.
$(VENV)/.run: EXTRAS = torch,plot,video,web
$(VENV)/.dev: EXTRAS = dev
$(VENV)/.bench: EXTRAS = bench
$(VENV)/.run $(VENV)/.dev $(VENV)/.bench: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet --editable ".[$(EXTRAS)]" --constraint constraints.txt
	touch $@
