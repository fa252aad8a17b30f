"""The contribution of one layer's parameters to the kernel, from what went in and from the gradients that came back.

Every factor is one batch's half; `gram(other, mode)` contracts it with another batch's (or its own) half. Modes:
``trace`` sums over outputs, (N, M) or what broadcasts to it; ``full`` keeps them, (N, M, C, C).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol

import torch
from torch import Tensor

from labonn.ntk.cotangent import Cotangent

_WORTH_A_FUNCTION = (
    65536  # elements below which two small products are cheaper than a call of Python in the backward pass
)

Mode = Literal["trace", "full"]


class Factor(Protocol):
    """What one layer, or one parameter, has kept of one batch."""

    def gram(self, other: Any, mode: Mode) -> Tensor:
        """Contract with the same layer's half of another batch."""

    def tensors(self) -> list[Tensor]:
        """Return what is kept in memory."""


class _SelfGram(torch.autograd.Function):
    """X X^T, whose backward is one product instead of two."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x @ x.T

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        result: Tensor = (gradients[0] + gradients[0].T) @ x
        return result


def inner(a: Tensor, b: Tensor) -> Tensor:
    """Inner products of the rows of two matrices, (N, P) and (M, P) -> (N, M)."""
    if a is not b or not a.requires_grad or a.numel() < _WORTH_A_FUNCTION:
        return a @ b.T
    product: Tensor = _SelfGram.apply(a)  # type: ignore[no-untyped-call]
    return product


def class_gram(a: Tensor, b: Tensor, mode: Mode) -> Tensor:
    """Contract per-sample gradients (N, C, ...) and (M, C, ...) over all but samples, and over outputs if traced."""
    if mode == "trace":
        flat = a.flatten(1)
        return inner(flat, flat if a is b else b.flatten(1))
    flat = a.flatten(2).flatten(0, 1)
    product = inner(flat, flat if a is b else b.flatten(2).flatten(0, 1))
    return product.reshape(*a.shape[:2], *b.shape[:2]).transpose(1, 2)


def cotangent_gram(a: Cotangent, b: Cotangent, mode: Mode) -> Tensor:
    """Contract two sets of output gradients; what does not differ between samples stays of size one."""
    if mode == "trace" and a.scale is not None and b.scale is not None:
        weights = (a.base * b.base).sum(1)  # classes fold away: the derivative is common to them
        return (a.scale * weights).flatten(1) @ b.scale.flatten(1).T
    left = a.dense()
    return class_gram(left, left if a is b else b.dense(), mode)


@dataclass(frozen=True)
class LinearFactor:
    """A linear layer on vectors: (A A^T + 1) times the Gram of the output gradients."""

    inputs: Tensor  # (N, K)
    gradients: Cotangent  # of (O,)
    weight: bool
    bias: bool

    def gram(self, other: LinearFactor, mode: Mode) -> Tensor:
        """Contract with another batch's half."""
        gradients = cotangent_gram(self.gradients, other.gradients, mode)
        if not self.weight:
            return gradients
        inputs = inner(self.inputs, other.inputs)
        if self.bias:
            inputs = inputs + 1
        return (inputs if mode == "trace" else inputs[:, :, None, None]) * gradients

    def tensors(self) -> list[Tensor]:
        """Return what is kept in memory."""
        return [self.inputs, self.gradients.base, *([] if self.gradients.scale is None else [self.gradients.scale])]


@dataclass(frozen=True)
class PositionFactor:
    """A layer that applies one matrix (O, K) at L positions, in groups: convolutions, and linear layers on sequences.

    Its gradient is sum_l g_l a_l^T. Either that is formed per sample and output, or the Grams of the inputs and of the
    gradients over all pairs of positions are multiplied, whichever takes fewer multiply-adds.
    """

    inputs: Tensor  # (N, groups, K, L)
    gradients: Tensor  # (N, C, groups, O, L)

    def per_sample(self) -> Tensor:
        """Return the gradients of the matrix, (N, C, groups, O, K)."""
        n, c, groups, o, length = self.gradients.shape
        k = self.inputs.shape[2]
        left = self.gradients.transpose(1, 2).reshape(n * groups, c * o, length)
        right = self.inputs.reshape(n * groups, k, length).transpose(1, 2)
        return torch.bmm(left, right).reshape(n, groups, c, o, k).transpose(1, 2)

    def prefers_positions(self, other: PositionFactor, mode: Mode) -> bool:
        """Whether the Gram over positions takes fewer multiply-adds than per-sample gradients."""
        n, c, _, o, length = self.gradients.shape
        m, k = other.gradients.shape[0], self.inputs.shape[2]
        outputs = 1 if mode == "trace" else c
        halves = n if self is other else n + m
        return n * m * length**2 * (k + c * outputs * o) < halves * c * o * k * length + n * m * c * outputs * o * k

    def prefers_positions_of_many(self) -> bool:
        """Whether it does for the traced kernel of so many samples that only pairs of them count."""
        _, c, _, o, length = self.gradients.shape
        k = self.inputs.shape[2]
        return length**2 * (k + c * o) < c * o * k

    def gram(self, other: PositionFactor, mode: Mode) -> Tensor:
        """Contract with another batch's half."""
        if not self.prefers_positions(other, mode):
            left = self.per_sample()
            return class_gram(left, left if self is other else other.per_sample(), mode)
        if mode == "trace":
            inputs = torch.einsum("ngkl,mgkp->ngmlp", self.inputs, other.inputs)
            gradients = torch.einsum("ncgol,mcgop->ngmlp", self.gradients, other.gradients)
            return (inputs * gradients).sum((1, 3, 4))
        inputs = torch.einsum("ngkl,mgkp->nmglp", self.inputs, other.inputs)
        return torch.einsum("nmglp,ncgol,mdgop->nmcd", inputs, self.gradients, other.gradients)

    def tensors(self) -> list[Tensor]:
        """Return what is kept in memory."""
        return [self.inputs, self.gradients]


@dataclass(frozen=True)
class DirectFactor:
    """Gradients of a parameter written out, (1 or N, C, *shape)."""

    gradients: Tensor

    def gram(self, other: DirectFactor, mode: Mode) -> Tensor:
        """Contract with another batch's half."""
        return class_gram(self.gradients, self.gradients if self is other else other.gradients, mode)

    def tensors(self) -> list[Tensor]:
        """Return what is kept in memory."""
        return [self.gradients]
