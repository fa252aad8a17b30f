"""The gradients of the outputs with respect to one value, kept in the smallest form that is exact."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Cotangent:
    r"""d out_c(x_n) / d value, as ``scale[n] * base[n or 0, c]``.

    Attributes
    ----------
    base
        (1 or N, C, \*shape). One row stands for all samples where the gradient does not depend on the sample, as above
        the last nonlinearity.
    scale
        (N, \*shape) or None. A pointwise nonlinearity multiplies all classes by the same derivative: kept apart, the
        Gram matrix of the layer before the last needs no class axis at all.
    """

    base: Tensor
    scale: Tensor | None = None
    identity: bool = False  # base is the unit matrix: the outputs themselves, not yet passed through anything

    @property
    def classes(self) -> int:
        """How many outputs, or probes of them."""
        return self.base.shape[1]

    @property
    def shape(self) -> torch.Size:
        """Shape of one sample's gradient of one output."""
        return self.base.shape[2:]

    def dense(self) -> Tensor:
        """Return it as (1 or N, C, *shape)."""
        return self.base if self.scale is None else self.scale.unsqueeze(1) * self.base

    def full(self, samples: int) -> Tensor:
        """Return it as (N, C, *shape)."""
        return self.dense().expand(samples, *self.base.shape[1:])

    def times(self, derivative: Tensor) -> Cotangent:
        """Multiply by a derivative that differs between samples, (N, *shape)."""
        if self.scale is None and self.base.shape[0] > 1:
            return Cotangent(self.base * derivative.unsqueeze(1))
        return Cotangent(self.base, derivative if self.scale is None else self.scale * derivative)

    def times_constant(self, factor: Tensor | float) -> Cotangent:
        """Multiply by what is the same for all samples: a number, or a tensor that broadcasts to `shape`."""
        return Cotangent(self.base * factor, self.scale)

    def linear(self, function: Callable[[Tensor], Tensor]) -> Cotangent:
        """Apply a linear function of (batch, *shape) to each sample and class."""
        dense = self.dense()
        result = function(dense.flatten(0, 1))
        return Cotangent(result.reshape(*dense.shape[:2], *result.shape[1:]))

    def times_matrix(self, matrix: Tensor) -> Cotangent:
        """Pass back through x -> x matrix^T, on the last axis."""
        if self.identity:
            return Cotangent(matrix.unsqueeze(0))
        return Cotangent(self.dense() @ matrix)

    def reshape(self, shape: torch.Size) -> Cotangent:
        """Give each sample's gradient another shape of the same size."""
        scale = None if self.scale is None else self.scale.reshape(self.scale.shape[0], *shape)
        return Cotangent(self.base.reshape(*self.base.shape[:2], *shape), scale)

    def permute(self, axes: list[int]) -> Cotangent:
        """Reorder the axes of each sample's gradient; counted without the batch."""
        scale = None if self.scale is None else self.scale.permute(0, *(axis + 1 for axis in axes))
        return Cotangent(self.base.permute(0, 1, *(axis + 2 for axis in axes)), scale)

    def narrow(self, axis: int, start: int, length: int) -> Cotangent:
        """Cut a range out of one axis of each sample's gradient; counted without the batch."""
        scale = None if self.scale is None else self.scale.narrow(axis + 1, start, length)
        return Cotangent(self.base.narrow(axis + 2, start, length), scale)

    def plus(self, other: Cotangent) -> Cotangent:
        """Add the gradient that arrives on another way."""
        return Cotangent(self.dense() + other.dense())
