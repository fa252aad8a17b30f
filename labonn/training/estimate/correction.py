"""From what a regression foretells to what trainings reach: learnt from designs that were trained before."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log, sqrt
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student_t

from labonn.training.estimate.predictors import Predictors

Term = Literal["ntk", "drawn", "parameters", "bottleneck", "kare", "alignment"]
LEAST_ERROR_PERCENT = 0.02
USUAL_PARAMETERS = 50_000
NARROW = 4  # values that a backend passes on at its narrowest
# What is believed before anything was measured, in log odds: trainings err as the mean of both regressions.
PRIOR_SPREAD = {
    "one": 1.5,
    "ntk": 0.5,
    "drawn": 0.5,
    "parameters": 0.4,
    "bottleneck": 1.5,
    "kare": 0.5,
    "alignment": 0.5,
}
PRIOR_NOISE, PRIOR_WEIGHT = 0.35, 2.0  # of a training about the line, and as how many measurements it counts


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
    r"""Bayesian regression of log odds: o = a + (1/2 + b) o_ntk + (1/2 + c) o_drawn + sum of further terms + noise.

    The odds are those of an error; o_ntk of regression with the student's tangent kernel, which trusts that a small
    backend can learn, o_drawn of a single layer on its kernels before training, which knows what they let through.
    Prior: a, b, c and the others normal about zero with variance noise^2 times the square of `PRIOR_SPREAD`, the
    noise's variance inverse gamma. Without a measurement the answer is the mean of both, with a wide interval; each
    measurement narrows it.

    Parameters
    ----------
    known
        Earlier designs of the same task.
    terms
        What enters beside the constant.

    Source: Gelman et al., "Bayesian data analysis", 3rd ed., sections 14.2 and 14.8; the predictive is a t.
    """

    def __init__(self, known: Sequence[Known], terms: Sequence[Term] = ("ntk", "drawn", "parameters")) -> None:
        self.terms = tuple(terms)
        self.count = len(known)
        spread = np.array([PRIOR_SPREAD["one"], *(PRIOR_SPREAD[term] for term in terms)])
        precision = np.diag(1 / spread**2)
        rows = np.array([self._row(one.predictors) for one in known]).reshape(-1, len(spread))
        # What is regressed is what the prior's mean (0, and 1 for the kernel's odds) leaves.
        left = np.array([_odds(one.accuracy) - self._believed(one.predictors) for one in known])
        self._covariance: NDArray[np.float64] = np.linalg.inv(precision + rows.T @ rows)
        self._mean = self._covariance @ rows.T @ left
        residual = float(left @ left - self._mean @ np.linalg.solve(self._covariance, self._mean)) if known else 0.0
        self._freedom = PRIOR_WEIGHT + len(known)
        self._variance = (PRIOR_WEIGHT * PRIOR_NOISE**2 + max(residual, 0.0)) / self._freedom

    def predict(self, predictors: Predictors, confidence: float = 0.9) -> Interval:
        """What a training of this design will reach."""
        row = self._row(predictors)
        centre = self._believed(predictors) + float(row @ self._mean)
        spread = sqrt(self._variance * (1 + float(row @ self._covariance @ row)))
        reach = float(student_t.ppf((1 + confidence) / 2, self._freedom)) * spread
        return Interval(_accuracy(centre), _accuracy(centre + reach), _accuracy(centre - reach), confidence)

    def _believed(self, predictors: Predictors) -> float:
        own = {"ntk": predictors.ntk, "drawn": predictors.random_kernels}
        both = [_odds(value) for term, value in own.items() if term in self.terms]
        return sum(both) / len(both) if both else 0.0

    def _row(self, predictors: Predictors) -> NDArray[np.float64]:
        values = {
            "ntk": _odds(predictors.ntk) - _odds(95.0),
            "drawn": _odds(predictors.random_kernels) - _odds(95.0),
            "parameters": log(predictors.parameters / USUAL_PARAMETERS) / log(10),
            "bottleneck": NARROW / predictors.bottleneck,
            "kare": log(max(predictors.kare, 1e-9)),
            "alignment": predictors.alignment,
        }
        return np.array([1.0, *(values[term] for term in self.terms)])


def _odds(accuracy: float) -> float:
    """Log odds of an error."""
    error = min(max(100 - accuracy, LEAST_ERROR_PERCENT), 100 - LEAST_ERROR_PERCENT)
    return log(error / (100 - error))


def _accuracy(odds: float) -> float:
    return 100 / (1 + exp(odds))
