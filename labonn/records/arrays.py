"""A handful of named arrays in one HDF5 file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from labonn.errors import RecordError
from labonn.records.weights import Weights, as_array


def write_arrays(path: Path, arrays: Mapping[str, Any]) -> None:
    """Write named arrays to a new HDF5 file."""
    import h5py

    with h5py.File(path, "x") as file:
        file.attrs["schema"] = 1
        for name, value in arrays.items():
            file.create_dataset(name, data=as_array(value))


def read_arrays(path: Path) -> Weights:
    """Read what `write_arrays` wrote.

    Raises
    ------
    RecordError
        If the file is missing or damaged.
    """
    import h5py

    try:
        with h5py.File(path, "r") as file:
            return {name: np.asarray(file[name][()]) for name in file}
    except (OSError, KeyError, RuntimeError) as error:
        raise RecordError(f"{path}: cannot be read as arrays (HDF5): {error}") from error
