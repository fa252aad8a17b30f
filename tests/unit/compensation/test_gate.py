"""The gate's bound is Agresti and Min's, and its errors are as rare as it promises."""

from functools import cache

import numpy as np
import pytest
from scipy.stats import multinomial

from labonn.compensation import judge


def verdict(gained, lost, captures, both_right=0):
    """Judge by how many captures only the new, only the current, and both backends get right."""
    current, new = np.zeros(captures, bool), np.zeros(captures, bool)
    new[:gained] = True
    current[gained : gained + lost] = True
    current[gained + lost : gained + lost + both_right] = new[gained + lost : gained + lost + both_right] = True
    return judge(current, new)


@pytest.mark.parametrize(
    ("gained", "lost", "captures"), [(12, 3, 200), (1, 0, 100), (0, 1, 100), (40, 38, 300), (5, 9, 64), (30, 0, 30)]
)
def test_the_lower_bound_is_the_adjusted_wald_interval(gained, lost, captures):
    """Half a capture is added to each of the four cells; one-sided 95 % means 1.6449 standard errors."""
    p_gained, p_lost = (gained + 0.5) / (captures + 2), (lost + 0.5) / (captures + 2)
    standard_error = np.sqrt((p_gained + p_lost - (p_gained - p_lost) ** 2) / (captures + 2))
    found = verdict(gained, lost, captures)
    assert found.lower_bound_points == pytest.approx(100 * (p_gained - p_lost - 1.6448536 * standard_error), rel=1e-6)
    assert found.gain_points == pytest.approx(100 * (gained - lost) / captures)
    assert found.captures == captures


def test_only_captures_on_which_the_two_differ_count():
    apart, together = verdict(12, 3, 200), verdict(12, 3, 200, both_right=150)
    assert apart == together


@pytest.mark.parametrize("captures", [100, 10_000])
@pytest.mark.parametrize("exchanged", [0, 7])
def test_equal_backends_are_never_released(captures, exchanged):
    """Not even where so many captures agree that the bound lies within the margin."""
    found = verdict(exchanged, exchanged, captures, both_right=captures // 2)
    assert found.gain_points == 0
    assert not found.released


def test_a_clear_gain_is_released_and_a_clear_loss_is_not():
    assert verdict(20, 2, 300).released
    assert not verdict(2, 20, 300).released


def test_a_gain_that_may_be_a_loss_is_not_released():
    found = verdict(31, 30, 300)
    assert found.gain_points > 0
    assert not found.released


def test_too_few_captures_are_refused_however_good_they_are():
    found = verdict(29, 0, 29)
    assert not found.released
    assert np.isnan(found.lower_bound_points)
    assert "29" in found.reason
    assert "at least 30" in found.reason
    assert verdict(30, 0, 30).released


def test_the_reason_has_the_figures_that_it_judged_by():
    assert "12 of 200 captures gained, 3 lost: +4.5 points" in verdict(12, 3, 200).reason


@cache
def released(gained, lost, captures):
    return verdict(gained, lost, captures).released


def chance_of_release(p_gained, p_lost, captures, rare=1e-9):
    """Exactly: the multinomial chances of all counts that would be released."""
    counts = np.stack(np.meshgrid(np.arange(captures + 1), np.arange(captures + 1), indexing="ij"), axis=-1)
    counts = counts.reshape(-1, 2)[counts.sum(axis=-1).ravel() <= captures]
    cells = np.column_stack([counts, captures - counts.sum(axis=1)])
    chances = multinomial(captures, [p_gained, p_lost, 1 - p_gained - p_lost]).pmf(cells)
    likely = chances > rare
    return sum(
        chance
        for (gained, lost), chance in zip(counts[likely].tolist(), chances[likely], strict=True)
        if released(gained, lost, captures)
    )


@pytest.mark.parametrize("captures", [100, 200, 300])
@pytest.mark.parametrize("differ", [0.06, 0.12, 0.2])
def test_a_true_loss_of_five_points_almost_never_passes(differ, captures):
    assert chance_of_release((differ - 0.05) / 2, (differ + 0.05) / 2, captures) < 0.005


@pytest.mark.parametrize("captures", [100, 200, 300])
@pytest.mark.parametrize("differ", [0.03, 0.06, 0.12])
def test_a_loss_of_the_tolerated_margin_passes_as_rarely_as_promised(differ, captures):
    """Half a point is the margin; a bound at 95 % may err in one of twenty, here a little more for small counts."""
    assert chance_of_release((differ - 0.005) / 2, (differ + 0.005) / 2, captures) < 0.06


def test_a_gain_worth_having_mostly_passes():
    assert chance_of_release(0.07, 0.01, 200) > 0.95
