"""How an error falls with the number of training images."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

LEAST_ERROR = 1e-4  # below it, a few thousand images say nothing


@dataclass(frozen=True)
class LearningCurve:
    """error(n) = scale n^-exponent, a power law.

    Source: Hestness et al., "Deep learning scaling is predictable, empirically", arXiv:1712.00409, eq. 1, without the
    irreducible error, which a few points far from it do not tell; of kernels: Spigler, Geiger, Wyart, J. Stat. Mech.
    (2020) 124001.
    """

    images: tuple[int, ...]
    errors: tuple[float, ...]
    """Share of wrong answers at each of these."""
    scale: float
    exponent: float

    def error_at(self, images: float) -> float:
        """Share of wrong answers after so many images."""
        return float(np.clip(self.scale * images**-self.exponent, LEAST_ERROR, 1.0))


def told_apart(images: int, parameters: int) -> float:
    """As many images as a model of so many parameters learns from, of those that it is shown: 1 / (1/images + 1/P).

    A kernel that is summed over outputs has a higher rank than its model has parameters, so that regression with it
    goes on learning where a small model is full.

    Source: Kaplan et al., "Scaling laws for neural language models", arXiv:2001.08361, eq. 1.5, with equal exponents.
    """
    return 1 / (1 / images + 1 / parameters)


def fit_curve(images: Sequence[int], errors: Sequence[float]) -> LearningCurve:
    """Fit the law to shares of wrong answers by least squares of logarithms, each weighted by its count of errors.

    An error that grows with the images, by chance, is taken for one that stays.

    Raises
    ------
    ValueError
        If there are fewer than two points.
    """
    if len(images) < 2 or len(images) != len(errors):
        raise ValueError(f"a curve needs two points at least, and has {len(images)} counts and {len(errors)} errors")
    counts = np.asarray(images, dtype=np.float64)
    wrong = np.maximum(np.asarray(errors, dtype=np.float64) * counts, 0.5)  # no error seen is half of one
    weights = np.sqrt(wrong)  # the logarithm of a Poisson count w has variance 1 / w; polyfit squares
    slope, _ = np.polyfit(np.log(counts), np.log(wrong / counts), 1, w=weights)
    exponent = max(0.0, -float(slope))
    level = np.average(np.log(wrong / counts) + exponent * np.log(counts), weights=wrong)
    return LearningCurve(tuple(map(int, images)), tuple(map(float, errors)), float(np.exp(level)), exponent)
