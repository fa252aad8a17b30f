"""Relational knowledge distillation: how a batch's images stand to each other, not where each stands."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

ANGLES = 2.0  # weight of the angles where the distances weigh one
LEAST = 1e-12
_ROUNDING = 64  # of a squared distance, in units of the last place
_AT_ONCE = 2**16  # numbers, so that they stay in a processor's cache


def relational_loss(student: Tensor, teacher: Tensor) -> Tensor:
    r"""L_D + 2 L_A: Huber losses between the distances, and between the angles, of two embeddings of the same images.

        psi_D(i, j) = |e_i - e_j| / mu,  mu the mean distance of all pairs i != j
        psi_A(i, j, k) = cos of the angle at e_j between e_i and e_k

    Blind to rotation, reflection, shift and scale of either embedding, and to how many dimensions it has.

    Parameters
    ----------
    student, teacher
        (n, F) and (n, G), or of more axes that are taken as one; the teacher's is taken as fixed.

    Returns
    -------
    A scalar; 0 where the embeddings are similar figures.

    Source: Park, Kim, Lu, Cho, "Relational knowledge distillation", CVPR 2019, eqs. 5 to 10; the ratio of the weights
    as in section 4.1.
    """
    student, fixed = _precise(student.flatten(1)), _precise(teacher.detach().flatten(1))
    with torch.autocast(student.device.type, enabled=False):  # small differences of large numbers
        ours, theirs = _Pairs(student), _Pairs(fixed)
        distances = functional.smooth_l1_loss(ours.distances(), theirs.distances())
        angles = _angle_loss(ours.dots, ours.reciprocals(), theirs.dots, theirs.reciprocals())
    return distances + ANGLES * angles


def _precise(embedding: Tensor) -> Tensor:
    return embedding.to(torch.promote_types(embedding.dtype, torch.float32))


class _Pairs:
    """Every two images of an embedding: all of it (n, n), and nothing of how many dimensions it has."""

    def __init__(self, embedding: Tensor) -> None:
        centred = embedding - embedding.mean(dim=0)  # rounding is the smaller
        self.dots = centred @ centred.T
        squares = self.dots.diagonal()
        rounding = _ROUNDING * torch.finfo(squares.dtype).eps
        apart2 = squares[:, None] + squares - 2 * self.dots
        self._apart = apart2 > rounding * (squares[:, None] + squares) + LEAST  # else they lie at one place
        self._apart2 = apart2.where(self._apart, 1.0)

    def distances(self) -> Tensor:
        """In units of the mean over pairs of different images."""
        apart = self._apart2.sqrt() * self._apart
        return apart / (apart.sum() / (len(apart) * (len(apart) - 1) or 1)).clamp_min(LEAST)

    def reciprocals(self) -> Tensor:
        """1 / distance; 0 where there is none, and no direction."""
        return self._apart2.rsqrt() * self._apart


class _AngleLoss(torch.autograd.Function):
    """The mean of the Huber loss over the cosines at j between the directions to i and k, all (j, i, k).

    Such a cosine is (d_ik - d_ij - d_jk + d_jj) r_ij r_jk, of dot products d and reciprocals of distances r: nothing of
    n^3 numbers is as long as the embeddings, and nothing of it is kept, as the derivative is summed up with the loss.
    """

    @staticmethod
    def forward(ctx: Any, dots: Tensor, reciprocals: Tensor, fixed_dots: Tensor, fixed_reciprocals: Tensor) -> Tensor:
        n = len(dots)
        loss, by_dots, by_reciprocals = dots.new_zeros(()), torch.zeros_like(dots), torch.empty_like(dots)
        at_once = max(1, _AT_ONCE // n**2)
        for some in (slice(first, first + at_once) for first in range(0, n, at_once)):
            to_i, to_k = reciprocals[some, :, None], reciprocals[some, None, :]
            products = _products(dots, some)
            fixed = _products(fixed_dots, some)
            fixed.mul_(fixed_reciprocals[some, :, None]).mul_(fixed_reciprocals[some, None, :])
            apart = (products * to_i).mul_(to_k).sub_(fixed)
            slope = apart.clamp(-1, 1)
            loss += (slope * apart).sum() - slope.square().sum() / 2
            by_reciprocals[some] = 2 * (products.mul_(slope) @ to_i)[:, :, 0]
            by_products = slope.mul_(to_i).mul_(to_k)
            by_rows = by_products.sum(dim=2)
            by_dots += by_products.sum(dim=0)
            by_dots[some] -= 2 * by_rows
            by_dots.diagonal()[some] += by_rows.sum(dim=1)
        ctx.save_for_backward(by_dots / n**3, by_reciprocals / n**3)
        return loss / n**3

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor, Tensor, None, None]:
        by_dots, by_reciprocals = ctx.saved_tensors
        return gradients[0] * by_dots, gradients[0] * by_reciprocals, None, None


def _angle_loss(dots: Tensor, reciprocals: Tensor, fixed_dots: Tensor, fixed_reciprocals: Tensor) -> Tensor:
    loss: Tensor = _AngleLoss.apply(dots, reciprocals, fixed_dots, fixed_reciprocals)  # type: ignore[no-untyped-call]
    return loss


def _products(dots: Tensor, some: slice) -> Tensor:
    """(e_i - e_j) (e_k - e_j) at some images j, (j, i, k)."""
    here = dots[some]
    own = dots.diagonal()[some, None, None]
    return (dots - here[:, :, None]).sub_(here[:, None, :]).add_(own)
