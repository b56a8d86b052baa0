# The four commands of the README, from a fresh clone, with nothing but Python 3.11 or newer.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: install install-dev demo run test lint bench simulate lock

install: .venv/.installed
install-dev: .venv/.installed-dev

.venv/.installed: requirements.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	touch $@

.venv/.installed-dev: requirements.txt requirements-dev.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	touch .venv/.installed $@

demo: install
	$(BIN)/python -m bot demo

run: install
	$(BIN)/python -m bot run

test: install-dev
	$(BIN)/python -m pytest -n 4 --dist worksteal

lint: install-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: install-dev
	$(BIN)/python -m tests.bench

# What graduation does to ten thousand kinds of case of known rate; --plot FILE draws the README's picture.
simulate: install-dev
	$(BIN)/python -m tests.bench.simulate

# The hashes come from the registry of whoever runs this; no index address is written down.
lock: install-dev
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --all-extras pyproject.toml -o requirements.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --all-extras --group dev pyproject.toml -o requirements-dev.txt
