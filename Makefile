# Two commands: `make demo` and `make test`. Everything happens in .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
ifneq ($(wildcard ../shared/data),)
export SHARPAP_DATA_HOME ?= $(abspath ../shared/data)
endif

.PHONY: help pictures notebooks lock locked demo test test-slow test-lenskit test-outside lint typecheck audit audit-tool docs bench scaling results clean
.DEFAULT_GOAL := help

help:  ## Show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; set PYTHON=...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

TORCH ?= cpu
lock:  ## Write locks/ from constraints.txt: pins with hashes (asks the package index)
	$(PYTHON) .ci/lock

locked:  ## Make .venv from locks/: pip checks the hash of every file (CI; on Linux TORCH=cuda takes the index's torch)
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes \
		--requirement locks/packages.txt --requirement locks/torch-$(TORCH).txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $(STAMP)

demo: $(STAMP)  ## Run the main job on MovieLens-100K, report in results/demo
	$(BIN)/sharpap run demo --jobs 2 --out results/demo --overwrite

pictures: $(STAMP)  ## Draw docs/pictures anew, from the results of `make demo`
	$(BIN)/python benchmarks/pictures.py results/demo

notebooks: $(STAMP)  ## Write the tutorials as notebooks anew, from their pages
	$(BIN)/python website/notebooks.py

test: $(STAMP)  ## Run the test suite
	$(BIN)/python -m pytest -q -n 2

test-slow: $(STAMP)  ## Run the checks that take minutes
	$(BIN)/python -m pytest -q -m slow

test-lenskit:  ## Test the LensKit adapter in an environment of its own, with pandas 2
	$(PYTHON) -m venv .venv-lenskit
	grep -v '^pandas==' constraints.txt > .venv-lenskit/constraints.txt
	printf 'pandas==2.3.3\nlenskit==2025.8.1\n' >> .venv-lenskit/constraints.txt
	.venv-lenskit/bin/python -m pip install --quiet --disable-pip-version-check --constraint .venv-lenskit/constraints.txt \
		--editable '.[dev,lenskit]'
	.venv-lenskit/bin/python -m pytest -q tests/adapters/test_libraries.py

test-outside: export SHARPAP_ENV_HOME := $(abspath .venv-outside)
test-outside: $(STAMP)  ## Test RecBole and RecTools in environments of their own (2 GB; they want Python 3.11)
	for name in recbole rectools; do test -d .venv-outside/$$name || $(BIN)/sharpap env create $$name || exit 1; done
	$(BIN)/python -m pytest -q -m slow tests/adapters/test_isolated.py 'tests/test_docs.py::test_examples_run[recbole_lightgcn.py]'

lint: $(STAMP)  ## ruff
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

typecheck: $(STAMP)  ## basedpyright
	$(BIN)/basedpyright

audit: audit-tool  ## Known vulnerabilities of the pinned packages (asks the advisory database)
	.ci/audit $(BIN)/pip-audit

audit-tool: $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[audit]'

docs: $(STAMP)  ## Build the documentation site in build/site; a broken link is an error (Python 3.11.5 or newer)
	test -d .venv-docs || $(PYTHON) -m venv .venv-docs
	.venv-docs/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt \
		$$($(BIN)/python -c 'import tomllib as t; print(*t.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["docs"])')
	$(BIN)/python website/pages.py build/pages
	NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build --strict --quiet --config-file website/mkdocs.yml

bench: $(STAMP)  ## Time and memory beside rivals: benchmarks/results/speed.json, docs/performance.md
	$(BIN)/python -m benchmarks.speed

scaling: $(STAMP)  ## The scaling study alone, users and items apart too (about a quarter of an hour)
	$(BIN)/python -m benchmarks.speed --only growth

results: $(STAMP)  ## The run behind docs/results.md (ten minutes); docs/reproduction.md names the long ones
	$(BIN)/sharpap run ml-100k --out results/ml-100k --jobs 2 --overwrite

clean:  ## Remove the environment, caches and results
	rm -rf $(VENV) .venv-docs .venv-lenskit .venv-outside results .pytest_cache .ruff_cache .hypothesis build
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
