"""Captured frames on disk: one HDF5 file a run, of which a crash loses nothing that was acknowledged.

Layout of the file: a group for each kind of capture; in a group one dataset for each quantity, whose first axis counts
rows (a row is one capture), and the dataset ``valid``, the number of rows that can be trusted. What only some of the
rows have lies in the group's own group ``seldom``, with ``row`` to say of which. Rows are written, flushed and synced
before ``valid`` is raised; whatever lies beyond it is not read.

HDF5 is least safe while its own tables change. So the place for many rows is allocated at once (twice as many each
time), and between these moments a row and ``valid`` are bytes in places that exist already. While they do change, a
note beside the file says how they were: `labonn.records.undo`.

The file is called ``frames.h5.partial`` until it is closed.
"""

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import h5py
import numpy as np

from labonn.errors import RecordError
from labonn.records.disk import legal_name, sync_folder
from labonn.records.frame_reading import SCHEMA, partial_name
from labonn.records.frame_table import ROW, SELDOM, Rows, Table, check_kinds
from labonn.records.undo import Undo, undo_name
from labonn.records.weights import as_array

logger = logging.getLogger(__name__)

_FIRST_ROWS = 8
_MOST_NEW_ROWS = 512
_ROOM_FOR_INDEX = 1 << 20  # of HDF5's chunks, and the rest of a chunk of small rows


class FrameFile:
    """The file of frames of a run that is going on; for one thread.

    Nothing is made on disk before the first row. Use it as a context manager: leaving it closes the file and gives it
    its final name.
    """

    def __init__(self, path: Path, *, batch_rows: int = 16) -> None:
        self.path = path
        self._partial = partial_name(path)
        self._undo = Undo(self._partial)
        self._batch_rows = batch_rows
        self._file: Any = None
        self._raw: BinaryIO | None = None  # a second handle: large rows, and syncing, which Windows needs one for
        self._tables: dict[str, Table] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def counts(self) -> dict[str, int]:
        """How many rows of each group are acknowledged: flushed, synced and marked valid."""
        return {name: table.valid for name, table in self._tables.items() if "/" not in name}

    def append(self, group: str, seldom: Mapping[str, Any] | None = None, **arrays: Any) -> int:
        """Add one row: one array (or number) for each quantity; the first row fixes names, shapes and types.

        Parameters
        ----------
        group
            The kind of capture.
        seldom
            Quantities that are kept of some rows only; those that this row has.
        **arrays
            Quantities that every row has.

        Returns
        -------
        int
            How many rows of the group are acknowledged now; rows are acknowledged in batches, or by `flush`.

        Raises
        ------
        RecordError
            If the row does not fit the group's earlier rows, or the disk refuses.
        """
        one = {name: as_array(value)[None] for name, value in arrays.items()}
        kept = {name: as_array(value)[None] for name, value in (seldom or {}).items()}
        return self.extend(group, kept and {ROW: np.zeros(1, np.int64), **kept}, **one)

    def extend(self, group: str, seldom: Mapping[str, Any] | None = None, **arrays: Any) -> int:
        """Add many rows at once: the first axis of every array counts rows. Otherwise as `append`.

        In `seldom`, ``row`` says which of these rows the other quantities were kept of, counted from 0.
        """
        rows = {name: as_array(value) for name, value in arrays.items()}
        count = self._length(group, rows)
        try:
            table = self._table(group, rows)
            if seldom:
                kept = {name: as_array(value) for name, value in seldom.items()}
                kept[ROW] = kept[ROW].astype(np.int64) + table.written
                self._write(self._table(f"{group}/{SELDOM}", kept), kept, self._length(group, kept))
            self._write(table, rows, count)
            if table.written - table.valid >= self._batch_rows:
                self.flush()
        except (OSError, RuntimeError) as error:
            raise RecordError(f"{self.path}: cannot write frames: {error}") from error
        return table.valid

    def flush(self) -> None:
        """Acknowledge every row written so far: on return it survives ``kill -9`` and a power cut.

        Raises
        ------
        RecordError
            If the disk refuses; the rows since the last flush are not acknowledged then.
        """
        if self._file is None or all(table.valid == table.written for table in self._tables.values()):
            return
        try:
            self._sync()
            for table in self._tables.values():
                table.acknowledge()
            self._sync()
        except (OSError, RuntimeError) as error:
            raise RecordError(f"{self.path}: cannot write frames: {error}") from error
        for table in self._tables.values():
            table.valid = table.written

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
            try:
                self.flush()
                self._give_back()
            finally:
                self._let_go()
            self._undo.end()
        except (OSError, RuntimeError) as error:
            raise RecordError(f"{self.path}: cannot write frames: {error}") from error
        try:
            self._partial.replace(self.path)
            sync_folder(self.path.parent)
        except OSError as error:
            raise RecordError(f"{self._partial}: cannot be renamed to {self.path.name}: {error}") from error

    def _give_back(self) -> None:
        """Give back the places that hold nothing; a disk that is too full for the note has them kept."""
        try:
            self._before_change()
        except OSError as error:
            logger.warning("%s: places that hold nothing are not given back: %s", self.path, error)
            return
        for table in self._tables.values():
            table.trim()

    def _length(self, group: str, rows: Rows) -> int:
        lengths = {value.shape[0] if value.ndim else -1 for value in rows.values()}
        if len(lengths) != 1 or -1 in lengths:
            shapes = ", ".join(f"{name} {value.shape}" for name, value in rows.items())
            raise RecordError(f"{self.path}: {group}: arrays must have the same number of rows, not {shapes or 'none'}")
        return lengths.pop()

    def _open(self) -> Any:
        if self._file is None:
            if self.path.exists() or self._partial.exists():
                raise RecordError(f"{self.path}: exists already, and frames are never overwritten")
            self.path.parent.mkdir(parents=True, exist_ok=True)
            undo_name(self._partial).unlink(missing_ok=True)  # of a file that somebody has taken away
            begun = self._partial.with_name(f"{self._partial.name}.new")
            with h5py.File(begun, "w", locking=False) as file:
                file.attrs["schema"] = SCHEMA
            begun.replace(self._partial)
            self._file = h5py.File(self._partial, "r+", locking=False)
            self._raw = self._partial.open("rb+", buffering=0)
        return self._file

    def _table(self, name: str, rows: Rows) -> Table:
        """Give a table that these rows fit; the first ones make it."""
        where = f"{self.path}: {name}"
        if name not in self._tables:
            # a folder, where they are exported; a blank between words is welcome there
            legal_name(name.removesuffix(f"/{SELDOM}").replace(" ", "_"), "a group of frames")
            check_kinds(where, rows)
            file = self._open()
            self._before_change()
            self._tables[name] = Table.new(file.create_group(name), rows)
        self._tables[name].check(where, rows)
        return self._tables[name]

    def _write(self, table: Table, rows: Rows, count: int) -> None:
        end = table.written + count
        if end > table.capacity:
            self._before_change()
            grown = max(end, table.capacity + min(max(table.capacity, _FIRST_ROWS), _MOST_NEW_ROWS))
            try:
                self._make_room(table, grown)
            except OSError:
                grown = end
                self._make_room(table, grown)
            table.grow(grown)
            self._sync()
            table.find_places()
        assert self._raw is not None
        table.write(rows, count, self._raw)

    def _make_room(self, table: Table, capacity: int) -> None:
        """Let the disk give the space first.

        HDF5 writes down the file's new length before it finds that the disk is full, and nobody can read it then.
        """
        assert self._raw is not None
        length = int(self._file.id.get_filesize())
        more = (capacity - table.capacity) * table.row_bytes + _ROOM_FOR_INDEX
        try:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(self._raw.fileno(), length, more)
            else:
                self._raw.truncate(length + more)
        except OSError:
            self._raw.truncate(length)
            raise

    def _before_change(self) -> None:
        """Write down HDF5's tables as they are; until the next `_sync` a crash leaves them so."""
        if self._undo.there:
            return
        self._sync()
        assert self._raw is not None
        chunks = (chunk for table in self._tables.values() for some in table.chunks.values() for chunk in some)
        self._undo.begin(self._raw, int(self._file.id.get_filesize()), chunks)

    def _sync(self) -> None:
        self._file.flush()
        if self._raw is not None:
            os.fsync(self._raw.fileno())
        self._undo.end()

    def _let_go(self) -> None:
        file, self._file = self._file, None
        file.close()
        if self._raw is not None:
            os.fsync(self._raw.fileno())
            self._raw.close()
