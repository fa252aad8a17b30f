"""Pickles that others made, of which nothing but arrays of bytes, strings, containers and numbers is admitted."""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labonn.errors import DataError

LARGEST_BYTES = 64_000_000  # twice the publishers' largest file


def read_array_pickle(path: Path) -> Any:
    """Read a pickle without running anything that stands in it.

    A pickle names functions that its reader is to call. Of those, only the three are known by which numpy writes an
    array, and each stands here for something that can do no more than make an array of bytes.

    Raises
    ------
    DataError
        If it is missing, too large, damaged, or names anything else.
    """
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            if size > LARGEST_BYTES:
                raise DataError(f"{path}: has {size} bytes, and at most {LARGEST_BYTES} are expected: fetch it again")
            file.seek(0)
            return _ArraysOnly(file, encoding="bytes").load()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}; fetch it again") from error
    except _Refused as error:
        raise DataError(
            f"{path}: asks for {error}, which no array needs: this is not the publishers' file, and nothing of it"
            " was run; fetch it again"
        ) from error
    except (
        pickle.UnpicklingError, EOFError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError,
        MemoryError, RecursionError,
    ) as error:  # fmt: skip
        raise DataError(f"{path}: is damaged ({error}): fetch it again") from error


class _Refused(Exception):
    """A pickle names something that is not admitted."""


class _ArraysOnly(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """Give what stands for a name, if it is one of numpy's three."""
        try:
            return _ADMITTED[module, name]
        except KeyError:
            raise _Refused(f"{module}.{name}") from None


def _array(subtype: Any, shape: Any, kind: Any) -> NDArray[np.uint8]:
    """Make an empty array, which the pickle then fills; stands for numpy's `_reconstruct`."""
    if subtype is not _array_type:
        raise _Refused(f"an array of type {subtype!r}")
    return np.empty(0, np.uint8)


def _array_type(*arguments: Any) -> Any:
    """Stand for `numpy.ndarray`, which is only named and never called."""
    raise _Refused("a call of numpy.ndarray")


def _byte_type(kind: Any, *rest: Any) -> np.dtype[np.uint8]:
    """Stand for `numpy.dtype`: unsigned bytes, and nothing else."""
    if kind not in ("u1", b"u1"):
        raise _Refused(f"an array of {kind!r}")
    return np.dtype(np.dtype("u1"), copy=True)


_ADMITTED: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy.core.multiarray", "_reconstruct"): _array,
    ("numpy._core.multiarray", "_reconstruct"): _array,
    ("numpy", "ndarray"): _array_type,
    ("numpy", "dtype"): _byte_type,
}
