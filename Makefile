# `make help` says what there is. Everything works from a fresh clone: what is missing is set up first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help setup demo test check format bench clean

help: ## Say what each target does
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 16

setup: $(VENV)/.dev ## Set up everything for development in .venv

demo: $(VENV)/.run ## Play a stream through edge and cloud on this machine, and sum up (no data, no network needed)
	$(BIN)/clownfish run puppets:test/0 --seconds 60 --picture runs/demo.png --web $(DEMO_ARGS)

test: $(VENV)/.dev ## Run the tests
	$(BIN)/python -m pytest $(PYTEST_ARGS)

check: $(VENV)/.dev ## Lint and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

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
