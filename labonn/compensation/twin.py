"""The optical twin: what the optics really compute, learned from a handful of captures."""

from collections.abc import Callable
from dataclasses import dataclass
from math import exp

import torch
from torch import Tensor
from torch.nn import functional

from labonn.errors import CalibrationError

SUPPORT_TAPS = 17  # wider than the design's kernels: aberrations and stray light spread a PSF beyond them
RIDGES = (
    1e-4,
    1e-3,
    1e-2,
    1e-1,
    1.0,
)  # tried for the prior's weight, relative to the mean eigenvalue of the images' Gram
HELD_OUT = 4  # every fourth capture judges the ridge and the twin
FEWEST_CAPTURES = 4
LEAST_R2 = 0.1  # a twin that predicts less of the held-out captures predicts nothing
FIRST_GAMMA_STEP, LAST_GAMMA_STEP = 0.4, 0.02  # of the logarithm of the display's gamma
LARGEST_LOG_GAMMA = 1.1  # a gamma beyond 3 or 1/3 is no display's
# Part of the held-out residual that a parameter must take away to be believed: with many held out, with one.
WORTH_A_PARAMETER, WORTH_A_PARAMETER_OF_ONE = 0.005, 0.1
CHUNK_IMAGES = 500


@dataclass(frozen=True)
class Twin:
    r"""Kernels and an offset for each sub-aperture: tile_s = image^gamma \star kernel_s + offset_s + noise.

    Attributes
    ----------
    kernels
        (T, support, support) float32, in the student's units, gain included.
    offset
        (T,) float32.
    display_gamma
        Exponent from an image's values to the display's light; 1 where the captures do not ask for another.
    gain
        (T,) the light that a sub-aperture gathers over what the design says.
    held_out_r2
        (T,) part of the held-out captures' variance that the twin predicts.
    map_noise
        (K,) standard deviation of what the twin cannot predict of each signed map, on held-out captures.
    ridge
        The weight of the prior that predicted the held-out captures best.
    captures
        How many captures it was fitted to.
    """

    kernels: Tensor
    offset: Tensor
    display_gamma: float
    gain: Tensor
    held_out_r2: Tensor
    map_noise: Tensor
    ridge: float
    captures: int

    def tiles(self, images: Tensor) -> Tensor:
        """Predict the optical maps (N, T, H, W) of images (N, 1, H, W), without noise."""
        return _predict(images**self.display_gamma, self.kernels, self.offset)

    def maps(self, images: Tensor) -> Tensor:
        """Predict the signed maps (N, K, H, W) of images (N, 1, H, W), without noise."""
        kernels = self.kernels[0::2] - self.kernels[1::2]
        offset = self.offset[0::2] - self.offset[1::2]
        chunks = [_predict(chunk**self.display_gamma, kernels, offset) for chunk in torch.split(images, CHUNK_IMAGES)]
        return torch.cat(chunks)

    def noisy(self, maps: Tensor, images: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Signed maps (N, K, H, W) as one more capture of the images would show them: noise drawn anew."""
        return maps + self.map_noise[:, None, None] * torch.randn(maps.shape, generator=generator)

    def sample(self, generator: torch.Generator | None = None) -> "Twin":
        """Another twin that the captures allow as well."""
        return self


def fit_twin(images: Tensor, tiles: Tensor, designed_kernels: Tensor) -> Twin:
    """Refit the frontend to captures, without labels, by ridge regression towards the designed kernels.

    The unknowns of a tile are a kernel on a support wider than the design's and an offset; the prior is the designed
    kernel with the tile's own gain. How much it weighs is chosen by predicting every fourth capture from the others.

    Parameters
    ----------
    images
        (N, 1, H, W) float32, what was shown.
    tiles
        (N, T, H, W) float32, what was captured.
    designed_kernels
        (T, taps, taps) float32, the student's.

    Raises
    ------
    CalibrationError
        If there are too few captures, one is not a number, or the tiles do not follow the images at all.
    """
    if len(images) < FEWEST_CAPTURES:
        raise CalibrationError(f"an optical twin needs at least {FEWEST_CAPTURES} captures, got {len(images)}")
    if not torch.isfinite(images).all():
        raise CalibrationError("an image that was shown has a value that is not a number: check the data set")
    if not torch.isfinite(tiles).all():
        raise CalibrationError("a captured map has a value that is not a number: capture again")
    images, tiles = images.double(), tiles.double()
    prior = _centred(designed_kernels.double())
    held_out = torch.arange(len(images)) % HELD_OUT == HELD_OUT - 1

    def trial(display_gamma: float) -> _Trial:
        shown = images**display_gamma
        fitting = _Regression.of(shown[~held_out], tiles[~held_out], prior)
        return min((_judged(fitting, ridge, shown[held_out], tiles[held_out]) for ridge in RIDGES), key=_error)

    # From the tile's mean or its mean picture, whichever is closer: dark edges alone are not following the images.
    means = (tiles[~held_out].mean(dim=(0, 2, 3), keepdim=True), tiles[~held_out].mean(dim=0, keepdim=True))
    spread = torch.stack([(tiles[held_out] - mean).square().mean(dim=(0, 2, 3)) for mean in means]).amin(dim=0)
    if (dead := (spread <= 1e-12).nonzero().flatten().tolist()) != []:
        raise CalibrationError(
            f"tiles {', '.join(map(str, dead))} show the same, whatever image is shown: is the shutter open, the "
            "display alight, and the phase pattern on the SLM? Calibrate again"
        )
    display_gamma, best = _search_gamma(trial, int(held_out.sum()))
    held_out_r2 = 1 - best.residual.square().mean(dim=(0, 2, 3)) / spread
    if not held_out_r2.median() > LEAST_R2:
        raise CalibrationError(
            "the captured maps do not follow the images that were shown "
            f"(median held-out R^2 {held_out_r2.median():.2f}): does each frame belong to its image, is the right "
            "pattern on the SLM, and is the camera where it was at calibration?"
        )
    signed_residual = best.residual[:, 0::2] - best.residual[:, 1::2]
    kernels, offset = _Regression.of(images**display_gamma, tiles, prior).solve(best.ridge)
    return Twin(
        kernels=kernels.float(),
        offset=offset.float(),
        display_gamma=display_gamma,
        gain=(kernels.sum(dim=(1, 2)) / prior.sum(dim=(1, 2)).clamp_min(1e-12)).float(),
        held_out_r2=held_out_r2.float(),
        map_noise=signed_residual.square().mean(dim=(0, 2, 3)).sqrt().float(),
        ridge=best.ridge,
        captures=len(images),
    )


@dataclass(frozen=True)
class _Trial:
    """How well captures that were held out are predicted."""

    ridge: float
    residual: Tensor  # (n, T, H, W)
    error: float


def _error(trial: _Trial) -> float:
    return trial.error


def _judged(fitting: "_Regression", ridge: float, shown: Tensor, tiles: Tensor) -> _Trial:
    residual = tiles - _predict(shown, *fitting.solve(ridge))
    return _Trial(ridge, residual, float(residual.square().mean()))


def _search_gamma(trial: Callable[[float], _Trial], held_out: int) -> tuple[float, _Trial]:
    """The display's gamma that predicts best, by halving steps of its logarithm; 1 unless another is clearly better."""
    worth = max(WORTH_A_PARAMETER, WORTH_A_PARAMETER_OF_ONE / held_out)
    linear = trial(1.0)
    exponent, best, step = 0.0, linear, FIRST_GAMMA_STEP
    while step > LAST_GAMMA_STEP:
        candidates = [x for x in (exponent - step, exponent + step) if abs(x) <= LARGEST_LOG_GAMMA]
        moves = [(candidate, trial(exp(candidate))) for candidate in candidates]
        nearest = min(moves, key=lambda move: move[1].error)
        if nearest[1].error < best.error:
            exponent, best = nearest
        else:
            step /= 2
    if best.error > (1 - worth) * linear.error:
        return 1.0, linear
    return exp(exponent), best


@dataclass(frozen=True)
class _Regression:
    """The normal equations of all tiles at once: they share the images' Gram."""

    gram: Tensor  # (P + 1, P + 1) with P = support ** 2; the last unknown is the offset
    target: Tensor  # (P + 1, T)
    prior: Tensor  # (P + 1, T), with the gain of each tile

    @classmethod
    def of(cls, images: Tensor, tiles: Tensor, prior: Tensor) -> "_Regression":
        unknowns, count = SUPPORT_TAPS**2 + 1, tiles.shape[1]
        gram, target = images.new_zeros(unknowns, unknowns), images.new_zeros(unknowns, count)
        for image, tile in zip(images, tiles, strict=True):
            patches = functional.unfold(image[None], SUPPORT_TAPS, padding=SUPPORT_TAPS // 2)[0]
            patches = torch.cat([patches, torch.ones_like(patches[:1])])
            gram += patches @ patches.T
            target += patches @ tile.flatten(1).T
        shape = torch.cat([prior.flatten(1).T, images.new_zeros(1, count)])
        gain = (shape * target).sum(dim=0) / (shape * (gram @ shape)).sum(dim=0).clamp_min(1e-12)
        return cls(gram, target, shape * gain)

    def solve(self, ridge: float) -> tuple[Tensor, Tensor]:
        """Kernels (T, support, support) and offsets (T,) at one weight of the prior; the offset is not held back."""
        unknowns = len(self.gram)
        weight = ridge * self.gram.diagonal()[:-1].mean()
        penalty = torch.full((unknowns,), float(weight), dtype=self.gram.dtype)
        penalty[-1] = 1e-9 * self.gram[-1, -1]
        solution = torch.linalg.solve(self.gram + penalty.diag(), self.target + penalty[:, None] * self.prior)
        return solution[:-1].T.reshape(-1, SUPPORT_TAPS, SUPPORT_TAPS), solution[-1]


def _centred(kernels: Tensor) -> Tensor:
    """Put the designed kernels in the middle of the wider support."""
    margin = (SUPPORT_TAPS - kernels.shape[-1]) // 2
    return functional.pad(kernels, (margin, margin, margin, margin))


def _predict(images: Tensor, kernels: Tensor, offset: Tensor) -> Tensor:
    return functional.conv2d(images, kernels[:, None], offset, padding=SUPPORT_TAPS // 2)
