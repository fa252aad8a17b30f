"""How far a student's kernel is from a teacher's, and what each measure does not see."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

Kind = Literal["cka", "frobenius", "mse"]


class _Alignment(torch.autograd.Function):
    """Centred alignment of a kernel with a fixed, centred one of unit norm, and its gradient in closed form."""

    @staticmethod
    def forward(ctx: Any, kernel: Tensor, target: Tensor) -> Tensor:
        centred = centre(kernel)
        norm = torch.linalg.vector_norm(centred)
        unit = centred / norm
        alignment = torch.dot(unit.flatten(), target.flatten())
        ctx.save_for_backward(unit, target, norm, alignment)
        return alignment

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        unit, target, norm, alignment = ctx.saved_tensors
        return torch.sub(target, unit * alignment) * (gradients[0] / norm), None


def centre(kernel: Tensor) -> Tensor:
    """H K H with H = I - 1/n, (n, n)."""
    return kernel - kernel.mean(0) - (kernel.mean(1) - kernel.mean()).unsqueeze(1)


def centred_alignment(a: Tensor, b: Tensor) -> Tensor:
    r"""Centred kernel alignment, <HaH, HbH>_F / (|HaH|_F |HbH|_F) with H = I - 1/n.

    Unchanged by scaling either kernel, by adding a constant to it, and by permuting the samples of both. Differentiable with
    respect to `a` once, and with respect to `b` if that requires a gradient.

    Parameters
    ----------
    a, b
        Kernels of the same n samples, (n, n), symmetric.

    Returns
    -------
    Tensor
        A scalar in [-1, 1], and in [0, 1] for positive semi-definite kernels; 1 where the centred kernels are proportional.

    Raises
    ------
    ValueError
        If the shapes differ, n < 2, or a kernel is constant (its centred norm is zero).

    Notes
    -----
    Source: Cortes, Mohri, Rostamizadeh, "Algorithms for learning kernels based on centered alignment", JMLR 13 (2012), eq. 2.
    """
    _check(a, b)
    target = centre(b)
    norm = torch.linalg.vector_norm(target)
    for kernel, scale in ((b, float(norm.detach())), (a, None)):
        if scale is None:
            scale = float(torch.linalg.vector_norm(centre(kernel.detach())))
        if scale <= 1e-6 * float(kernel.detach().abs().amax()) or scale == 0.0:
            raise ValueError("a kernel is the same for all pairs of samples; centred, nothing of it is left to align")
    if b.requires_grad:
        mine = centre(a)
        return (mine * target).sum() / (torch.linalg.vector_norm(mine) * norm)
    alignment: Tensor = _Alignment.apply(a, target / norm)  # type: ignore[no-untyped-call]
    return alignment


def matching_loss(student_kernel: Tensor, teacher_kernel: Tensor, kind: Kind = "cka") -> Tensor:
    r"""How far a student's kernel is from a teacher's on the same n samples, as a scalar to minimise.

    Parameters
    ----------
    student_kernel, teacher_kernel
        Traced kernels of the same samples in the same order, (n, n). The loss is differentiable with respect to the student's.
    kind
        ``"cka"``
            1 - <HSH, HTH>_F / (\|HSH\|_F \|HTH\|_F), H = I - 1/n. Blind to the scale of either kernel and to constants added to
            it (so to gradients that all samples share). In [0, 1] for positive semi-definite kernels. Source: Cortes et al.,
            JMLR 13 (2012), eq. 2; on networks' kernels: Kornblith et al., ICML 2019.
        ``"frobenius"``
            \|S / tr S - T / tr T\|_F^2. Blind to the scale of either kernel, but not to constants added to it.
        ``"mse"``
            mean of (S - T)^2 over the n^2 pairs. Blind to nothing: the student is driven to the teacher's scale too, which
            grows with the teacher's width and parameter count. Source: Xiang et al., arXiv:2508.08421, L_NTKD.

        All three are unchanged by permuting the samples of both kernels together.

    Raises
    ------
    ValueError
        If the shapes differ or are not (n, n), for an unknown kind, for ``cka`` with n < 2 or a constant kernel, and for
        ``frobenius`` with a trace that is not positive.
    """
    if kind == "cka":
        return 1 - centred_alignment(student_kernel, teacher_kernel)
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
