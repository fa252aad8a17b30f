"""Reading files of frames: while a run goes on, after its end, after it was killed; only what can be trusted."""

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from labonn.errors import RecordError
from labonn.records.frame_table import RESERVED, ROW, SELDOM, VALID
from labonn.records.undo import AsBefore

SCHEMA = 2
"""2: some quantities may be kept of some rows only. 1: all of all."""


def partial_name(path: Path) -> Path:
    """Name of a file of frames until it is closed."""
    return path.with_name(path.name + ".partial")


def frame_counts(path: Path) -> dict[str, int]:
    """How many rows each group of a file has that can be trusted; of ``frames.h5`` or what a crash left of it.

    Raises
    ------
    RecordError
        If there is no such file or it is damaged.
    """
    with _Reading(path) as file:
        return {name: _valid_rows(file[name]) for name in file}


def read_frames(
    path: Path, group: str, names: Sequence[str] | None = None, *, start: int = 0, stop: int | None = None
) -> dict[str, NDArray[Any]]:
    """Read the rows of a group that can be trusted.

    Parameters
    ----------
    path
        A ``frames.h5``; where there is only its ``.partial`` (the run goes on, or was killed), that one is read.
    group
        The kind of capture.
    names
        Which quantities; if None, all that every row has.
    start, stop
        Which rows, as in a slice.

    Returns
    -------
    dict
        Quantity -> array (rows, ...).

    Raises
    ------
    RecordError
        If there is no such file, group or quantity, or the file is damaged.
    """
    with _Reading(path) as file:
        node = _group(file, path, group)
        return _read(node, f"{path}: {group}", names, *_range(start, stop, _valid_rows(node)))


def read_kept(
    path: Path, group: str, name: str = "frame", *, start: int = 0, stop: int | None = None
) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """Read a quantity that may have been kept of some rows only, such as the raw frames of an evaluation.

    Parameters
    ----------
    path, group
        As for `read_frames`.
    name
        The quantity.
    start, stop
        Which of those that were kept, as in a slice.

    Returns
    -------
    The rows of the group that it was kept of (n,), and its values (n, ...).

    Raises
    ------
    RecordError
        If there is no such file, group or quantity, or the file is damaged.
    """
    with _Reading(path) as file:
        node = _group(file, path, group)
        rows = _valid_rows(node)
        if name in node:
            first, last = _range(start, stop, rows)
            return np.arange(first, last, dtype=np.int64), _read(node, f"{path}: {group}", [name], first, last)[name]
        seldom = node.get(SELDOM, {})
        if name not in seldom:
            raise RecordError(f"{path}: {group}: has no {name!r}, only {', '.join([*_names(node), *_names(seldom)])}")
        # Both counts are raised one after the other: what a kill left may have frames of rows that do not count yet.
        of = _read(seldom, f"{path}: {group}", [ROW], 0, _valid_rows(seldom))[ROW]
        first, last = _range(start, stop, int(np.count_nonzero(of < rows)))
        return of[first:last].astype(np.int64), _read(seldom, f"{path}: {group}", [name], first, last)[name]


def row_names(path: Path, group: str) -> tuple[str, ...]:
    """Names of the quantities that every row of a group has."""
    with _Reading(path) as file:
        return tuple(_names(_group(file, path, group)))


def kept_names(path: Path, group: str) -> tuple[str, ...]:
    """Names of the quantities that were kept of some rows of a group only; mostly none, or the raw frames."""
    with _Reading(path) as file:
        node = _group(file, path, group)
        return tuple(name for name in _names(node[SELDOM]) if name != ROW) if SELDOM in node else ()


def bytes_of(path: Path, name: str) -> int:
    """Count what a quantity takes in a whole file, in whichever groups it is.

    Raises
    ------
    RecordError
        If there is no such file or it is damaged.
    """
    with _Reading(path) as file:
        nodes = [node for group in file.values() for node in (group, group.get(SELDOM, {}))]
        return sum(int(node[name].id.get_storage_size()) for node in nodes if name in node)


def _group(file: Any, path: Path, group: str) -> Any:
    if group not in file:
        raise RecordError(f"{path}: has no frames called {group!r}, only {', '.join(file) or 'none'}")
    return file[group]


def _names(node: Any) -> list[str]:
    return [name for name in node if name not in RESERVED]


def _range(start: int, stop: int | None, rows: int) -> tuple[int, int]:
    first, last, _ = slice(start, stop).indices(rows)
    return first, max(first, last)


def _read(node: Any, where: str, names: Sequence[str] | None, first: int, last: int) -> dict[str, NDArray[Any]]:
    result = {}
    valid = _valid_rows(node)
    for name in _names(node) if names is None else names:
        if name not in node or name in RESERVED:
            if SELDOM in node and name in node[SELDOM]:
                raise RecordError(f"{where}: {name!r} was kept of some rows only; `read_kept` gives which")
            raise RecordError(f"{where}: has no {name!r}, only {', '.join(_names(node))}")
        if node[name].shape[0] < valid:
            raise RecordError(f"{where}: {name} is damaged: {node[name].shape[0]} rows, {valid} were acknowledged")
        result[name] = np.asarray(node[name][first:last])
    return result


def _valid_rows(node: Any) -> int:
    return int(node[VALID][()])


class _Reading:
    """An HDF5 file open for reading, whose faults are RecordErrors."""

    def __init__(self, path: Path) -> None:
        self._path = path if path.exists() or not partial_name(path).exists() else partial_name(path)
        self._file: Any = None
        self._before: AsBefore | None = None

    def __enter__(self) -> Any:
        if not self._path.is_file():
            raise RecordError(f"{self._path}: there are no frames here")
        try:
            self._before = AsBefore.of(self._path)
            if self._before is not None:
                self._file = h5py.File(self._before, "r")
            else:
                self._file = h5py.File(self._path, "r", locking=False)  # its writer may still be at work
            schema = int(self._file.attrs["schema"])
        except (OSError, KeyError, RuntimeError) as error:
            self._close()
            raise RecordError(f"{self._path}: is damaged, or not a file of frames: {error}") from error
        if schema > SCHEMA:
            self._close()
            raise RecordError(f"{self._path}: was written by a newer labonn (schema {schema}; this one reads {SCHEMA})")
        return self._file

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()
        if isinstance(error, (OSError, KeyError, RuntimeError)):
            raise RecordError(f"{self._path}: is damaged: {error}") from error

    def _close(self) -> None:
        for one in (self._file, self._before):
            if one is not None:
                one.close()
