"""A fixed teacher's answers: computed once for a set of images, and kept."""

import hashlib
import os
from pathlib import Path

import h5py
import numpy as np
import torch
from filelock import FileLock
from torch import Tensor, nn

from labonn.errors import RecordError
from labonn.training.accuracy import logits_of

SCHEMA = 1


def kept_logits(teacher: nn.Module, images: Tensor, folder: Path | None) -> Tensor:
    """Logits (N, C) of images (N, ...), found in the folder where they were computed before, else kept there.

    They are known by the SHA-256 of the teacher's weights and of the images; float32 in HDF5. Without a folder they are
    computed.

    Raises
    ------
    RecordError
        If a file left there cannot be read, or the disk refuses.
    """
    if folder is None:
        return logits_of(teacher, images)
    path = folder / f"logits-{_key(teacher, images)}.h5"
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(path.with_suffix(".lock")):  # another training may be at it: its answers are waited for
                if not path.exists():
                    _keep(path, logits_of(teacher, images))
    except OSError as error:
        raise RecordError(
            f"{path}: cannot be written: {error.strerror or error}; make room, and start again"
        ) from error
    try:
        with h5py.File(path, "r") as file:
            return torch.from_numpy(file["logits"][:]).to(images.device)
    except (OSError, KeyError) as error:
        raise RecordError(
            f"reading the teacher's answers in {path}: {error}; delete it, and they will be computed again"
        ) from error


def _keep(path: Path, logits: Tensor) -> None:
    partial = path.with_suffix(".partial")
    with h5py.File(partial, "w") as file:
        file.attrs["schema"] = SCHEMA
        file.create_dataset("logits", data=logits.cpu().numpy())
    with partial.open("rb+") as written:
        os.fsync(written.fileno())
    partial.replace(path)


def _key(teacher: nn.Module, images: Tensor) -> str:
    digest = hashlib.sha256(f"{SCHEMA} {type(teacher).__module__}.{type(teacher).__qualname__} {teacher}".encode())
    for name, tensor in [*teacher.state_dict().items(), ("images", images)]:
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(np.ascontiguousarray(tensor.detach().cpu().numpy()).data)
    return digest.hexdigest()[:32]
