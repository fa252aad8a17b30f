"""What the display makes of an image: its light is image^gamma, and each frame has its own level of it."""

from collections.abc import Callable
from dataclasses import dataclass
from math import exp, inf, log

import torch
from torch import Tensor

from labonn.compensation.twin_basis import Basis, Part
from labonn.compensation.twin_prior import Expectation, expect, prior_precision
from labonn.compensation.twin_regression import MOST_PIXELS, Folds, Moments

# Of the prior, while only the display is looked for; relative to the mean diagonal of a part's features in one capture.
QUICK_RIDGES: dict[Part, float] = {"core": 0.03, "offset": 0.0, "halo": 1e-4, "tilt": 0.3, "bowl": 1.0}
WIDE_STEP = 0.4  # of the logarithm of gamma
NARROW_STEPS = (0.2, 0.05)
LARGEST_LOG_GAMMA = 1.2  # a gamma beyond 3.3 or 0.3 is no display's
ROUNDS = 4
FEW_CAPTURES = 20  # gamma is one number: these are enough to find it
FEW_PIXELS = 1024  # of a capture, while only the display is looked for


@dataclass(frozen=True)
class Display:
    """From images to light.

    Attributes
    ----------
    gamma
        The exponent.
    gamma_se
        Its standard error, from the curvature of the residual; 0 where the captures do not ask for another than 1.
    level
        (N,) light of each fitted frame over their mean; ones where they do not ask for it.
    """

    gamma: float
    gamma_se: float
    level: Tensor

    def light(self, images: Tensor) -> Tensor:
        """Light of the fitted images, frame by frame, in their shape."""
        return images.clamp_min(0) ** self.gamma * self.level.to(images)[:, None, None, None]

    @property
    def level_rms(self) -> float:
        """Standard deviation of the frames' levels."""
        return float(self.level.std()) if len(self.level) > 1 else 0.0


@dataclass(frozen=True)
class Fitted:
    """Kernels and offsets at one display: what predicts left-out captures; its mean square error, summed over tiles."""

    error: float
    folds: Folds
    precision: Tensor
    expected: Expectation


def quick_basis(tiles: Tensor) -> Basis:
    """What the display is looked for with: like the whole, of fewer features."""
    return Basis(("core", "offset", "halo", "tilt", "bowl"), (tiles.shape[2], tiles.shape[3]))


def plain(count: int) -> Display:
    """A linear display, with all frames alike."""
    return Display(1.0, 0.0, torch.ones(count))


def fit_kernels(light: Tensor, tiles: Tensor, designed: Tensor, fold: Tensor) -> Fitted:
    """Fit kernels and offsets, and predict each fold (N,) of the captures from the others."""
    basis = quick_basis(tiles)
    folds = fold_moments(basis, light, tiles, fold, FEW_PIXELS)
    whole = folds.whole
    precision = prior_precision(basis, whole, QUICK_RIDGES)
    expected = expect(whole, basis, designed)
    error = float(folds.error(precision, expected.mean(basis)).sum()) / whole.readings
    return Fitted(error, folds, precision, expected)


def fold_moments(basis: Basis, light: Tensor, tiles: Tensor, fold: Tensor, most_pixels: int = MOST_PIXELS) -> Folds:
    """The moments of each fold; of pictures of more than `most_pixels`, of so many, drawn anew for each capture."""
    return Folds(
        tuple(_moments(basis, light[fold == k], tiles[fold == k], most_pixels) for k in sorted(set(fold.tolist())))
    )


def _moments(basis: Basis, light: Tensor, tiles: Tensor, most_pixels: int) -> Moments:
    readings = tiles.flatten(2)
    if readings.shape[2] <= most_pixels:
        return Moments.of(basis.rows(light), readings)
    generator = torch.Generator().manual_seed(0)
    places = [torch.randperm(readings.shape[2], generator=generator)[:most_pixels] for _ in readings]
    seen = torch.stack([reading[:, at] for reading, at in zip(readings, places, strict=True)])
    return Moments.of(basis.rows(light, places), seen)


def fit_display(
    images: Tensor, tiles: Tensor, designed: Tensor, fold: Tensor, start: Display, worth: float
) -> tuple[Display, Fitted]:
    """Find gamma and levels in turn; each stays as it is in a plain display unless it is worth it.

    Parameters
    ----------
    images, tiles, designed
        As `fit_twin` has them.
    fold
        (N,) which part of the captures each belongs to.
    start
        Where to begin.
    worth
        The part of the left-out residual that gamma, and the levels, must take away.
    """
    few = slice(0, FEW_CAPTURES)

    def at(log_gamma: float, level: Tensor, part: slice = slice(None)) -> Fitted:
        light = Display(exp(log_gamma), 0.0, level[part]).light(images[part])
        return fit_kernels(light, tiles[part], designed, fold[part])

    ones = torch.ones(len(images))
    readings = tiles.shape[1] * len(tiles[few]) * min(tiles[0, 0].numel(), FEW_PIXELS)
    steps: tuple[float, ...] = (WIDE_STEP, *NARROW_STEPS)
    log_gamma, level, se = log(start.gamma), start.level, 0.0
    for _ in range(ROUNDS):
        before = log_gamma
        log_gamma, se = search(lambda x: at(x, level, few).error, log_gamma, readings, steps)  # noqa: B023
        level = fit_level(images.clamp_min(0) ** exp(log_gamma), tiles, at(log_gamma, level))
        steps = NARROW_STEPS
        if abs(log_gamma - before) < NARROW_STEPS[-1] / 4:
            break
    curved, levelled, both = at(log_gamma, ones), at(0.0, level), at(log_gamma, level)
    if not both.error < (1 - worth) * levelled.error:
        log_gamma, se, both, curved = 0.0, 0.0, levelled, at(0.0, ones)
    if not both.error < (1 - worth) * curved.error:
        level, both = ones, curved
    return Display(exp(log_gamma), exp(log_gamma) * se, level), both


def fit_level(light: Tensor, tiles: Tensor, fitted: Fitted) -> Tensor:
    """Light of each frame over their mean: how much of what the kernels predict is there, over all tiles, (N,)."""
    basis = quick_basis(tiles)
    weights = fitted.folds.whole.solve(fitted.precision, fitted.expected.mean(basis)).float()
    predicted = basis.predict(light, basis.without(weights, "offset"))
    seen = tiles - weights[basis.places["offset"]].T.reshape(1, -1, 1, 1)
    trust = 1 / (seen - predicted).square().mean(dim=(0, 2, 3)).clamp_min(1e-12)
    level = ((predicted * seen).sum(dim=(2, 3)) @ trust) / (predicted.square().sum(dim=(2, 3)) @ trust).clamp_min(1e-12)
    return level / level.mean().clamp_min(1e-12)


def search(
    error_at: Callable[[float], float], start: float, readings: int, steps: tuple[float, ...]
) -> tuple[float, float]:
    """The logarithm of gamma with the least error, and its standard error.

    The first step finds the valley, parabolas through three trials its bottom.
    """
    known: dict[float, float] = {}

    def error(x: float) -> float:
        if abs(x) > LARGEST_LOG_GAMMA:
            return inf
        if x not in known:
            known[x] = error_at(x)
        return known[x]

    best, first = start, steps[0]
    while min(error(best - first), error(best + first)) < error(best):
        best += first if error(best + first) < error(best - first) else -first
    curvature = 0.0
    for step in steps[1:]:
        best, curvature = _bottom(error, best, step)
    best = min(known, key=lambda x: known[x])
    # A mean over all readings: about its bottom their sum grows by one reading's variance at one standard error.
    return best, (2 * known[best] / readings / curvature) ** 0.5 if curvature > 0 else 0.0


def _bottom(error: Callable[[float], float], middle: float, step: float) -> tuple[float, float]:
    """The bottom of the parabola through three trials, within two steps, and its second derivative."""
    low, centre, high = error(middle - step), error(middle), error(middle + step)
    curvature = (low - 2 * centre + high) / step**2
    if not 0 < curvature < inf:
        return middle, 0.0
    at = middle + max(-2 * step, min(2 * step, (low - high) / (2 * curvature * step)))
    return (at if error(at) <= centre else middle), curvature
