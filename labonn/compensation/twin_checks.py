"""Captures that no twin should be fitted to, and what the operator is told of them."""

from collections.abc import Iterable

import torch
from torch import Tensor

from labonn.compensation.twin_basis import KERNEL_TAPS
from labonn.errors import CalibrationError

FEWEST_CAPTURES = 4
LEAST_R2 = 0.1  # a twin that predicts less of the left-out captures predicts nothing


def check_captures(images: Tensor, tiles: Tensor, designed_kernels: Tensor) -> None:
    """Check images (N, 1, H, W), tiles (N, T, H, W) and kernels (T, taps, taps) before anything is fitted.

    Raises
    ------
    CalibrationError
        If there are too few captures, one is not a number, or a tile shows nothing.
    """
    if len(images) < FEWEST_CAPTURES:
        raise CalibrationError(f"an optical twin needs at least {FEWEST_CAPTURES} captures, got {len(images)}")
    if len(tiles) != len(images) or tiles.shape[2:] != images.shape[2:]:
        raise CalibrationError(
            f"captures of {tuple(tiles.shape)} (captures, tiles, height, width) are not those of images of "
            f"{tuple(images.shape)}: were they captured for another design or data set?"
        )
    if tiles.shape[1] != len(designed_kernels):
        raise CalibrationError(
            f"captures of {tiles.shape[1]} tiles, but the design has {len(designed_kernels)} sub-apertures: "
            "were they captured for another design, or with another calibration?"
        )
    if designed_kernels.shape[-1] > KERNEL_TAPS:
        raise CalibrationError(
            f"kernels of {designed_kernels.shape[-1]} taps: an optical twin is fitted to {KERNEL_TAPS} at most"
        )
    if not torch.isfinite(images).all():
        raise CalibrationError("an image that was shown has a value that is not a number: check the data set")
    if not torch.isfinite(tiles).all():
        raise CalibrationError("a captured map has a value that is not a number: capture again")
    if dead := (spread_of(tiles) <= 1e-12).nonzero().flatten().tolist():
        raise CalibrationError(
            f"tiles {_listed(dead)} show the same, whatever image is shown: is the shutter open, the "
            "display alight, and the phase pattern on the SLM? Calibrate again"
        )


def check_explained(r2: Tensor, residual: Tensor, tiles: Tensor) -> None:
    """Check the part of the left-out variance that is predicted of each tile (T,), and of each frame.

    Raises
    ------
    CalibrationError
        If most tiles do not follow the images, or one frame does not.
    """
    if not r2.median() > LEAST_R2:
        raise CalibrationError(
            "the captured maps do not follow the images that were shown "
            f"(median held-out R^2 {r2.median():.2f}): does each frame belong to its image, is the right "
            "pattern on the SLM, and is the camera where it was at calibration?"
        )


def spread_of(tiles: Tensor) -> Tensor:
    """Variance of each tile (T,), about its mean or its mean picture, whichever is closer.

    Dark edges alone are not following the images.
    """
    own_share = (len(tiles) / (len(tiles) - 1)) ** 2  # each capture about the mean picture of the others
    about_mean = (tiles - tiles.mean(dim=(0, 2, 3), keepdim=True)).square().mean(dim=(0, 2, 3))
    about_picture = own_share * (tiles - tiles.mean(dim=0, keepdim=True)).square().mean(dim=(0, 2, 3))
    return torch.minimum(about_mean, about_picture)


def _listed(numbers: Iterable[int]) -> str:
    return ", ".join(map(str, numbers))
