"""Captured frames on disk: one HDF5 file a run, of which a crash loses nothing that was acknowledged.

Layout of the file: a group for each kind of capture; in a group one dataset for each quantity, whose first axis counts
rows (a row is one capture), and the dataset ``valid``, the number of rows that can be trusted. Rows are written,
flushed and synced before ``valid`` is raised; whatever lies beyond it is not read.

HDF5 is least safe while its own tables change. So the place for many rows is allocated at once (twice as many each
time), and between these moments a row and ``valid`` are bytes in places that exist already.

The file is called ``frames.h5.partial`` until it is closed.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import h5py
import numpy as np
from numpy.typing import NDArray

from labonn.errors import RecordError
from labonn.records.disk import legal_name, sync_folder
from labonn.records.weights import as_array

SCHEMA = 1
_VALID = "valid"
_FIRST_ROWS = 8
_MOST_NEW_ROWS = 512
_ROOM_FOR_INDEX = 1 << 20  # of HDF5's chunks, and the rest of a chunk of small rows


@dataclass
class _Group:
    """One kind of capture: its datasets, how many rows are written, how many are acknowledged."""

    node: Any  # h5py.Group
    written: int = 0
    valid: int = 0
    capacity: int = 0
    datasets: dict[str, Any] = field(default_factory=dict)


class FrameFile:
    """The file of frames of a run that is going on.

    Nothing is made on disk before the first row. Use it as a context manager: leaving it closes the file and gives it
    its final name.
    """

    def __init__(self, path: Path, *, batch_rows: int = 16) -> None:
        self.path = path
        self._partial = partial_name(path)
        self._batch_rows = batch_rows
        self._file: Any = None
        self._synced: BinaryIO | None = None  # a second handle, because Windows cannot sync through HDF5's own
        self._groups: dict[str, _Group] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def counts(self) -> dict[str, int]:
        """How many rows of each group are acknowledged: flushed, synced and marked valid."""
        return {name: group.valid for name, group in self._groups.items()}

    def append(self, group: str, **arrays: Any) -> int:
        """Add one row: one array (or number) for each quantity; the first row fixes names, shapes and types.

        Returns
        -------
        int
            How many rows of the group are acknowledged now; rows are acknowledged in batches, or by `flush`.

        Raises
        ------
        RecordError
            If the row does not fit the group's earlier rows, or the disk refuses.
        """
        return self.extend(group, **{name: as_array(value)[None] for name, value in arrays.items()})

    def extend(self, group: str, **arrays: Any) -> int:
        """Add many rows at once: the first axis of every array counts rows. Otherwise as `append`."""
        rows = {name: as_array(value) for name, value in arrays.items()}
        lengths = {value.shape[0] if value.ndim else -1 for value in rows.values()}
        if len(lengths) != 1 or -1 in lengths:
            shapes = ", ".join(f"{name} {value.shape}" for name, value in rows.items())
            raise RecordError(f"{self.path}: {group}: arrays must have the same number of rows, not {shapes or 'none'}")
        try:
            target = self._groups.get(group) or self._new_group(group, rows)
            self._check(group, target, rows)
            self._write(target, rows, lengths.pop())
            if target.written - target.valid >= self._batch_rows:
                self.flush()
        except (OSError, RuntimeError) as error:
            raise RecordError(f"{self.path}: cannot write frames: {error}") from error
        return target.valid

    def flush(self) -> None:
        """Acknowledge every row written so far: on return it survives ``kill -9`` and a power cut.

        Raises
        ------
        RecordError
            If the disk refuses; the rows since the last flush are not acknowledged then.
        """
        if self._file is None:
            return
        try:
            self._sync()
            for group in self._groups.values():
                if group.valid != group.written:
                    group.node[_VALID][()] = group.written
            self._sync()
        except (OSError, RuntimeError) as error:
            raise RecordError(f"{self.path}: cannot write frames: {error}") from error
        for group in self._groups.values():
            group.valid = group.written

    def close(self) -> None:
        """Acknowledge what is written, close the file and give it its final name. May be called again.

        Raises
        ------
        RecordError
            If the disk refuses; the ``.partial`` file stays then.
        """
        if self._file is None:
            return
        try:
            self.flush()
            for group in self._groups.values():
                for dataset in group.datasets.values():
                    dataset.resize(group.valid, axis=0)
        except RuntimeError as error:
            raise RecordError(f"{self.path}: cannot write frames: {error}") from error
        finally:
            self._let_go()
        try:
            self._partial.replace(self.path)
            sync_folder(self.path.parent)
        except OSError as error:
            raise RecordError(f"{self._partial}: cannot be renamed to {self.path.name}: {error}") from error

    def _open(self) -> Any:
        if self._file is None:
            if self.path.exists() or self._partial.exists():
                raise RecordError(f"{self.path}: exists already, and frames are never overwritten")
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = h5py.File(self._partial, "x", locking=False)
            self._synced = self._partial.open("rb+")
            self._file.attrs["schema"] = SCHEMA
        return self._file

    def _new_group(self, name: str, rows: Mapping[str, NDArray[Any]]) -> _Group:
        legal_name(name, "a group of frames")
        for quantity, value in rows.items():
            if value.dtype.kind not in "biuf":
                raise RecordError(f"{self.path}: {name}: {quantity} has type {value.dtype}; numbers are expected")
            if quantity == _VALID:
                raise RecordError(f"{self.path}: {name}: no quantity can be called {_VALID!r}")
        node = self._open().create_group(name)
        node.create_dataset(_VALID, data=np.int64(0))
        group = _Group(node)
        for quantity, value in rows.items():
            group.datasets[quantity] = _new_dataset(node, quantity, value)
        self._groups[name] = group
        return group

    def _check(self, name: str, group: _Group, rows: Mapping[str, NDArray[Any]]) -> None:
        if rows.keys() != group.datasets.keys():
            raise RecordError(
                f"{self.path}: {name}: has {', '.join(group.datasets)}; a row of {', '.join(rows)} does not fit"
            )
        for quantity, value in rows.items():
            dataset = group.datasets[quantity]
            if value.shape[1:] != dataset.shape[1:] or not np.can_cast(value.dtype, dataset.dtype, "same_kind"):
                raise RecordError(
                    f"{self.path}: {name}: {quantity} is {dataset.shape[1:]} of {dataset.dtype}; "
                    f"{value.shape[1:]} of {value.dtype} does not fit"
                )

    def _write(self, group: _Group, rows: Mapping[str, NDArray[Any]], count: int) -> None:
        end = group.written + count
        if end > group.capacity:
            grown = max(end, group.capacity + min(max(group.capacity, _FIRST_ROWS), _MOST_NEW_ROWS))
            try:
                self._make_room(group, grown)
            except OSError:
                grown = end
                self._make_room(group, grown)
            group.capacity = grown
            for dataset in group.datasets.values():
                dataset.resize(group.capacity, axis=0)
            self._sync()
        for quantity, value in rows.items():
            group.datasets[quantity][group.written : end] = value
        group.written = end

    def _make_room(self, group: _Group, capacity: int) -> None:
        """Let the disk give the space first.

        HDF5 writes down the file's new length before it finds that the disk is full, and nobody can read it then.
        """
        assert self._synced is not None
        row_bytes = sum(_row_bytes(dataset) for dataset in group.datasets.values())
        length = int(self._file.id.get_filesize())
        more = (capacity - group.capacity) * row_bytes + _ROOM_FOR_INDEX
        try:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(self._synced.fileno(), length, more)
            else:
                self._synced.truncate(length + more)
        except OSError:
            self._synced.truncate(length)
            raise

    def _sync(self) -> None:
        self._file.flush()
        if self._synced is not None:
            os.fsync(self._synced.fileno())

    def _let_go(self) -> None:
        file, self._file = self._file, None
        file.close()
        if self._synced is not None:
            self._synced.close()


def _new_dataset(node: Any, name: str, rows: NDArray[Any]) -> Any:
    """Make a dataset whose rows are chunks (small rows share one), with their places allocated as it grows."""
    row_bytes = _row_bytes(rows)
    rows_a_chunk = max(1, min(1024, 4096 // row_bytes))
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_chunk((rows_a_chunk, *rows.shape[1:]))
    properties.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    properties.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    space = h5py.h5s.create_simple((0, *rows.shape[1:]), (h5py.h5s.UNLIMITED, *rows.shape[1:]))
    kind = h5py.h5t.py_create(rows.dtype, logical=True)
    return h5py.Dataset(h5py.h5d.create(node.id, name.encode(), kind, space, properties))


def _row_bytes(rows: Any) -> int:
    return max(1, int(rows.dtype.itemsize) * int(np.prod(rows.shape[1:])))


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
        Which quantities; all of them if None.
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
        if group not in file:
            raise RecordError(f"{path}: has no frames called {group!r}, only {', '.join(file) or 'none'}")
        node = file[group]
        valid = _valid_rows(node)
        wanted = [name for name in node if name != _VALID] if names is None else list(names)
        result = {}
        for name in wanted:
            if name not in node:
                raise RecordError(f"{path}: {group}: has no {name!r}, only {', '.join(n for n in node if n != _VALID)}")
            if node[name].shape[0] < valid:
                raise RecordError(
                    f"{path}: {group}: {name} is damaged: {node[name].shape[0]} rows, {valid} were acknowledged"
                )
            first, last, _ = slice(start, stop).indices(valid)
            result[name] = np.asarray(node[name][first:last])
        return result


def _valid_rows(node: Any) -> int:
    return int(node[_VALID][()])


class _Reading:
    """An HDF5 file open for reading, whose faults are RecordErrors."""

    def __init__(self, path: Path) -> None:
        self._path = path if path.exists() or not partial_name(path).exists() else partial_name(path)
        self._file: Any = None

    def __enter__(self) -> Any:
        if not self._path.is_file():
            raise RecordError(f"{self._path}: there are no frames here")
        try:
            self._file = h5py.File(self._path, "r", locking=False)  # its writer may still be at work
            schema = int(self._file.attrs["schema"])
        except (OSError, KeyError, RuntimeError) as error:
            if self._file is not None:
                self._file.close()
            raise RecordError(f"{self._path}: is damaged, or not a file of frames: {error}") from error
        if schema > SCHEMA:
            self._file.close()
            raise RecordError(f"{self._path}: was written by a newer labonn (schema {schema}; this one reads {SCHEMA})")
        return self._file

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        if isinstance(error, (OSError, KeyError, RuntimeError)):
            raise RecordError(f"{self._path}: is damaged: {error}") from error
