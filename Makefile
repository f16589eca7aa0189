# make book    the book in _build/html/index.html
# make test    the checks of every day      make test-all    every check
# Both create the environment in .venv first; "make help" lists the rest.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
ARGS ?=
CORPORA ?=
# Oldest supported versions, for test-oldest (tests/test_environment.py compares them with pyproject.toml).
TORCH ?= 2.10.0
TRANSFORMERS ?= 5.0.0
# What a GPU machine has, for test-gpu-stack, and the tests that are run there: training, predictions, Fisher.
GPU_TORCH ?= 2.11.0
GPU_TRANSFORMERS ?= 5.17.0
GPU_TESTS := tests/ensembles tests/measures/fisher tests/measures/test_output.py tests/measures/test_disagreement.py \
  tests/measures/test_contextual.py tests/measures/test_strands.py
# Processes here start by the dozen; without bytecode each of them compiles torch and transformers anew, which
# more than doubles the processor time of its imports.
unexport PYTHONDONTWRITEBYTECODE
MARKERS := not colab$(if $(filter 1,$(CORPORA)),, and not corpora)
PYTEST = OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -q

.PHONY: help book test test-all test-oldest test-gpu-stack test-colab lint format clean distclean env

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 12

book: $(STAMP) ## run the chapters and build the pages (options: make book ARGS="--profile smoke")
	@$(BIN)/gfm build $(ARGS)

test: lint ## lint, types, imports and all tests but the slow ones (with the real corpora: make test CORPORA=1)
	@$(PYTEST) -m "$(MARKERS) and not slow"

test-all: test ## the same, then the slow tests: the whole book, clusters, processes that are killed
	@$(PYTEST) -m "$(MARKERS) and slow"

test-colab: $(STAMP) ## every notebook alone, in a new environment with only Jupyter and torch (half an hour)
	@$(BIN)/python -m pytest -q -x -m colab tests/test_colab.py $(ARGS)

# An environment in $(1) with the versions $(2) of torch and $(3) of transformers, made with the first of $(4) that
# works; what these two bring along, and what they refuse, is left to pip.
define other-versions
	@if [ ! -x $(1)/bin/python ]; then \
	  for name in $(4); do \
	    if $$name -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then $$name -m venv $(1); break; fi; \
	  done; \
	fi
	@grep -vE '^(torch|transformers|tokenizers|huggingface[-_]hub|safetensors|setuptools|triton|nvidia-.*)==' constraints.txt > $(1)/constraints.txt
	@$(1)/bin/python -m pip install -q --disable-pip-version-check -c $(1)/constraints.txt \
	  "torch==$(2)" "transformers==$(3)" -e '.[dev]'
endef

test-oldest: ## the unit tests with the oldest supported versions, in .venv-oldest (torch from elsewhere: TORCH=2.13.0)
	$(call other-versions,.venv-oldest,$(TORCH),$(TRANSFORMERS),python3.11 python3)
	@OMP_NUM_THREADS=1 .venv-oldest/bin/python -m pytest -n 2 --dist loadfile -q -m "$(MARKERS)" --ignore tests/test_chapters.py

test-gpu-stack: ## tests of what runs on a GPU with the versions of a GPU machine, on a CPU (torch with CUDA: gigabytes)
	$(call other-versions,.venv-gpu-stack,$(GPU_TORCH),$(GPU_TRANSFORMERS),python3.12 $(wildcard $(HOME)/.pyenv/versions/3.12.*/bin/python3.12) python3.11 python3)
	@OMP_NUM_THREADS=1 .venv-gpu-stack/bin/python -m pytest -n 2 --dist loadfile -q -m "$(MARKERS)" $(GPU_TESTS) $(ARGS)

lint: $(STAMP) ## style, types and the direction of imports
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: $(STAMP) ## put the sources into the project's format
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

clean: ## remove what the book and the tools made; trained ensembles stay
	rm -rf _build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis

distclean: clean ## the same, and the environment and the trained ensembles
	rm -rf $(VENV) runs

env: $(STAMP) ## the environment alone

# The constraints are those of Python 3.11, so that is tried first; a name that only pretends (pyenv) is passed over.
$(STAMP): pyproject.toml constraints.txt
	@if [ ! -x $(BIN)/python ]; then \
	  for name in python3.11 python3.12 python3.13 python3; do \
	    if $$name -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then found=$$name; break; fi; \
	  done; \
	  if [ -z "$${found:-}" ]; then \
	    echo "Python 3.11 or newer with its venv module is needed, and none was found on the PATH." >&2; exit 1; \
	  fi; \
	  echo "creating $(VENV) with $$($$found --version)"; \
	  $$found -m venv $(VENV); \
	fi
	@echo "installing the environment (minutes, once) ..."
	@$(BIN)/python -m pip install --disable-pip-version-check --no-input --no-compile --progress-bar off -c constraints.txt -e '.[dev]' \
	  2> >(grep -v 'is ignored: it is neither a file nor a directory' >&2) \
	  | awk '/^Collecting/ { if (++n % 20 == 0) { print "  " n " packages found"; fflush() } } \
	         /^Installing collected/ { print "  installing them ..."; fflush() } \
	         /^Successfully installed/ { print "  installed" }'
	@touch $@
