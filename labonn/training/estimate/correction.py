"""From what a regression foretells to what trainings reach: learnt from designs that were trained before."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log, sqrt
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student_t

from labonn.training.estimate.predictors import Predictors

Term = Literal["ntk", "drawn", "short", "parameters", "bottleneck", "kare", "alignment"]
LEAST_ERROR_PERCENT = 0.02
USUAL_PERCENT = 95.0
USUAL_PARAMETERS = 50_000
NARROW = 4  # values that a backend passes on at its narrowest
# What is believed before anything was measured, in log odds of the error. By how much the odds of each forerunner are
# above those of the training: a single layer errs 2.5 times as often, a student that has just begun 11 times.
ABOVE = {"ntk": 0.0, "drawn": 0.9, "short": 2.4}
FEW_KNOWN = 6  # of fewer, whom to believe would be learnt from noise
SPREAD_OF_FEW = {"level": 1.5, "slope": 0.3}  # in units of the noise
SPREAD = {"level": 2.0, "slope": 1.0, "share": 4.0, "parameters": 1.0, "bottleneck": 1.5, "kare": 0.5, "alignment": 0.5}
PRIOR_NOISE, PRIOR_WEIGHT = 0.3, 2.0  # of a training about the line, and as how many measurements it counts
HEAVY_TAILS = 4.0  # degrees of freedom of the noise: a training that fails is not the rule
ROUNDS = 30


@dataclass(frozen=True)
class Known:
    """A design that was trained: what was foretold, and what it reached in per cent."""

    predictors: Predictors
    accuracy: float


@dataclass(frozen=True)
class Interval:
    """An accuracy in per cent, and between which it lies at a confidence."""

    value: float
    low: float
    high: float
    confidence: float


class Correction:
    r"""Bayesian regression of log odds, o = m + a + b (m - o_95) + sum c_i (o_i - m) + sum of further terms + noise.

    The odds are those of an error, as three forerunners foretell them: regression with the student's tangent kernel,
    which trusts that a small backend can learn; a single layer on its kernels before training, which knows what they
    let through; a training that has just begun, which knows how fast it learns. m is the mean of the first two, a the
    level, b how strongly designs differ, c_i how much more the others are to be believed. Prior: all of them normal
    about zero with variance noise^2 times the square of `SPREAD`; the noise Student's t, so that a training that failed
    does not speak for others, its variance inverse gamma. Without a measurement the answer is m, with a wide interval;
    each measurement narrows it. Of fewer than `FEW_KNOWN`, a and b alone are learnt.

    Parameters
    ----------
    known
        Earlier designs of the same task.
    terms
        What enters beside the constant.

    Source: Gelman et al., "Bayesian data analysis", 3rd ed., sections 14.2, 14.8 and 17.2; the mode by expectation
    maximisation, Lange, Little, Taylor, "Robust statistical modeling using the t distribution", JASA 84 (1989) 881.
    """

    def __init__(self, known: Sequence[Known], terms: Sequence[Term] = ("ntk", "drawn", "short")) -> None:
        self.terms = tuple(terms)
        self.count = len(known)
        self._few = len(known) < FEW_KNOWN
        spread = np.array(self._spreads())
        precision = np.diag(1 / spread**2)
        rows = np.array([self._row(one.predictors) for one in known]).reshape(-1, len(spread))
        left = np.array([_odds(one.accuracy) - self._believed(one.predictors) for one in known])
        self._freedom = PRIOR_WEIGHT + len(known)
        self._variance, weights = PRIOR_NOISE**2, np.ones(len(known))
        for _ in range(ROUNDS if known else 1):
            self._covariance: NDArray[np.float64] = np.linalg.inv(precision + (rows.T * weights) @ rows)
            self._mean = self._covariance @ (rows.T * weights) @ left
            missed = left - rows @ self._mean
            squares = float(weights @ missed**2 + self._mean @ precision @ self._mean)
            self._variance = (PRIOR_WEIGHT * PRIOR_NOISE**2 + squares) / self._freedom
            weights = (HEAVY_TAILS + 1) / (HEAVY_TAILS + missed**2 / self._variance)

    def predict(self, predictors: Predictors, confidence: float = 0.9) -> Interval:
        """What a training of this design will reach."""
        row = self._row(predictors)
        centre = self._believed(predictors) + float(row @ self._mean)
        spread = sqrt(self._variance * (1 + float(row @ self._covariance @ row)))
        reach = float(student_t.ppf((1 + confidence) / 2, min(self._freedom, HEAVY_TAILS))) * spread
        return Interval(_accuracy(centre), _accuracy(centre + reach), _accuracy(centre - reach), confidence)

    def _foretold(self, predictors: Predictors) -> list[float]:
        values = {"ntk": predictors.ntk, "drawn": predictors.random_kernels, "short": predictors.short}
        return [_odds(value) - ABOVE[term] for term, value in values.items() if term in self.terms]

    def _believed(self, predictors: Predictors) -> float:
        said = self._foretold(predictors)
        both = said[:-1] if "short" in self.terms and len(said) > 1 else said
        return sum(both) / len(both) if both else 0.0

    def _spreads(self) -> list[float]:
        forerunners = [term for term in self.terms if term in ABOVE]
        if self._few:
            return [SPREAD_OF_FEW["level"], SPREAD_OF_FEW["slope"]]
        further = [SPREAD[term] for term in self.terms if term not in ABOVE]
        return [SPREAD["level"], SPREAD["slope"], *[SPREAD["share"]] * (len(forerunners) - 1), *further]

    def _row(self, predictors: Predictors) -> NDArray[np.float64]:
        said, believed = self._foretold(predictors), self._believed(predictors)
        row = [1.0, believed - _odds(USUAL_PERCENT) if said else 0.0]
        if self._few:
            return np.array(row)
        further = {
            "parameters": log(predictors.parameters / USUAL_PARAMETERS) / log(10),
            "bottleneck": NARROW / predictors.bottleneck,
            "kare": log(max(predictors.kare, 1e-9)),
            "alignment": predictors.alignment,
        }
        others = [value - believed for value in said[1:]]
        return np.array([*row, *others, *(further[term] for term in self.terms if term in further)])


def _odds(accuracy: float) -> float:
    """Log odds of an error."""
    error = min(max(100 - accuracy, LEAST_ERROR_PERCENT), 100 - LEAST_ERROR_PERCENT)
    return log(error / (100 - error))


def _accuracy(odds: float) -> float:
    return 100 / (1 + exp(odds))
