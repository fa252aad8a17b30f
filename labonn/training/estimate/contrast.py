"""Kernels as training leaves them, drawn: smooth, and each tap in one half of its pair alone."""

import torch
from torch import Tensor
from torch.nn import functional

from labonn.optics import Frontend

SMOOTH_TAPS = 1.0  # standard deviation of the blur: trained kernels are strokes and edges a few taps wide


@torch.no_grad()
def give_contrast(frontend: Frontend) -> None:
    """Draw a frontend's trained kernels anew, from torch's generator; those that are not trained stay.

    A signed kernel begins as the difference of two arrays of positive numbers that are nearly the same: little signal
    under the noise of both. Training takes the halves apart within its first steps, and a kernel at the beginning would
    be far too afraid of noise.
    """
    taps = frontend.free_taps
    if not taps.requires_grad or frontend.tiles == 1:
        return
    signed = _blurred(torch.randn(len(taps) // 2, *taps.shape[1:]))
    signed = signed - signed.mean(dim=(-2, -1), keepdim=True) if taps.shape[-1] > 1 else signed
    sums = taps.sum(dim=(-2, -1), keepdim=True).mean()
    for half, sign in ((0, 1.0), (1, -1.0)):
        own = (sign * signed).relu()
        taps[half::2] = own * (sums / own.sum(dim=(-2, -1), keepdim=True).clamp_min(1e-9))


def _blurred(kernels: Tensor) -> Tensor:
    """Kernels (..., k, k), blurred."""
    reach = min(2, kernels.shape[-1] // 2)
    along = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / SMOOTH_TAPS) ** 2)
    window = torch.outer(along, along) / along.sum() ** 2
    flat = kernels.reshape(-1, 1, *kernels.shape[-2:])
    return functional.conv2d(flat, window[None, None], padding=reach).reshape(kernels.shape)
