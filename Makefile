# Everything a fresh machine with Python 3.11+ and make needs; all of it lives in .venv.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin

.PHONY: help install demo test check format docs bench browser clean

help:  ## these lines
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

install: $(VENV)/installed  ## set up .venv with the package and the tools for development

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

demo: install  ## compress CONV-7 on the packaged Fashion-MNIST sample, into runs/demo
	$(BIN)/archpress compress conv7 --data fashion-mnist-sample --max-parameters 93000 --run runs/demo

test: install  ## all tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

check: install  ## what CI runs: format, lint, types, tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(MAKE) test

format: install  ## format and mend what can be mended
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: install  ## how fast the parts are, added to benchmarks/results/speed.jsonl
	$(BIN)/python benchmarks/speed.py --out benchmarks/results/speed.jsonl

$(VENV)/installed-browser: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[browser]'
	@touch $@

browser: $(VENV)/installed-browser  ## the tests that open pages in a Chromium, which must be there
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m browser

$(VENV)/installed-docs: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[docs]'
	@touch $@

docs: $(VENV)/installed-docs  ## the pages of docs/ as a site that needs no network, into site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

clean:  ## remove the environment and caches, not the runs
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist site
