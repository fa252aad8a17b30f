# `make demo` and `make test` do everything on a machine that has Python >= 3.11; both may be repeated cheaply.
# `make test TESTS=tests/unit/capture` runs a part of the suite, in one process.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# When the environment was last installed; it is installed again only when what it is made of has changed.
INSTALLED := $(VENV)/.installed

.PHONY: demo test lint clean

demo: $(INSTALLED)
	$(BIN)/labonn demo $(DEMO)

test: $(INSTALLED)
	$(BIN)/python -m pytest $(or $(TESTS),-n 2)

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "labonn needs Python >= 3.11; name one: make PYTHON=python3.12 demo" >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	touch $@

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find labonn drivers protocols sim tests -name __pycache__ -type d -prune -exec rm -rf {} +
