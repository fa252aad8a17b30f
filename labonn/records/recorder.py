"""Recording while the capture goes on: rows wait in memory, a little of them, for a thread that writes and syncs."""

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from labonn.errors import RecordError
from labonn.records.frame_table import ROW
from labonn.records.frames import FrameFile
from labonn.records.weights import as_array

_BATCH_ROWS = 16
_MOST_UNSYNCED_S = 0.5  # a slow bench's last frames are not left waiting for a batch
_MOST_WAITING_BYTES = 96 << 20  # 180 frames of 512 x 512, 40 of 1080 x 1080
# Waits are cut into slices because Windows delivers Ctrl-C only between them.
_SLICE_S = 0.2

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class _Row:
    """One capture that waits to be written, or many."""

    group: str
    arrays: Arrays
    seldom: Arrays
    many: bool
    bytes_: int


class Recorder:
    """Writes a run's frames on a thread of its own, so that whoever captures does not wait for the disk.

    What is handed in belongs to the recorder from then on and must not be changed. At most `most_waiting_bytes` wait in
    memory; whoever hands in more waits until the disk has caught up. A row is acknowledged when it is written, flushed
    and synced. An error of the writer is raised at the next row, and at every one after it.

    Parameters
    ----------
    path
        The file, as for `FrameFile`.
    while_waiting
        Called now and then while the disk is waited for; may raise what ends the wait.
    most_waiting_bytes
        Memory for rows that wait.
    """

    def __init__(
        self,
        path: Path,
        *,
        while_waiting: Callable[[], None] = lambda: None,
        most_waiting_bytes: int = _MOST_WAITING_BYTES,
    ) -> None:
        self._file = FrameFile(path, batch_rows=1 << 62)  # when to sync is decided here
        self._while_waiting = while_waiting
        self._most_waiting_bytes = most_waiting_bytes
        self._changed = threading.Condition()
        self._waiting: deque[_Row] = deque()
        self._waiting_bytes = 0
        self._unsynced = 0  # rows handed in, and not acknowledged
        self._sync_now = False
        self._ending = False
        self._error: RecordError | None = None
        self._told = False
        self._counts: dict[str, int] = {}
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def counts(self) -> dict[str, int]:
        """How many rows of each group are acknowledged."""
        with self._changed:
            return dict(self._counts)

    def append(self, group: str, seldom: Mapping[str, Any] | None = None, **arrays: Any) -> int:
        """Hand in one row; see `FrameFile.append`.

        Returns
        -------
        int
            How many rows of the group are acknowledged now.

        Raises
        ------
        RecordError
            If an earlier row could not be written: the disk refused, or it did not fit those before it.
        """
        row = {name: _own(value) for name, value in arrays.items()}
        return self._hand_in(group, row, {name: _own(value) for name, value in (seldom or {}).items()}, many=False)

    def extend(self, group: str, seldom: Mapping[str, Any] | None = None, **arrays: Any) -> int:
        """Hand in many rows; see `FrameFile.extend`. Otherwise as `append`."""
        rows = {name: _own(value) for name, value in arrays.items()}
        return self._hand_in(group, rows, {name: _own(value) for name, value in (seldom or {}).items()}, many=True)

    def flush(self) -> None:
        """Wait until every row that was handed in is acknowledged.

        Raises
        ------
        RecordError
            If one could not be written.
        """
        with self._changed:
            self._sync_now = self._unsynced > 0
            self._changed.notify_all()
            self._wait(lambda: self._unsynced == 0)

    def close(self) -> None:
        """Write what waits, acknowledge it, and close the file. May be called again.

        Raises
        ------
        RecordError
            If that fails, or a row could not be written and nobody was told yet.
        """
        with self._changed:
            self._ending = True
            self._changed.notify_all()
        if self._thread is not None:
            while self._thread.is_alive():
                self._thread.join(_SLICE_S)
        self._file.close()
        self._counts = self._file.counts
        if self._error is not None and not self._told:
            self._raise_error()

    def _hand_in(self, group: str, arrays: Arrays, seldom: Arrays, *, many: bool) -> int:
        size = sum(value.nbytes for value in (*arrays.values(), *seldom.values()))
        with self._changed:
            if self._ending:
                raise RecordError(f"{self._file.path}: is closed; nothing more can be recorded")
            if self._thread is None:
                self._thread = threading.Thread(target=self._write_all, name="recorder", daemon=True)
                self._thread.start()
            self._wait(lambda: not self._waiting or self._waiting_bytes + size <= self._most_waiting_bytes)
            self._waiting.append(_Row(group, arrays, seldom, many, size))
            self._waiting_bytes += size
            self._unsynced += 1
            self._changed.notify_all()
            return self._counts.get(group, 0)

    def _wait(self, ready: Callable[[], bool]) -> None:
        while True:
            if self._error is not None:
                self._raise_error()
            if self._changed.wait_for(lambda: ready() or self._error is not None, _SLICE_S) and self._error is None:
                return
            self._while_waiting()

    def _raise_error(self) -> None:
        assert self._error is not None
        self._told = True
        raise RecordError(*self._error.args) from self._error

    def _write_all(self) -> None:
        """Work of the thread."""
        unsynced, oldest_s = 0, 0.0
        try:
            while True:
                rows, sync = self._next(oldest_s if unsynced else None)
                if rows and not unsynced:
                    oldest_s = time.monotonic()
                for group, seldom, arrays in _together(rows):
                    self._file.extend(group, seldom, **arrays)
                unsynced += len(rows)
                if unsynced >= _BATCH_ROWS or (unsynced and (sync or time.monotonic() - oldest_s >= _MOST_UNSYNCED_S)):
                    self._file.flush()
                    self._acknowledge(unsynced)
                    unsynced = 0
                elif sync and not rows and self._ending:
                    return
        except RecordError as error:
            self._fail(error)
        except Exception as error:  # noqa: BLE001 - whatever it is, whoever records must hear of it
            self._fail(RecordError(f"{self._file.path}: cannot write frames: {type(error).__name__}: {error}"))

    def _next(self, oldest_s: float | None) -> tuple[list[_Row], bool]:
        """Wait for rows; give them, and whether to sync what there is."""
        with self._changed:
            rest_s = None if oldest_s is None else max(0.0, oldest_s + _MOST_UNSYNCED_S - time.monotonic())
            self._changed.wait_for(lambda: self._waiting or self._sync_now or self._ending, rest_s)
            rows = [self._waiting.popleft() for _ in range(min(len(self._waiting), _BATCH_ROWS))]
            self._waiting_bytes -= sum(row.bytes_ for row in rows)
            sync = (self._sync_now or self._ending) and not self._waiting
            if sync:
                self._sync_now = False
            self._changed.notify_all()
            return rows, sync

    def _acknowledge(self, count: int) -> None:
        with self._changed:
            self._counts = self._file.counts
            self._unsynced -= count
            self._changed.notify_all()

    def _fail(self, error: RecordError) -> None:
        with self._changed:
            self._error = error
            self._waiting.clear()
            self._changed.notify_all()


def _own(value: Any) -> NDArray[Any]:
    """Give an array that nobody else writes into: a view is copied, because its owner may use the memory again."""
    array = as_array(value)
    return array if array.base is None else array.copy()


def _together(rows: list[_Row]) -> list[tuple[str, Arrays, Arrays]]:
    """Join neighbouring rows of a kind, so that HDF5 is called once for all of them: group, what is seldom, arrays."""
    joined: list[tuple[str, Arrays, Arrays]] = []
    run: list[_Row] = []
    for row in [*rows, None]:
        if run and (row is None or row.many or run[0].many or not _alike(run[0], row)):
            joined.append(_join(run))
            run = []
        if row is not None:
            run.append(row)
    return joined


def _alike(first: _Row, other: _Row) -> bool:
    def form(arrays: Arrays) -> dict[str, Any]:
        return {name: (value.shape, value.dtype) for name, value in arrays.items()}

    return first.group == other.group and form(first.arrays) == form(other.arrays)


def _join(run: list[_Row]) -> tuple[str, Arrays, Arrays]:
    first = run[0]
    if first.many:
        return first.group, first.seldom, first.arrays
    arrays = {name: np.stack([row.arrays[name] for row in run]) for name in first.arrays}
    kept = [place for place, row in enumerate(run) if row.seldom]
    names = run[kept[0]].seldom if kept else {}
    seldom = {name: np.stack([run[place].seldom[name] for place in kept]) for name in names}
    return first.group, seldom and {ROW: np.array(kept, np.int64), **seldom}, arrays
