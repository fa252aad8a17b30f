r"""The image of a point behind one sub-aperture: what it looks like, how far its copies lie from it, its middle.

A lenslet with aberrations makes no round spot of a disc; its image may have two peaks a tap apart, and no centroid
within a threshold is the same twice. But it makes the same of every disc. So the discs' windows w_i are averaged to the
tile's own image m, and each is compared with it, by least squares over the window:

    w_i = g_i m - g_i (d_i . grad m) + b_i

gives its displacement d_i, brightness g_i and background b_i, whatever m looks like.

The middle of m is where it is brightest after a Gaussian blur of `BLUR_TAPS`: noise and a background do not move it,
and what lies within the blur counts as one. It is the c with sum_x (x - c) m(x) exp(-|x - c|^2 / 2 s^2) = 0.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

Doubles = NDArray[np.float64]

BLUR_TAPS = 1.5
_FULL = 0.75  # of a window's half side: within it every pixel counts in full, beyond it less and less
_RING = 0.9  # of the same: beyond it there is background
_MOST_STEPS = 100
_MOVES_PX = 1e-4


@dataclass(frozen=True)
class Copies:
    """The copies of a point's image, compared with their mean."""

    image: Doubles
    """Their mean, (side, side)."""
    offset_px: Doubles
    """How far each lies from where it was looked for, (n, 2), down and right."""
    brightness: Doubles
    """Of each, (n,), 1 for the mean."""
    likeness: Doubles
    """How much of each the mean explains, (n,): 1 all of it."""


def compare(pictures: NDArray[np.float32], which: NDArray[np.intp], at_px: Doubles, half_px: int) -> Copies:
    """Compare what lies about several places with the mean of it.

    Parameters
    ----------
    pictures
        (P, H, W), counts above the dark.
    which
        In which picture each place is, (n,).
    at_px
        Where each copy is looked for, (n, 2), down and right; within the image's own width.
    half_px
        Half the side of the windows.
    """
    windows = _windows(pictures, which, at_px, half_px)
    y, x = np.mgrid[-half_px : half_px + 1, -half_px : half_px + 1]
    radius = np.hypot(y, x) / half_px
    windows -= np.median(windows[:, radius > _RING], axis=1)[:, None, None]
    # The middle half of them: a disc that is missing, or has a reflection beside it, is in neither.
    ordered = np.sort(windows, axis=0)
    quarter = len(windows) // 4
    rough = ordered[quarter : len(windows) - quarter].mean(axis=0)
    counts = np.cos(np.clip((radius - _FULL) / (1 - _FULL), 0, 1) * np.pi / 2) ** 2
    like = fit_copies(windows, rough, counts)[2] > 0.5
    image = windows[like].mean(axis=0) if like.any() else rough
    offset_px, brightness, likeness = fit_copies(windows, image, counts)
    return Copies(image, offset_px, brightness, likeness)


def fit_copies(windows: Doubles, image: Doubles, counts: Doubles) -> tuple[Doubles, Doubles, Doubles]:
    """Fit each window by the image, its slopes and a constant.

    Parameters
    ----------
    windows
        (n, h, w).
    image
        (h, w).
    counts
        How much each pixel counts, (h, w).

    Returns
    -------
    Offsets (n, 2), down and right; brightness, likeness (n,), as `Copies` has them.
    """
    down, right = np.gradient(image)
    design = (np.stack([image, np.ones_like(image), down, right], axis=-1) * counts[..., None]).reshape(-1, 4)
    seen = (windows * counts).reshape(len(windows), -1).T
    solution, *_ = np.linalg.lstsq(design, seen, rcond=None)
    missed = ((seen - design @ solution) ** 2).sum(axis=0)
    whole = ((seen - seen.mean(axis=0)) ** 2).sum(axis=0)
    brightness = solution[0]
    with np.errstate(divide="ignore", invalid="ignore"):
        offset_px = np.asarray(np.nan_to_num(-solution[2:] / brightness).T, np.float64)
        likeness = np.asarray(np.nan_to_num(1 - missed / whole), np.float64)
    return offset_px, np.asarray(brightness, np.float64), likeness


def middle_px(image: Doubles, blur_px: float) -> Doubles:
    """Where a point's image is brightest after a blur, (down, right) from the middle of its window."""
    half = image.shape[0] // 2
    blurred = gaussian_filter(image, blur_px, mode="constant")
    middle = np.array(np.unravel_index(int(np.argmax(blurred)), blurred.shape), np.float64) - half
    y, x = np.mgrid[-half : half + 1, -half : half + 1]
    for _ in range(_MOST_STEPS):
        weighted = image * np.exp(-((y - middle[0]) ** 2 + (x - middle[1]) ** 2) / (2 * blur_px**2))
        before, middle = middle, np.array([(weighted * y).sum(), (weighted * x).sum()]) / weighted.sum()
        if np.abs(middle - before).max() < _MOVES_PX:
            break
    return np.asarray(middle, np.float64)


def width_px(image: Doubles) -> float:
    """Side of the square that is as bright all over as a point's image is at its brightest, and holds as much light."""
    return float(np.sqrt(max(0.0, image.sum()) / image.max()))


def _windows(pictures: NDArray[np.float32], which: NDArray[np.intp], at_px: Doubles, half_px: int) -> Doubles:
    """Cut windows out, (n, side, side), moved by parts of a pixel so that each place is in the middle."""
    padded = np.pad(pictures, ((0, 0), (half_px, half_px), (half_px, half_px)))
    middle = np.clip(np.rint(at_px).astype(int), 0, np.array(pictures.shape[1:]) - 1)
    side = 2 * half_px + 1
    cut = np.stack(
        [
            padded[number, row : row + side, column : column + side]
            for number, (row, column) in zip(which, middle, strict=True)
        ]
    ).astype(np.float64)
    by = middle - at_px
    down = np.exp(-2j * np.pi * np.fft.fftfreq(side) * by[:, :1])[:, :, None]
    right = np.exp(-2j * np.pi * np.fft.rfftfreq(side) * by[:, 1:])[:, None, :]
    return np.asarray(np.fft.irfft2(np.fft.rfft2(cut) * down * right, (side, side)), np.float64)
