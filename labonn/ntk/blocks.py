"""Kernels of more samples than fit in memory at once, block by block."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
from torch import Tensor, nn

from labonn.ntk.convolution import ConvolutionFactor
from labonn.ntk.cost import DEFAULT_MEMORY_BYTES
from labonn.ntk.exact import Factors, Outputs, contract, factors_of
from labonn.ntk.factors import DirectFactor, Factor, PositionFactor
from labonn.ntk.validate import Parameters, check_batch, chosen_parameters

_WORKSPACE = 3  # what a forward and a backward walk hold besides the factors that they leave, in their sizes
_TRIED_SAMPLES = 2


def ntk_blocks(
    model: nn.Module,
    x: Tensor,
    x2: Tensor | None = None,
    *,
    parameters: Parameters = None,
    outputs: Outputs | None = None,
    memory_bytes: int = DEFAULT_MEMORY_BYTES,
) -> Iterator[tuple[slice, slice, Tensor]]:
    """Yield the exact traced kernel of many samples in blocks (rows, columns, values), without gradients.

    Parameters
    ----------
    model, parameters, outputs
        As for `empirical_ntk`.
    x, x2
        (N, ...) and (M, ...). Without `x2` only blocks on and below the diagonal are computed; the one above is their
        transpose.
    memory_bytes
        What two blocks may take together, without the kernel itself. A single sample that takes more is still computed.

    Raises
    ------
    ValueError, TrainingError
        As `empirical_ntk` does.
    """
    wanted = chosen_parameters(model, parameters)
    check_batch(x)
    if x2 is not None:
        check_batch(x2, "x2")

    def settled(samples: Tensor) -> Factors:
        with torch.no_grad():
            factors = factors_of(model, samples, wanted, outputs)
            return replace(factors, parts=[_settle(part) for part in factors.parts])

    tried = settled(x[:_TRIED_SAMPLES])
    each = max(1, _WORKSPACE * tried.nbytes() // tried.samples)
    alone = x2 is None and each * x.shape[0] <= memory_bytes  # one block with itself
    side = x.shape[0] if alone else max(1, memory_bytes // (2 * each))
    others = x if x2 is None else x2
    for rows in _slices(x.shape[0], side):
        left = settled(x[rows])
        for columns in _slices(others.shape[0], side):
            if x2 is None and columns.start > rows.start:
                break
            right = left if x2 is None and columns == rows else settled(others[columns])
            with torch.no_grad():
                yield rows, columns, contract(left, right, "trace")


def blockwise_ntk(
    model: nn.Module,
    x: Tensor,
    x2: Tensor | None = None,
    *,
    parameters: Parameters = None,
    outputs: Outputs | None = None,
    memory_bytes: int = DEFAULT_MEMORY_BYTES,
    dtype: torch.dtype | None = None,
    on_block: Callable[[int, int], None] | None = None,
) -> Tensor:
    """Return the exact traced kernel (N, M) of many samples, computed in blocks, without gradients.

    `on_block(done, total)` is told how many of the kernel's entries are there. The rest is as for `ntk_blocks`.
    """
    total = x.shape[0] * (x.shape[0] if x2 is None else x2.shape[0])
    kernel: Tensor | None = None
    done = 0
    for rows, columns, block in ntk_blocks(
        model, x, x2, parameters=parameters, outputs=outputs, memory_bytes=memory_bytes
    ):
        if kernel is None:
            kernel = block.new_empty((x.shape[0], total // x.shape[0]), dtype=dtype or block.dtype)
        kernel[rows, columns] = block.to(kernel.dtype)
        done += block.numel()
        if x2 is None and rows != columns:
            kernel[columns, rows] = block.T.to(kernel.dtype)
            done += block.numel()
        if on_block is not None:
            on_block(done, total)
    assert kernel is not None  # a batch has at least one sample
    return kernel


def _settle(factor: Factor) -> Factor:
    """Form per-sample gradients once where every block would form them again."""
    if isinstance(factor, (PositionFactor, ConvolutionFactor)) and not factor.prefers_positions_of_many():
        return DirectFactor(factor.per_sample())
    return factor


def _slices(count: int, side: int) -> Iterator[slice]:
    for start in range(0, count, side):
        yield slice(start, min(start + side, count))
