"""The interval of an accuracy is Wilson's; scipy's is the oracle."""

import pytest
from scipy.stats import binomtest

from labonn.training import accuracy_interval


@pytest.mark.parametrize(("right", "images"), [(0, 30), (29, 30), (30, 30), (985, 1000), (1, 2)])
def test_the_interval_of_an_accuracy_is_wilson_s(right, images):
    expected = binomtest(right, images).proportion_ci(confidence_level=0.95, method="wilson")
    assert accuracy_interval(right, images) == pytest.approx((100 * expected.low, 100 * expected.high), abs=0.01)
