"""Loading a protocol script: a Python file with `Parameters` and `run(lab, parameters)`."""

import importlib.util
import inspect
import re
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

from pydantic import BaseModel

from labonn.errors import ConfigError
from labonn.records.disk import sha256_of


@dataclass(frozen=True)
class Script:
    """A protocol script that can be run."""

    name: str
    path: Path
    sha256: str
    purpose: str  # the first line of its docstring
    parameters: type[BaseModel]
    run: Callable[[Any, BaseModel], Any]


def load_script(source: str | Path) -> Script:
    """Load a protocol script.

    Parameters
    ----------
    source
        A path, or the name of a shipped protocol.

    Raises
    ------
    ConfigError
        If there is no such script, it cannot be imported, or it is not a protocol; the message names file and line.
    """
    path = _find(source)
    module = _import(path)
    parameters = _parameters(module, path)
    return Script(
        name=re.sub(r"[^A-Za-z0-9_]+", "-", path.stem).strip("-")[:40] or "protocol",
        path=path,
        sha256=sha256_of(path),
        purpose=(inspect.getdoc(module) or "").partition("\n")[0],
        parameters=parameters,
        run=_run(module, path),
    )


def shipped_protocols() -> dict[str, Path]:
    """Names of the protocols that come with labonn, and their files."""
    package = importlib.util.find_spec("protocols")
    folders = (package.submodule_search_locations or []) if package else []
    files = sorted(file for folder in folders for file in Path(folder).glob("*.py"))
    return {file.stem: file for file in files if not file.stem.startswith("_")}


def last_line_in(path: Path, trace: TracebackType | None) -> int | None:
    """Find the innermost line of a script in a traceback; None if the script is not in it."""
    lines = [frame.lineno for frame in traceback.extract_tb(trace) if frame.filename == str(path)]
    return lines[-1] if lines else None


def _find(source: str | Path) -> Path:
    path = Path(source)
    if path.is_file():
        return path.resolve()
    shipped = shipped_protocols()
    if str(source) in shipped:
        return shipped[str(source)].resolve()
    known = f"one of the shipped protocols ({', '.join(shipped)})" if shipped else "the name of a shipped protocol"
    what = "file" if path.suffix == ".py" or len(path.parts) > 1 else "protocol"
    raise ConfigError(f"there is no {what} {str(source)!r}: give the path of a protocol script or {known}")


def _import(path: Path) -> ModuleType:
    name = f"labonn_protocol_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ConfigError(f"{path}: is not a Python script: its name must end with .py")
    module = importlib.util.module_from_spec(spec)
    before = sys.modules.get(name)
    sys.modules[name] = module  # pydantic looks annotations up there
    try:
        spec.loader.exec_module(module)
    except BaseException as error:
        sys.modules.pop(name)
        if before is not None:
            sys.modules[name] = before
        if isinstance(error, SyntaxError):
            place = f"{error.filename or path}, line {error.lineno}"
            raise ConfigError(f"{place}: {error.msg}: {(error.text or '').strip()}") from error
        if isinstance(error, (Exception, SystemExit)):
            line = last_line_in(path, error.__traceback__)
            raise ConfigError(f"{path}, line {line}: cannot be loaded: {type(error).__name__}: {error}") from error
        raise
    return module


def _parameters(module: ModuleType, path: Path) -> type[BaseModel]:
    parameters = getattr(module, "Parameters", None)
    if parameters is None:
        raise ConfigError(f"{path}: has no Parameters: a protocol needs `class Parameters(BaseModel)` (pydantic)")
    if not (inspect.isclass(parameters) and issubclass(parameters, BaseModel)):
        raise ConfigError(f"{path}: Parameters must be a class derived from pydantic's BaseModel, not {parameters!r}")
    return parameters


def _run(module: ModuleType, path: Path) -> Callable[[Any, BaseModel], Any]:
    run = getattr(module, "run", None)
    if run is None:
        raise ConfigError(f"{path}: has no run: a protocol needs `def run(lab: Lab, parameters: Parameters) -> Result`")
    if not callable(run) or inspect.iscoroutinefunction(run) or inspect.isgeneratorfunction(run):
        raise ConfigError(f"{path}: run must be an ordinary function `run(lab, parameters)`, not {run!r}")
    try:
        inspect.signature(run).bind(object(), object())
    except TypeError as error:
        raise ConfigError(f"{path}: run{inspect.signature(run)} cannot be called as run(lab, parameters)") from error
    return run  # type: ignore[no-any-return]
