"""A fixed teacher's kernel: computed once, kept on disk, indexed for each batch."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from filelock import FileLock
from torch import Tensor, nn

from labonn.errors import RecordError
from labonn.ntk.blocks import ntk_blocks
from labonn.ntk.cost import DEFAULT_MEMORY_BYTES
from labonn.ntk.exact import Outputs
from labonn.ntk.probes import Readouts
from labonn.ntk.validate import Parameters, chosen_parameters, listed

SCHEMA = 1
_NOT_COMPUTED = "not computed"
OnBlock = Callable[[int, int], None]
Blocks = Callable[[Tensor], Iterator[tuple[slice, slice, Tensor]]]


class TeacherKernel:
    """The traced kernel of a model that no longer changes, on a set of images. Made by `teacher_kernel`."""

    def __init__(self, values: Tensor | Path, batches: Sequence[Tensor] | None = None) -> None:
        self._values = values
        self._places = None if batches is None else {_set_key(batch): place for place, batch in enumerate(batches)}

    def of(self, indices: Tensor) -> Tensor:
        """Return the kernel (B, B), float32, of the images at these indices (B,) of the set, in this order.

        Raises
        ------
        ValueError
            If only fixed batches were computed and this is none of them (in whatever order), or indices repeat there.
        """
        indices = indices.cpu()
        if self._places is None:
            if isinstance(self._values, Tensor):
                return self._values[indices.unsqueeze(1), indices]
            rows, back = torch.unique(indices, return_inverse=True)
            with h5py.File(self._values, "r") as file:
                block = torch.from_numpy(file["kernel"][rows.numpy()])
            return block[back][:, indices]
        place = self._places.get(_set_key(indices))
        if place is None:
            raise ValueError(
                f"these {len(indices)} images are none of the {len(self._places)} batches that were computed"
            )
        if isinstance(self._values, Tensor):
            block = self._values[place]
        else:
            with h5py.File(self._values, "r") as file:
                block = torch.from_numpy(file["kernel"][place])
        rank = indices.argsort().argsort()  # stored in ascending order of the images
        return block[rank][:, rank]


def teacher_kernel(
    model: nn.Module,
    images: Tensor,
    *,
    batches: Sequence[Tensor] | None = None,
    directory: Path | None = None,
    parameters: Parameters = None,
    outputs: Outputs | None = None,
    memory_bytes: int = DEFAULT_MEMORY_BYTES,
    on_block: OnBlock | None = None,
) -> TeacherKernel:
    """Compute the kernel of a fixed model on a set of images, or find it where it was left.

    Parameters
    ----------
    model, parameters, outputs
        As for `empirical_ntk`. With a `directory`, `outputs` has to be a function of a module, which has a name to be
        known by, or `Readouts`.
    images
        (N, ...), as the model takes them.
    batches
        The only batches that will be asked for, each (B,) distinct indices, of one size: B^2 values a batch instead of
        N^2.
    directory
        Where kernels are kept, float32 in HDF5, one file for each choice of weights, images, batches, parameters and
        outputs (known by the SHA-256 of all of them). Batches that were done when a computation was stopped, or
        killed, are not computed again. Without it, the kernel is in memory only.
    memory_bytes
        For the computation, and for what is kept in memory afterwards; a larger kernel is read from disk batch by
        batch.
    on_block
        Is told (entries done, entries in all).

    Raises
    ------
    ValueError
        If the kernel is larger than `memory_bytes` and there is no directory, batches differ in size or repeat an
        image, or as for `empirical_ntk`.
    RecordError
        If a file left there cannot be read.
    """
    parameters = listed(parameters)
    if batches is not None:
        _check_batches(batches)
    shape = (len(images), len(images)) if batches is None else (len(batches), len(batches[0]), len(batches[0]))
    large = 4 * math.prod(shape) > memory_bytes
    blocks = partial(ntk_blocks, model, parameters=parameters, outputs=outputs, memory_bytes=memory_bytes)
    if directory is None:
        if large:
            raise ValueError(
                f"a kernel of {shape} values in float32 is larger than {memory_bytes:,} bytes; "
                "give a directory to keep it in, or the fixed batches that will be used"
            )
        kernel = np.full(shape, np.nan, np.float32)
        _fill(kernel, blocks, images, batches, on_block)
        return TeacherKernel(torch.from_numpy(kernel), batches)
    path = directory / f"ntk-{_key(model, images, batches, parameters, outputs)}.h5"
    if not path.exists():
        directory.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock")):  # another training may be at it: its kernel is waited for
            if not path.exists():
                partial_path = path.with_suffix(".partial")
                with _begun(partial_path, shape) if batches else _new(partial_path, shape) as file:
                    _fill(file["kernel"], blocks, images, batches, on_block)
                with partial_path.open("rb+") as written:
                    os.fsync(written.fileno())
                partial_path.replace(path)
    _check_file(path, shape)
    if large:
        return TeacherKernel(path, batches)
    with h5py.File(path, "r") as file:
        return TeacherKernel(torch.from_numpy(file["kernel"][:]), batches)


def _fill(
    target: Any, blocks: Blocks, images: Tensor, batches: Sequence[Tensor] | None, on_block: OnBlock | None
) -> None:
    """Write a kernel, or that of each batch which has none, into an array or a data set of a file, block by block."""
    sets = [images] if batches is None else (images[batch.sort().values] for batch in batches)
    total, done = math.prod(target.shape), 0
    for place, samples in enumerate(sets):
        first = () if batches is None else (place,)
        if batches is not None and not np.isnan(target[place]).any():
            done += target[place].size
            continue
        for rows, columns, block in blocks(samples):
            values = block.float().cpu().numpy()
            target[(*first, rows, columns)] = values
            done += values.size
            if rows != columns:
                target[(*first, columns, rows)] = values.T
                done += values.size
            if on_block is not None:
                on_block(done, total)
        if isinstance(target, h5py.Dataset):
            target.flush()


def _new(path: Path, shape: tuple[int, ...]) -> h5py.File:
    """Make a file for a kernel of this shape: all of it NaN, which says that it has not been computed."""
    file = h5py.File(path, "w")
    file.create_dataset("kernel", shape, np.float32, fillvalue=np.nan)
    file["kernel"][(0,) * len(shape)] = np.nan  # now it has its place on disk: what follows changes numbers in it alone
    file.attrs["schema"] = SCHEMA
    file.flush()
    file.attrs[_NOT_COMPUTED] = np.nan  # last: a file without it was not made to its end, or by an earlier version
    file.flush()
    return file


def _begun(path: Path, shape: tuple[int, ...]) -> h5py.File:
    """Open the file of a computation that was stopped, by a kill too, or make it."""
    with suppress(OSError):
        file = h5py.File(path, "r+")
        if _NOT_COMPUTED in file.attrs and file.attrs["schema"] == SCHEMA and file["kernel"].shape == shape:
            return file
        file.close()
    return _new(path, shape)


def _check_batches(batches: Sequence[Tensor]) -> None:
    if len({len(batch) for batch in batches}) != 1 or any(len(set(batch.tolist())) != len(batch) for batch in batches):
        raise ValueError("fixed batches have to be of one size, at least one of them, each of distinct images")


def _check_file(path: Path, shape: tuple[int, ...]) -> None:
    try:
        with h5py.File(path, "r") as file:
            found, schema = file["kernel"].shape, int(file.attrs["schema"])
    except (OSError, KeyError) as error:
        raise RecordError(
            f"reading the teacher's kernel in {path}: {error}; delete it, and it will be computed again"
        ) from error
    if schema != SCHEMA or found != shape:
        raise RecordError(
            f"the teacher's kernel in {path} has schema {schema} and shape {found}, not {SCHEMA} and {shape}; "
            "delete it, and it will be computed again"
        )


def _set_key(indices: Tensor) -> bytes:
    return indices.cpu().to(torch.int64).sort().values.numpy().tobytes()


def _key(
    model: nn.Module,
    images: Tensor,
    batches: Sequence[Tensor] | None,
    parameters: Parameters,
    outputs: Outputs | None,
) -> str:
    digest = hashlib.sha256()

    def add_tensor(tensor: Tensor) -> None:
        digest.update(f"{tensor.dtype}{tuple(tensor.shape)}".encode())
        digest.update(np.ascontiguousarray(tensor.detach().cpu().numpy()).data)

    digest.update(f"{SCHEMA} {type(model).__module__}.{type(model).__qualname__} {model}".encode())
    for name, tensor in model.state_dict().items():
        digest.update(name.encode())
        add_tensor(tensor)
    add_tensor(images)
    digest.update(" ".join(chosen_parameters(model, parameters)).encode())
    if outputs is not None:
        name = f"{getattr(outputs, '__module__', '')}.{getattr(outputs, '__qualname__', '<')}"
        if isinstance(outputs, Readouts):
            name = outputs.key
        if "<" in name:
            raise ValueError(
                "a kernel on disk is known by the name of its outputs function, so that has to be a function of a "
                "module (torch.nn.functional.softmax has one; a lambda, a closure or a partial has none)"
            )
        digest.update(name.encode())
    for batch in batches or ():
        digest.update(_set_key(batch))
    return digest.hexdigest()[:32]
