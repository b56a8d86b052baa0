# Everything runs from a fresh clone with Python 3.11 or newer; .ci/with-postgres says what PostgreSQL needs.
PYTHON ?= python3
BIN := .venv/bin
SIDE_BY_SIDE := -n 4 --dist worksteal
# With RETRY=1 the tests that failed run once more, alone: four side by side starve one another on two cores.
AGAIN := $(if $(RETRY),$(BIN)/python -m pytest --last-failed --last-failed-no-failures none,false)

.PHONY: install install-dev demo run test test-postgres store-on-postgres e2e-on-postgres coverage
.PHONY: lint format bench simulate lock

install: .venv/.installed
install-dev: .venv/.installed-dev

# The command `polar-approvals` of this clone; an installed package brings its own.
define COMMAND
printf '#!/bin/sh\nPYTHONPATH="%s" exec "%s/python" -m bot "$$@"\n' '$(CURDIR)' '$(CURDIR)/$(BIN)' > $(BIN)/polar-approvals
chmod +x $(BIN)/polar-approvals
endef

.venv/.installed: requirements.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	$(COMMAND)
	touch $@

.venv/.installed-dev: requirements.txt requirements-dev.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	$(COMMAND)
	touch .venv/.installed $@

demo: install
	$(BIN)/polar-approvals demo

run: install
	$(BIN)/polar-approvals run

# All tests, and then those that hold a bound of time, with no other beside them. One of them with
# T=tests/unit/test_money.py::test_name; some by their marks with ONLY='not browser'; pytest's options in ARGS.
test: install-dev
ifdef T
	$(BIN)/python -m pytest '$(T)' $(ARGS)
else
	$(BIN)/python -m pytest $(SIDE_BY_SIDE) -m '$(if $(ONLY),($(ONLY)) and) not timed' $(ARGS) || $(AGAIN)
	$(BIN)/python -m pytest -m '$(if $(ONLY),($(ONLY)) and) timed' $(ARGS) || [ $$? -eq 5 ] || $(AGAIN)  # 5: none is asked for
endif

# What may differ between the databases, on a PostgreSQL server of its own or on that of POSTGRES_URL.
test-postgres: install-dev
	REQUIRE_POSTGRES=1 .ci/with-postgres $(MAKE) --no-print-directory store-on-postgres e2e-on-postgres

store-on-postgres: install-dev
	$(BIN)/python -m pytest $(SIDE_BY_SIDE) -m postgres $(ARGS)

e2e-on-postgres: export TEST_DATABASE = postgresql
e2e-on-postgres: install-dev
	$(BIN)/python -m pytest $(SIDE_BY_SIDE) -m "not browser and not sqlite and not timed" tests/e2e $(ARGS) || $(AGAIN)
	$(BIN)/python -m pytest -m "timed and not sqlite" tests/e2e $(ARGS) || $(AGAIN)

# All tests but those that hold a bound of time, and which lines and branches they reach; fails below the floor in pyproject.toml.
coverage: install-dev
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest $(SIDE_BY_SIDE) -m 'not timed' $(ARGS)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

lint: install-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: install-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# What tests/bench/README.md shows; with QUICK=1 less than a minute of it, which fails below its floors.
bench: install-dev
	$(BIN)/python -m tests.bench $(if $(QUICK),--quick) $(ARGS)

# What graduation does to ten thousand kinds of case of known rate; --plot FILE draws the README's picture.
simulate: install-dev
	$(BIN)/python -m tests.bench.simulate

# The hashes come from the registry of whoever runs this; no index address is written down.
lock: install-dev
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --all-extras pyproject.toml -o requirements.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --all-extras --group dev pyproject.toml -o requirements-dev.txt
