"""How far a student's kernel is from a teacher's, and what each measure does not see."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from labonn.errors import TrainingError

Kind = Literal["cka", "frobenius", "mse"]


class FlatKernel(TrainingError, ValueError):
    """A kernel that tells no sample from another."""


class _Misalignment(torch.autograd.Function):
    """One minus the centred alignment of a kernel with a fixed one, and its gradient in closed form."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor) -> Tensor:
        (a, a_norm), (b, b_norm) = _centred(a, "student's"), _centred(b, "teacher's")
        product = float(torch.dot(a.flatten(), b.flatten()))
        ctx.save_for_backward(a, b)
        ctx.ratio, ctx.norms = product / a_norm**2, -a_norm * b_norm
        return a.new_tensor(1 - product / (a_norm * b_norm))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        a, b = ctx.saved_tensors
        return torch.sub(b, a, alpha=ctx.ratio).mul_(gradients[0] / ctx.norms), None


def _centred(kernel: Tensor, whose: str) -> tuple[Tensor, float]:
    """Return H K H of a symmetric kernel, H = I - 1/n, and its norm; an error if nothing is left of it."""
    means = torch.mv(kernel, kernel.new_full((kernel.shape[0],), 1 / kernel.shape[0]))
    mean = means.mean()
    centred = (kernel - means).sub_((means - mean).unsqueeze(1))
    norm = float(torch.linalg.vector_norm(centred))
    if norm <= 1e-6 * kernel.shape[0] * abs(float(mean)):
        raise FlatKernel(
            f"the {whose} kernel is the same for all pairs of samples; centred, nothing of it is left to align."
            " A student whose units have all died has such a one: lower learning_rate, or ntkd_weight. Of a teacher,"
            " remove what is kept in the laboratory's cache: it is computed again"
        )
    return centred, norm


def centred_alignment(a: Tensor, b: Tensor) -> Tensor:
    r"""Centred kernel alignment, <HaH, HbH>_F / (|HaH|_F |HbH|_F) with H = I - 1/n.

    Unchanged by scaling either kernel, by adding a constant to it, and by permuting the samples of both. Differentiable
    once, with respect to `a`; `b` is taken as fixed.

    Parameters
    ----------
    a, b
        Kernels of the same n samples, (n, n), symmetric.

    Returns
    -------
    Tensor
        A scalar in [-1, 1], and in [0, 1] for positive semi-definite kernels; 1 where the centred kernels are
        proportional.

    Raises
    ------
    ValueError
        If the shapes differ, or n < 2.
    FlatKernel
        If a kernel is constant (its centred norm is zero).

    Notes
    -----
    Source: Cortes, Mohri, Rostamizadeh, "Algorithms for learning kernels based on centered alignment", JMLR 13 (2012),
    eq. 2.
    """
    return 1 - _misalignment(a, b)


def _misalignment(a: Tensor, b: Tensor) -> Tensor:
    _check(a, b)
    loss: Tensor = _Misalignment.apply(a, b.detach())  # type: ignore[no-untyped-call]
    return loss


def matching_loss(student_kernel: Tensor, teacher_kernel: Tensor, kind: Kind = "cka") -> Tensor:
    r"""How far a student's kernel is from a teacher's on the same n samples, as a scalar to minimise.

    Parameters
    ----------
    student_kernel, teacher_kernel
        Traced kernels of the same samples in the same order, (n, n). The loss is differentiable with respect to the
        student's.
    kind
        ``"cka"``
            1 - <HSH, HTH>_F / (\|HSH\|_F \|HTH\|_F), H = I - 1/n. Blind to the scale of either kernel and to
            constants added to it (so to gradients that all samples share). In [0, 1] for positive semi-definite
            kernels. Source: Cortes et al., JMLR 13 (2012), eq. 2; on networks' kernels: Kornblith et al., ICML 2019.
        ``"frobenius"``
            \|S / tr S - T / tr T\|_F^2. Blind to the scale of either kernel, but not to constants added to it.
        ``"mse"``
            mean of (S - T)^2 over the n^2 pairs. Blind to nothing: the student is driven to the teacher's scale too,
            which grows with the teacher's width and parameter count. Source: Xiang et al., arXiv:2508.08421, L_NTKD.

        All three are unchanged by permuting the samples of both kernels together.

    Raises
    ------
    ValueError
        If the shapes differ or are not (n, n), for an unknown kind, for ``cka`` with n < 2, and for ``frobenius`` with
        a trace that is not positive.
    FlatKernel
        For ``cka`` with a constant kernel.
    """
    if kind == "cka":
        return _misalignment(student_kernel, teacher_kernel)
    _check(student_kernel, teacher_kernel, least=1)
    if kind == "frobenius":
        traces = student_kernel.diagonal().sum(), teacher_kernel.diagonal().sum()
        if min(float(trace.detach()) for trace in traces) <= 0:
            raise ValueError(
                "a kernel with a trace of zero or less cannot be normalised by it; are all its units dead?"
            )
        return (student_kernel / traces[0] - teacher_kernel / traces[1]).square().sum()
    if kind == "mse":
        return (student_kernel - teacher_kernel).square().mean()
    raise ValueError(f"kind is {kind!r}; it can be 'cka', 'frobenius' or 'mse'")


def _check(a: Tensor, b: Tensor, least: int = 2) -> None:
    if a.shape != b.shape or a.ndim != 2 or a.shape[0] != a.shape[1]:
        raise ValueError(
            f"kernels of the same samples are wanted, both (n, n), not {tuple(a.shape)} and {tuple(b.shape)}"
        )
    if a.shape[0] < least:
        raise ValueError(f"kernels of {a.shape[0]} samples: at least {least} are needed")
