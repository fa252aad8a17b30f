"""The traced kernel of all linear layers at once, as one node of the backward pass.

For a small backend the arithmetic takes less time than the calls, so the calls are few: the same sums as
`LinearFactor.gram`, with their gradient in closed form.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from labonn.ntk.factors import LinearFactor

_PER_FACTOR = 3  # inputs, base, scale


class _LinearTraces(torch.autograd.Function):
    """Sum over layers of (A A^T + 1) * Gram(gradients), of one batch with itself."""

    @staticmethod
    def forward(ctx: Any, flags: list[tuple[bool, bool]], *tensors: Tensor | None) -> Tensor:
        kernel: Tensor | None = None
        kept: list[tuple[Tensor | None, Tensor, Tensor | None]] = []
        for place, (weight, bias) in enumerate(flags):
            inputs, base, scale = tensors[_PER_FACTOR * place : _PER_FACTOR * (place + 1)]
            assert inputs is not None
            assert base is not None
            gram, weights = _gram(base, scale)
            if weight:
                outer = inputs @ inputs.T
                if bias:
                    outer.add_(1)
                part = outer * gram
            else:
                outer, part = None, gram
            kept.append((outer, gram, weights))
            kernel = part if kernel is None else kernel + part
        ctx.save_for_backward(*tensors)
        ctx.kept = kept
        assert kernel is not None
        return kernel

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        # every Gram is symmetric, so only the symmetric part of the gradient counts
        both = gradients[0] + gradients[0].T
        results: list[Tensor | None] = [None]
        for place, (outer, gram, weights) in enumerate(ctx.kept):
            start = _PER_FACTOR * place
            inputs, base, scale = ctx.saved_tensors[start : start + _PER_FACTOR]
            of_inputs, of_base, of_scale = ctx.needs_input_grad[1 + start : 1 + start + _PER_FACTOR]
            result: list[Tensor | None] = [None, None, None]
            if of_inputs and outer is not None:
                result[0] = (both * gram) @ inputs
            if of_base or of_scale:
                through = both if outer is None else both * outer
                if scale is not None:
                    along = through @ scale
                    result[1] = base * (along * scale).sum(0) if of_base else None
                    result[2] = along * weights if of_scale else None
                elif base.shape[0] == 1:
                    result[1] = base * through.sum()
                else:
                    result[1] = (through @ base.flatten(1)).view_as(base)
            results += result
        return tuple(results)


def _gram(base: Tensor, scale: Tensor | None) -> tuple[Tensor, Tensor | None]:
    if scale is not None:
        weights = (base * base).sum(1)  # classes fold away: the derivative is common to them
        return (scale * weights) @ scale.T, weights
    if base.shape[0] == 1:
        return (base * base).sum(), None
    flat = base.flatten(1)
    return flat @ flat.T, None


def linear_traces(factors: list[LinearFactor]) -> Tensor:
    """Return the summed kernel (N, N) of linear layers of one batch, or what broadcasts to it."""
    tensors = [t for f in factors for t in (f.inputs, f.gradients.base, f.gradients.scale)]
    flags = [(factor.weight, factor.bias) for factor in factors]
    kernel: Tensor = _LinearTraces.apply(flags, *tensors)  # type: ignore[no-untyped-call]
    return kernel
