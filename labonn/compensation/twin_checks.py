"""Captures that no twin should be fitted to, and what the operator is told of them."""

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn import functional

from labonn.compensation.twin_basis import KERNEL_TAPS
from labonn.compensation.twin_prior import centre
from labonn.errors import CalibrationError

FEWEST_CAPTURES = 4
LEAST_R2 = 0.1  # a twin that predicts less of the left-out captures predicts nothing
DARK_FRAME = 0.1  # of what the other frames show of their images: less is no light
FLAT_TOP = 0.2  # of a tile's readings that are within 1 % of its brightest: more are saturated
LENS_TAPS = 5  # of what is compared with a plain lens, whose design has one tap
LEAST_LIKENESS = 0.4  # median correlation of fitted with designed kernels: less is another optic


def check_captures(images: Tensor, tiles: Tensor, designed_kernels: Tensor) -> None:
    """Check images (N, C, H, W), tiles (N, T, H, W) and kernels (T, taps, taps) before anything is fitted.

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


def check_frames(images: Tensor, tiles: Tensor) -> None:
    """Check each frame (N, T, H, W) against its image, of images (N, C, H, W) by the first colour.

    Raises
    ------
    CalibrationError
        If frames are dark while others are not, or most tiles have a flat top.
    """
    contrast = tiles.var(dim=(2, 3)).mean(dim=1).sqrt()
    shown = images[:, 0].var(dim=(1, 2)).sqrt()
    per_image = contrast / shown.clamp_min(1e-6)
    if dark := ((per_image < DARK_FRAME * per_image.median()) & (shown > 1e-3)).nonzero().flatten().tolist():
        raise CalibrationError(
            f"frames {_listed(dark)} of {len(tiles)} are dark, though their images are not: did the shutter or the "
            "laser drop out? Capture again"
        )
    bright = tiles.transpose(0, 1).flatten(1)
    low, top = bright.amin(dim=1, keepdim=True), bright.amax(dim=1, keepdim=True)
    flat = (bright > top - 0.01 * (top - low)).double().mean(dim=1)
    if len(full := (flat > FLAT_TOP).nonzero().flatten().tolist()) > tiles.shape[1] // 2:
        raise CalibrationError(
            f"tiles {_listed(full)} are saturated: {100 * float(flat.max()):.0f} % of the readings of one are the "
            "brightest that it has; shorten the exposure or lower the light, and capture again"
        )


def check_likeness(kernels: Tensor, designed: Tensor) -> None:
    """Check that fitted kernels (T, taps, taps) are those of the design (T, t, t), however bent.

    Raises
    ------
    CalibrationError
        If most are not like theirs.
    """
    taps = designed.shape[-1] if designed.shape[-1] > 1 else LENS_TAPS
    likeness = _correlations(centre(kernels, taps), centre(designed, taps))
    if not likeness.diagonal().median() > LEAST_LIKENESS:
        raise CalibrationError(
            "the captured maps are those of other kernels than the design's (median correlation "
            f"{likeness.diagonal().median():.2f}, expected above {LEAST_LIKENESS}): is it this design's optic or "
            "pattern that is on the bench, the right way up, is the camera where it was at calibration, and "
            "does each frame belong to its image?"
        )


def _correlations(a: Tensor, b: Tensor) -> Tensor:
    """Of each kernel with each, (T, T), after a blur that forgives a shift by a tap."""
    blur = torch.tensor([0.25, 0.5, 0.25])
    smooth = (blur[:, None] * blur[None, :])[None, None]
    a, b = (functional.conv2d(k.float()[:, None], smooth, padding=1).flatten(1) for k in (a, b))
    return torch.corrcoef(torch.cat([a, b]))[: len(a), len(a) :]


def check_explained(r2: Tensor) -> None:
    """Check the part of the left-out variance that is predicted of each tile (T,).

    Raises
    ------
    CalibrationError
        If most tiles do not follow the images.
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
