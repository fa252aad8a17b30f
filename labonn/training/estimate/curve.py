"""How an error falls with the number of training images."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

LEAST_ERROR = 1e-4  # below it, a few thousand images say nothing
LEAST_WRONG = 0.5  # answers: none seen is half of one


@dataclass(frozen=True)
class LearningCurve:
    """error(n) / (guessed - error(n)) = scale n^-exponent: a power law of the odds against guessing.

    Far below chance this is the usual power law of the error. Near chance, where noise hides nearly everything of each
    image, an error cannot follow one: it stays at chance until there are images enough, and then falls.

    Source: Hestness et al., "Deep learning scaling is predictable, empirically", arXiv:1712.00409, eq. 1 and fig. 6
    (the region of small data, that of the power law), without the irreducible error, which a few points far from it
    do not tell; of kernels: Spigler, Geiger, Wyart, J. Stat. Mech. (2020) 124001.
    """

    images: tuple[int, ...]
    errors: tuple[float, ...]
    """Share of wrong answers at each of these."""
    scale: float
    exponent: float
    guessed: float
    """Share of wrong answers of who guesses."""

    def error_at(self, images: float) -> float:
        """Share of wrong answers after so many images."""
        odds = self.scale * images**-self.exponent
        return float(max(self.guessed * odds / (1 + odds), LEAST_ERROR))


def told_apart(images: int, parameters: int) -> float:
    """As many images as a model of so many parameters learns from, of those that it is shown: 1 / (1/images + 1/P).

    A kernel that is summed over outputs has a higher rank than its model has parameters, so that regression with it
    goes on learning where a small model is full.

    Source: Kaplan et al., "Scaling laws for neural language models", arXiv:2001.08361, eq. 1.5, with equal exponents.
    """
    return 1 / (1 / images + 1 / parameters)


def fit_curve(images: Sequence[int], errors: Sequence[float], guessed: float) -> LearningCurve:
    """Fit the law to shares of wrong answers: least squares of the odds' logarithms, each weighted by its precision.

    An error that grows with the images, by chance, is taken for one that stays.

    Parameters
    ----------
    images, errors
        Share of wrong answers after so many images.
    guessed
        Share of wrong answers of who guesses: 1 - 1/classes.

    Raises
    ------
    ValueError
        If there are fewer than two points.
    """
    if len(images) < 2 or len(images) != len(errors):
        raise ValueError(f"a curve needs two points at least, and has {len(images)} counts and {len(errors)} errors")
    counts = np.asarray(images, dtype=np.float64)
    luck = np.sqrt(guessed * (1 - guessed) / counts)  # so much above chance, guessing may be
    share = np.clip(np.asarray(errors, dtype=np.float64), LEAST_WRONG / counts, guessed - luck)
    odds = np.log(share / (guessed - share))
    # A share e of n answers has variance e (1 - e) / n, and the logarithm of its odds the slope g / (e (g - e)).
    weights = share * (guessed - share) / guessed / np.sqrt(share * (1 - share) / counts)  # polyfit squares them
    slope, _ = np.polyfit(np.log(counts), odds, 1, w=weights)
    exponent = max(0.0, -float(slope))
    level = np.average(odds + exponent * np.log(counts), weights=weights**2)
    return LearningCurve(
        tuple(map(int, images)), tuple(map(float, errors)), float(np.exp(level)), exponent, float(guessed)
    )
