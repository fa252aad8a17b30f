"""One table of a file of frames: quantities whose first axis counts rows, and how many rows can be trusted."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import h5py
import numpy as np
from numpy.typing import NDArray

from labonn.errors import RecordError

VALID = "valid"
SELDOM = "seldom"
"""Table inside a group's: what only some of its rows have, and in ``row`` which."""
ROW = "row"
RESERVED = (VALID, SELDOM)

_LARGE_BYTES = 1 << 14
_SMALL_CHUNK_BYTES = 4096

Rows = Mapping[str, NDArray[Any]]


@dataclass
class Table:
    """A table that is being written.

    A large row is a chunk of its own, and its bytes are written where HDF5 has allocated the chunk: that takes half as
    long as through HDF5, and other threads run meanwhile.
    """

    node: Any  # h5py.Group
    datasets: dict[str, Any] = field(default_factory=dict)
    written: int = 0
    valid: int = 0
    capacity: int = 0
    places: dict[str, list[int]] = field(default_factory=dict)
    """Of large quantities: where each row's bytes are in the file."""
    chunks: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    """Of all quantities: the first byte of each chunk of rows, and how many it has."""

    @classmethod
    def new(cls, node: Any, rows: Rows) -> "Table":
        """Make an empty table for rows like these, which `check_kinds` has looked at."""
        node.create_dataset(VALID, data=np.int64(0))
        return cls(node, {quantity: _new_dataset(node, quantity, value) for quantity, value in rows.items()})

    @property
    def row_bytes(self) -> int:
        """What a row takes."""
        return sum(_row_bytes(dataset) for dataset in self.datasets.values())

    def check(self, where: str, rows: Rows) -> None:
        """Refuse rows that are not like the first.

        Raises
        ------
        RecordError
            If they have other quantities, shapes or types.
        """
        if rows.keys() != self.datasets.keys():
            raise RecordError(f"{where}: has {', '.join(self.datasets)}; a row of {', '.join(rows)} does not fit")
        for quantity, value in rows.items():
            dataset = self.datasets[quantity]
            if value.shape[1:] != dataset.shape[1:] or not np.can_cast(value.dtype, dataset.dtype, "same_kind"):
                raise RecordError(
                    f"{where}: {quantity} is {dataset.shape[1:]} of {dataset.dtype}; "
                    f"{value.shape[1:]} of {value.dtype} does not fit"
                )

    def grow(self, capacity: int) -> None:
        """Allocate the places of more rows; the disk must have given the space."""
        for dataset in self.datasets.values():
            dataset.resize(capacity, axis=0)
        self.capacity = capacity

    def find_places(self) -> None:
        """Ask where the large rows' bytes are; after `grow`, when HDF5 has written down what it allocated."""
        for quantity, dataset in self.datasets.items():
            known, rows_a_chunk = self.chunks.setdefault(quantity, []), dataset.chunks[0]
            rest = (0,) * (dataset.ndim - 1)
            for row in range(rows_a_chunk * len(known), self.capacity, rows_a_chunk):
                chunk = dataset.id.get_chunk_info_by_coord((row, *rest))
                known.append((int(chunk.byte_offset), int(chunk.size)))
            if _row_bytes(dataset) >= _LARGE_BYTES:
                self.places[quantity] = [start for start, _ in known]

    def write(self, rows: Rows, count: int, raw: BinaryIO) -> None:
        """Write rows into their places; they are not trusted before `acknowledge`."""
        end = self.written + count
        for quantity, value in rows.items():
            dataset = self.datasets[quantity]
            if quantity in self.places:
                for row, place in zip(value, self.places[quantity][self.written : end], strict=True):
                    _write_at(raw, place, np.ascontiguousarray(row, dataset.dtype))
            else:
                dataset[self.written : end] = value
        self.written = end

    def acknowledge(self) -> None:
        """Say that what is written can be trusted; it must have been synced."""
        if self.valid != self.written:
            self.node[VALID][()] = self.written

    def trim(self) -> None:
        """Give back the places that hold nothing."""
        for dataset in self.datasets.values():
            dataset.resize(self.valid, axis=0)


def check_kinds(where: str, rows: Rows) -> None:
    """Refuse what no table can keep.

    Raises
    ------
    RecordError
        If a quantity is no number, or has a name that is taken.
    """
    for quantity, value in rows.items():
        if value.dtype.kind not in "biuf":
            raise RecordError(f"{where}: {quantity} has type {value.dtype}; numbers are expected")
        if quantity in RESERVED:
            raise RecordError(f"{where}: no quantity can be called {quantity!r}")


def _new_dataset(node: Any, name: str, rows: NDArray[Any]) -> Any:
    """Make a dataset whose rows are chunks (small rows share one), with their places allocated as it grows."""
    rows_a_chunk = max(1, min(1024, _SMALL_CHUNK_BYTES // _row_bytes(rows)))
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_chunk((rows_a_chunk, *rows.shape[1:]))
    properties.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    properties.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    space = h5py.h5s.create_simple((0, *rows.shape[1:]), (h5py.h5s.UNLIMITED, *rows.shape[1:]))
    kind = h5py.h5t.py_create(rows.dtype, logical=True)
    return h5py.Dataset(h5py.h5d.create(node.id, name.encode(), kind, space, properties))


def _row_bytes(rows: Any) -> int:
    return max(1, int(rows.dtype.itemsize) * int(np.prod(rows.shape[1:])))


def _write_at(raw: BinaryIO, place: int, row: NDArray[Any]) -> None:
    raw.seek(place)
    rest = row.reshape(-1).view(np.uint8).data
    while rest:
        rest = rest[raw.write(rest) :]
