"""What earlier designs teach: nothing from none, the truth from many, and intervals that cover as they say."""

from math import exp, log

import numpy as np
import pytest
from scipy.stats import binomtest

from labonn.training.estimate import Correction, Known, Predictors
from labonn.training.estimate.correction import ABOVE
from labonn.training.estimate.curve import fit_curve

CURVE = fit_curve([10, 20], [0.2, 0.1], 0.9)


def single(ntk):
    """Accuracy of a single layer where the regression says this, as is believed."""
    return accuracy(odds(ntk) + ABOVE["drawn"])


def begun(ntk):
    return accuracy(odds(ntk) + ABOVE["short"])


def predictors(ntk, parameters=50_000):
    return Predictors(
        ntk, ntk, (ntk,), None, single(ntk), begun(ntk), None, None, 0.4, 0.2, parameters, 120, CURVE, 100, {}
    )


def odds(accuracy):
    return log((100 - accuracy) / accuracy)


def accuracy(value):
    return 100 / (1 + exp(value))


def drawn(count, chance, *, offset=0.5, slope=1.2, noise=0.2):
    """Designs whose trainings err otherwise than foretold, by a law that the correction can learn."""
    found = []
    for _ in range(count):
        ntk = float(chance.uniform(70, 99))
        value = offset + odds(95) + slope * (odds(ntk) - odds(95)) + noise * chance.standard_normal()
        found.append(Known(predictors(ntk, int(10 ** chance.uniform(4, 6))), accuracy(value)))
    return found


def test_without_a_measurement_the_regression_is_believed_and_the_interval_is_wide():
    said = Correction([]).predict(predictors(95.0))
    assert said.value == pytest.approx(95.0)
    assert said.low < 90 < 97 < said.high
    assert said.confidence == 0.9


def test_measurements_move_and_narrow_it_however_few():
    chance = np.random.default_rng(1)
    widths = []
    for count in (0, 3, 12, 60):
        said = Correction(drawn(count, chance)).predict(predictors(95.0))
        widths.append(said.high - said.low)
    assert widths == sorted(widths, reverse=True)
    assert said.value == pytest.approx(accuracy(odds(95) + 0.5), abs=0.4)
    one = Correction([Known(predictors(95.0), 92.0)]).predict(predictors(95.0))
    assert 92.0 < one.value < 95.0


def test_a_training_that_failed_does_not_speak_for_the_others():
    known = drawn(20, np.random.default_rng(3))
    failed = Known(predictors(85.0), 11.0)
    said = [Correction(some).predict(predictors(95.0)).value for some in (known, [*known, failed])]
    assert said[1] == pytest.approx(said[0], abs=0.5)


def test_ninety_per_cent_are_ninety_per_cent():
    """On designs that no fit has seen; the noise is normal, as the model has it, the rest is unknown to it."""
    chance = np.random.default_rng(7)
    inside = 0
    for _ in range(150):
        *known, new = drawn(41, chance)
        said = Correction(known).predict(new.predictors)
        inside += said.low <= new.accuracy <= said.high
    assert binomtest(inside, 150, 0.9).pvalue > 0.05
