# Everything runs in .venv, made from the pinned requirements when it is missing or older than they are.
SHELL := /bin/sh
PYTHON ?= python3
export PATH := $(CURDIR)/.venv/bin:$(PATH)
INSTALL = python -m pip install --quiet --disable-pip-version-check --require-hashes

.DEFAULT_GOAL := help

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' Makefile

repro: .venv/run  ## bring every stage up to date: raw data -> package
	@python -m pipeline check
	dvc repro

test: .venv/dev  ## run the whole test suite (`pytest` alone: the fast tests)
	python -m pytest -n 2 --dist loadgroup -m "not long"

# The columns of `dvc exp show`: the headline metrics and what was changed, in 100 characters.
COLUMNS_SHOWN = Experiment$$|(model|dataset|seed)$$|(models|datasets)[.]|(test|shifted)[.](accuracy|(macro|micro|span)_f1|nats_per_character|(.*[.])?(mae|r2))$$

experiments:  ## a table of all experiments, in few columns; `dvc exp show` has every figure
	@dvc exp show --no-pager --only-changed --hide-workspace --drop '^(?!$(COLUMNS_SHOWN))'

soak: .venv/dev  ## the long tests; then interrupt, damage and fuzz at length: nothing may be lost (hours)
	python -m pytest -n 2 --dist loadgroup -m long
	PYTHONPATH=.:tests/harness:tests/samples:tests/serving:tests/soak python tests/soak/soak.py $(SOAK)

bench: .venv/run .venv-benchmarks/ready .venv-servers/ready  ## time this beside Keras, PyTorch and others: benchmarks/RESULTS.md (an hour)
	python -m benchmarks $(BENCH)

bench-quick: .venv/run  ## each benchmark once, small: does it run, and is each fast path still fast? (3 minutes)
	python -m benchmarks --quick

lint: .venv/dev  ## check style and types
	ruff check .
	ruff format --check .
	basedpyright

pins: .venv/dev  ## resolve pyproject.toml into requirements*.txt and versions.yaml anew (needs uv)
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate \
	    pyproject.toml -o requirements.txt
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate \
	    --extra dev --extra ray --extra sign -c requirements.txt pyproject.toml -o requirements-dev.txt
	@python -c 'import re; from pathlib import Path; \
	    pins, file = Path("requirements.txt").read_text(), Path("versions.yaml"); \
	    pinned = lambda name: " or ".join(re.findall(rf"(?m)^{name}==(\S+)", pins)); \
	    file.write_text(re.sub(r"(?m)^([a-z-]+): .*", lambda line: f"{line[1]}: \"{pinned(line[1])}\"", file.read_text()))'

clean:  ## remove the environments and all that the stages wrote; the DVC cache stays
	rm -rf .venv .venv-benchmarks .venv-servers data/prepared data/features trained evaluation package plots/tables logs

.venv/run: requirements.txt
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "error: Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)" >&2; exit 1; }
	@echo "installing what requirements.txt pins into .venv: a minute or two, once"
	@"$(PYTHON)" -m venv .venv
	@$(INSTALL) -r requirements.txt
	@touch .venv/run

.venv/dev: .venv/run requirements-dev.txt
	@$(INSTALL) -r requirements-dev.txt
	@touch .venv/dev

.venv-benchmarks/ready: benchmarks/requirements.txt
.venv-servers/ready: benchmarks/serving/peers/requirements.txt
.venv-%/ready:
	@echo "installing what $< pins into $(@D): some minutes, once"
	@"$(PYTHON)" -m venv $(@D)
	@$(@D)/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@

.PHONY: help repro experiments test bench bench-quick soak lint pins clean
