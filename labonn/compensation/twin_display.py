"""What the display makes of an image: its light is image^gamma, and each frame has its own level of it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import exp, inf, log

import torch
from torch import Tensor

from labonn.compensation.twin_basis import Basis
from labonn.compensation.twin_prior import Expectation, expect
from labonn.compensation.twin_regression import Folds, Moments

SEARCH_RIDGE = 0.03  # of the kernel's mean diagonal a capture, while only the display is looked for
WIDE_STEP = 0.4  # of the logarithm of gamma
NARROW_STEPS = (0.2, 0.05)
LARGEST_LOG_GAMMA = 1.2  # a gamma beyond 3.3 or 0.3 is no display's
FEW_CAPTURES = 20  # gamma is one number: these are enough to find it


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
        """Light of the fitted images, frame by frame, (N, 1, H, W)."""
        return images.clamp_min(0) ** self.gamma * self.level.to(images)[:, None, None, None]

    @property
    def level_rms(self) -> float:
        """Standard deviation of the frames' levels."""
        return float(self.level.std()) if len(self.level) > 1 else 0.0


@dataclass(frozen=True)
class Fitted:
    """Kernels and offsets at one display: what predicts left-out captures, and how badly."""

    error: float
    folds: Folds
    precision: Tensor
    expected: Expectation


def quick_basis(tiles: Tensor) -> Basis:
    """What the display is looked for with: the core of the kernels, offset, and the amount of light in a picture."""
    return Basis(("core", "offset", "halo"), (tiles.shape[2], tiles.shape[3]))


def plain(count: int) -> Display:
    """A linear display, with all frames alike."""
    return Display(1.0, 0.0, torch.ones(count))


def fit_kernels(light: Tensor, tiles: Tensor, designed: Tensor, fold: Tensor) -> Fitted:
    """Fit kernels and offsets, and predict each fold (N,) of the captures from the others."""
    basis = quick_basis(tiles)
    folds = fold_moments(basis, light, tiles, fold)
    whole = folds.whole
    core = basis.places["core"]
    precision = torch.zeros(basis.features, dtype=torch.float64)
    precision[core] = SEARCH_RIDGE * whole.gram.diagonal()[core].mean() / whole.captures * basis.stiffness("core")
    expected = expect(whole, basis, designed)
    error = float(folds.error(precision, expected.mean(basis)).sum())
    return Fitted(error, folds, precision, expected)


def fold_moments(basis: Basis, light: Tensor, tiles: Tensor, fold: Tensor) -> Folds:
    """The moments of each fold."""
    parts = [fold == k for k in sorted(set(fold.tolist()))]
    return Folds(tuple(Moments.of(basis.rows(light[part]), tiles[part]) for part in parts))


def fit_display(
    images: Tensor, tiles: Tensor, designed: Tensor, fold: Tensor, start: Display, worth: float
) -> tuple[Display, Fitted]:
    """Find gamma and levels; each stays as it is in a plain display unless it takes `worth` of the residual away."""
    linear = fit_kernels(images, tiles, designed, fold)
    display = plain(len(images))

    def at(log_gamma: float, level: Tensor) -> Fitted:
        light = Display(exp(log_gamma), 0.0, level).light(images)
        return fit_kernels(light, tiles, designed, fold)

    few = slice(0, FEW_CAPTURES)

    def quick(log_gamma: float) -> Fitted:
        light = Display(exp(log_gamma), 0.0, start.level[few]).light(images[few])
        return fit_kernels(light, tiles[few], designed, fold[few])

    log_gamma, se = search(quick, log(start.gamma), len(tiles[few]) * tiles[0, 0].numel())
    best = at(log_gamma, start.level)
    if best.error < (1 - worth) * linear.error:
        display = replace(display, gamma=exp(log_gamma), gamma_se=exp(log_gamma) * se)
    else:
        best = linear
    level = fit_level(display.light(images), tiles, best)
    levelled = at(log(display.gamma), level)
    if levelled.error < (1 - worth) * best.error:
        display, best = replace(display, level=level), levelled
    return display, best


def fit_level(light: Tensor, tiles: Tensor, fitted: Fitted) -> Tensor:
    """Light of each frame over their mean: how much of what the kernels predict is there, over all tiles, (N,)."""
    basis = quick_basis(tiles)
    weights = fitted.folds.whole.solve(fitted.precision, fitted.expected.mean(basis)).float()
    predicted = basis.predict(light, basis.without(weights, "offset"))
    seen = tiles - weights[basis.places["offset"]].T.reshape(1, -1, 1, 1)
    trust = 1 / (seen - predicted).square().mean(dim=(0, 2, 3)).clamp_min(1e-12)
    level = ((predicted * seen).sum(dim=(2, 3)) @ trust) / (predicted.square().sum(dim=(2, 3)) @ trust).clamp_min(1e-12)
    return level / level.mean().clamp_min(1e-12)


def search(trial: Callable[[float], Fitted], start: float, readings: int) -> tuple[float, float]:
    """The logarithm of gamma with the least error, and its standard error.

    Wide steps find the valley, parabolas through three trials its bottom.
    """
    known: dict[float, Fitted] = {}

    def error(x: float) -> float:
        if abs(x) > LARGEST_LOG_GAMMA:
            return inf
        if x not in known:
            known[x] = trial(x)
        return known[x].error

    best = start if abs(start) <= LARGEST_LOG_GAMMA else 0.0
    while min(error(best - WIDE_STEP), error(best + WIDE_STEP)) < error(best):
        best += WIDE_STEP if error(best + WIDE_STEP) < error(best - WIDE_STEP) else -WIDE_STEP
    curvature = 0.0
    for step in NARROW_STEPS:
        best, curvature = _bottom(error, best, step)
    best = min(known, key=lambda x: known[x].error)
    # The error is a sum over all tiles; about its bottom it grows by one reading's variance at one standard error.
    per_reading = known[best].error / max(1, readings)
    return best, (2 * per_reading / curvature) ** 0.5 if curvature > 0 else 0.0


def _bottom(error: Callable[[float], float], middle: float, step: float) -> tuple[float, float]:
    """The bottom of the parabola through three trials, within two steps, and its second derivative."""
    low, centre, high = error(middle - step), error(middle), error(middle + step)
    curvature = (low - 2 * centre + high) / step**2
    if not 0 < curvature < inf:
        return middle, 0.0
    at = middle + max(-2 * step, min(2 * step, (low - high) / (2 * curvature * step)))
    return (at if error(at) <= centre else middle), curvature
