"""A file of frames as it was before HDF5 changed its tables: kept beside it meanwhile, and read after a crash.

HDF5 changes its tables (B-trees, object headers, the file's length) by several writes. A process that is killed between
two of them leaves a file in which nothing can be found any more, also of rows that were acknowledged long ago. So what
lies outside the rows is written down, and synced, before a change begins, and taken away when the change is synced.
Whoever reads a file beside which such a note lies sees the tables as they stood before.
"""

import io
import os
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, Self
from zipfile import BadZipFile

import numpy as np

from labonn.records.disk import sync_folder

Range = tuple[int, int]  # first byte, number of bytes


def undo_name(partial: Path) -> Path:
    """Name of the note beside a file of frames that is being written."""
    return partial.with_name(f"{partial.name}.undo")


class Undo:
    """The note beside a file that is being written: there, or not.

    Parameters
    ----------
    partial
        The file.
    """

    def __init__(self, partial: Path) -> None:
        self._path = undo_name(partial)
        self.there = False

    def begin(self, raw: BinaryIO, length: int, rows: Iterable[Range]) -> None:
        """Write down what is outside the rows; on return it survives ``kill -9`` and a power cut.

        Parameters
        ----------
        raw
            The file, which HDF5 has flushed.
        length
            Of the file, in bytes.
        rows
            Where it has rows, which HDF5 leaves alone.

        Raises
        ------
        OSError
            If the disk refuses; nothing may be changed then.
        """
        ranges = _between(length, rows)
        content = bytearray()
        for start, size in ranges:
            raw.seek(start)
            content += raw.read(size).ljust(size, b"\0")
        starts, sizes = np.array(ranges, np.int64).reshape(-1, 2).T
        try:
            with self._path.open("wb") as file:
                np.savez(file, length=length, starts=starts, sizes=sizes, content=np.frombuffer(content, np.uint8))
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            with suppress(OSError):
                self._path.unlink()
            raise
        sync_folder(self._path.parent)
        self.there = True

    def end(self) -> None:
        """Take the note away, after the change was synced; one that a power cut brings back says nothing."""
        if not self.there:
            return
        with self._path.open("rb+") as file:
            file.truncate(0)
            os.fsync(file.fileno())
        self.there = False
        with suppress(OSError):  # on Windows somebody may be reading it
            self._path.unlink()


class AsBefore(io.RawIOBase):
    """A file as it was before a change of its tables that was not finished; for reading.

    Parameters
    ----------
    path
        The file.
    length, starts, pieces
        How long it was, and what stood where.
    """

    def __init__(self, path: Path, length: int, starts: Sequence[int], pieces: Sequence[bytes]) -> None:
        super().__init__()
        self._file = path.open("rb", buffering=0)
        self._length, self._starts, self._pieces = length, starts, pieces
        self._at = 0

    @classmethod
    def of(cls, partial: Path) -> Self | None:
        """Open a file beside which a whole note lies; None where there is none, and the file is right as it is."""
        try:
            with undo_name(partial).open("rb") as file, np.load(file, allow_pickle=False) as note:
                length, starts, ends = int(note["length"]), note["starts"].tolist(), np.cumsum(note["sizes"])
                content = note["content"].tobytes()
        except (OSError, ValueError, KeyError, EOFError, BadZipFile):
            return None  # one that was not written to its end: the change had not begun
        pieces = [content[end - size : end] for end, size in zip(ends, np.diff(ends, prepend=0), strict=True)]
        return cls(partial, length, starts, pieces)

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Go to a place."""
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._length}[whence]
        return self._at

    def readinto(self, buffer: Any, /) -> int:
        """Read from that place on."""
        view = memoryview(buffer).cast("B")[: max(0, self._length - self._at)]
        begin, end = self._at, self._at + len(view)
        self._file.seek(begin)
        got = 0
        while got < len(view) and (more := self._file.readinto(view[got:])):
            got += more
        view[got:] = bytes(len(view) - got)  # it has been cut short
        for number in range(max(0, bisect_right(self._starts, begin) - 1), len(self._starts)):
            start, piece = self._starts[number], self._pieces[number]
            if start >= end:
                break
            first, last = max(start, begin), min(start + len(piece), end)
            if first < last:
                view[first - begin : last - begin] = piece[first - start : last - start]
        self._at = end
        return len(view)

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()


def _between(length: int, rows: Iterable[Range]) -> list[Range]:
    """What of a file is no row."""
    found, at = [], 0
    for start, size in sorted(rows):
        if start > at:
            found.append((at, start - at))
        at = max(at, start + size)
    return [*found, (at, length - at)] if length > at else found
