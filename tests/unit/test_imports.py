"""Who imports whom: the table in pyproject.toml holds, and no room is missing from it."""

import logging
import tomllib
from pathlib import Path

import pytest
from importlinter.cli import lint_imports

ROOT = Path(__file__).parents[2]
FOR_EVERYBODY = {"labonn.errors", "labonn.config"}


@pytest.fixture
def loggers_stay():
    """import-linter configures logging, which disables every logger that is there: those that read a log come later."""
    loggers = [one for one in logging.root.manager.loggerDict.values() if isinstance(one, logging.Logger)]
    disabled = [one.disabled for one in loggers]
    yield
    for one, before in zip(loggers, disabled, strict=True):
        one.disabled = before


@pytest.mark.usefixtures("loggers_stay")
def test_every_import_is_in_the_table(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    failed = lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True)
    assert not failed, capsys.readouterr().out


def test_every_room_is_in_the_table():
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    in_the_table = {module for contract in contracts for module in contract.get("protected_modules", [])}
    rooms = {f"labonn.{path.parent.name}" for path in (ROOT / "labonn").glob("*/__init__.py")}
    files = {f"labonn.{path.stem}" for path in (ROOT / "labonn").glob("*.py")} - {"labonn.__init__", "labonn.__main__"}
    assert (rooms | files) - FOR_EVERYBODY == in_the_table - {"protocols", "drivers"}
