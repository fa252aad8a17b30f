"""Weights on disk: safetensors, as numpy arrays, so that nothing here needs torch."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labonn.errors import RecordError

Weights = dict[str, NDArray[Any]]


def as_array(value: Any) -> NDArray[Any]:
    """Give a numpy array for an array of numpy or a tensor of torch, wherever it lies."""
    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    return np.asarray(value, order="C")  # ascontiguousarray would give a number an axis


def write_weights(path: Path, weights: Mapping[str, Any]) -> None:
    """Write named arrays (a ``state_dict()`` as it is) to a safetensors file; an OSError if the disk refuses."""
    from safetensors.numpy import save

    path.write_bytes(save({name: as_array(value) for name, value in weights.items()}))


def read_weights(path: Path) -> Weights:
    """Read named arrays from a safetensors file; for a network: ``{k: torch.from_numpy(v) for k, v in ...items()}``.

    Raises
    ------
    RecordError
        If the file is missing or damaged.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return {name: np.array(value) for name, value in load_file(path).items()}
    except (OSError, SafetensorError) as error:
        raise RecordError(f"{path}: cannot be read as weights (safetensors): {error}") from error
