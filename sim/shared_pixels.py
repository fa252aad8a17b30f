"""Pixels between the world and its clients: one memory-mapped file, which Windows has as well, and no socket's copies.

The file has a place for the next picture of each panel, which a client writes, and a ring of places for frames, which
the world writes. The world tells a client where everything is, and in which place a frame lies.
"""

from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_PAGE = 4096


@dataclass(frozen=True)
class Place:
    """One array in the file."""

    offset: int
    shape: tuple[int, ...]
    dtype: str

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {"offset": self.offset, "shape": list(self.shape), "dtype": self.dtype}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "Place":
        """From what `to_json` made."""
        return cls(int(value["offset"]), tuple(int(side) for side in value["shape"]), str(value["dtype"]))


def lay_out(arrays: dict[str, tuple[tuple[int, ...], str]]) -> tuple[dict[str, Place], int]:
    """Give each array, by shape and dtype, a place; return the places and the file's size in bytes."""
    places, offset = {}, 0
    for name, (shape, dtype) in arrays.items():
        places[name] = Place(offset, shape, dtype)
        offset += -(-prod(shape) * np.dtype(dtype).itemsize // _PAGE) * _PAGE
    return places, offset


def open_places(path: Path, places: dict[str, Place]) -> dict[str, NDArray[Any]]:
    """Map the file's arrays, to read and to write."""
    return {
        name: np.memmap(path, dtype=place.dtype, mode="r+", offset=place.offset, shape=place.shape)
        for name, place in places.items()
    }
