"""The gate's errors are as rare as it promises, however often it looks."""

from fractions import Fraction
from itertools import product
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labonn.compensation import Answers, Gate, decide
from labonn.compensation.evidence import BETS, evidence, lower_bound
from tests.benchmarks.gate import OUTCOMES, outcomes

counts = st.tuples(st.integers(0, 60), st.integers(0, 60), st.integers(0, 900))


def answers(right, loss=None):
    right = np.asarray(right, bool)
    return Answers(right, np.where(right, 0.1, 2.0) if loss is None else np.asarray(loss, float))


def pair(gained, lost, captures, both_right=0):
    """Answers by how many captures only the new, only the current, and both backends get right."""
    current, new = np.zeros(captures, bool), np.zeros(captures, bool)
    new[:gained] = True
    current[gained : gained + lost] = True
    current[gained + lost : gained + lost + both_right] = new[gained + lost : gained + lost + both_right] = True
    return answers(current), answers(new)


def verdict(gained, lost, captures, both_right=0, gate=None):
    current, new = pair(gained, lost, captures, both_right)
    return decide(current, {"new": new}, gate).verdicts["new"]


def test_evidence_is_the_mean_capital_of_its_bets():
    """Oracle: one capture after the other, in exact fractions."""
    bound = Fraction(-1, 200)
    capitals = []
    for bet in range(BETS):
        stake, capital = (Fraction(bet) + Fraction(1, 2)) / BETS / (1 + bound), Fraction(1)
        for difference in (1, 0, -1, 0, 1, 1, 0):
            capital *= 1 + stake * (difference - bound)
        capitals.append(capital)
    assert evidence(np.array([1.0, 0, -1, 0, 1, 1, 0]), float(bound)) == pytest.approx(
        float(sum(capitals) / BETS), rel=1e-12
    )


@pytest.mark.parametrize(("p_gained", "p_lost"), [(0.02, 0.025), (0.3, 0.305), (0.0, 0.005), (0.495, 0.5)])
def test_where_nothing_is_gained_beyond_the_bound_no_evidence_is_to_be_expected(p_gained, p_lost):
    """The mean of the capital over all outcomes of n captures is 1 exactly: what Ville's inequality needs."""
    captures, chances = 9, {1: p_gained, -1: p_lost, 0: 1 - p_gained - p_lost}
    expected = 0.0
    for gained, lost in product(range(captures + 1), repeat=2):
        if gained + lost <= captures:
            ways = comb(captures, gained) * comb(captures - gained, lost)
            chance = ways * chances[1] ** gained * chances[-1] ** lost * chances[0] ** (captures - gained - lost)
            expected += chance * evidence(OUTCOMES, -0.005, counts=outcomes(gained, lost, captures))
    assert expected == pytest.approx(1, rel=1e-9)


@given(counts)
def test_the_lower_bound_is_where_the_evidence_ends(triple):
    gained, lost, rest = triple
    captures = gained + lost + rest + 1
    counted = outcomes(gained, lost, captures)
    bound = lower_bound(OUTCOMES, 0.05, counts=counted)
    assert -1 <= bound <= (gained - lost) / captures
    if bound > -0.999:
        assert evidence(OUTCOMES, bound - 1e-6, counts=counted) >= 20
    assert evidence(OUTCOMES, bound + 1e-6, counts=counted) < 20


@given(counts)
def test_a_capture_more_that_is_gained_never_speaks_against(triple):
    gained, lost, rest = triple
    before = outcomes(gained, lost, gained + lost + rest)
    after = outcomes(gained + 1, lost, gained + lost + rest + 1)
    assert evidence(OUTCOMES, -0.005, counts=after) >= evidence(OUTCOMES, -0.005, counts=before)


def chance_of_ever_passing(p_gained, p_lost, looks, candidates, trials=2000, seed=0):
    """How often a gate that looks after each of `looks` captures lets at least one of equal candidates pass."""
    rng = np.random.default_rng(seed)
    steps = np.diff([0, *looks])
    chances = [p_gained, p_lost, 1 - p_gained - p_lost]
    drawn = np.stack([rng.multinomial(steps, chances) for _ in range(trials * candidates)]).cumsum(axis=1)
    threshold = candidates / 0.05
    passed = np.zeros((trials, candidates), bool)
    for place, captures in enumerate(looks):
        found, back = np.unique(drawn[:, place, :2], axis=0, return_inverse=True)
        ok = np.array(
            [
                more > less and evidence(OUTCOMES, -0.005, counts=outcomes(more, less, captures)) >= threshold
                for more, less in found
            ]
        )
        passed |= ok[back.ravel()].reshape(trials, candidates)
    return float(passed.any(axis=1).mean())


@pytest.mark.parametrize("lost", [0.0075, 0.0275, 0.0525])
def test_what_loses_the_margin_passes_once_in_twenty_at_most_over_all_looks_and_both_candidates(lost):
    """A look after every 40 captures up to 1,000; the two candidates independent, which is the worst case."""
    looks = list(range(40, 1001, 40))
    assert chance_of_ever_passing(lost - 0.005, lost, looks, candidates=2) < 0.05


def test_a_gain_worth_having_mostly_passes():
    assert chance_of_ever_passing(0.07, 0.01, [100, 200, 400], candidates=2) > 0.95


def test_only_captures_on_which_the_two_differ_count():
    apart, together = verdict(12, 3, 200), verdict(12, 3, 200, both_right=150)
    assert apart == together
    assert (apart.gained, apart.lost, apart.gain_points) == (12, 3, pytest.approx(4.5))


@pytest.mark.parametrize("captures", [100, 10_000])
@pytest.mark.parametrize("exchanged", [0, 7])
def test_equal_backends_are_never_released(captures, exchanged):
    """Not even where so many captures agree that the bound lies within the margin."""
    found = verdict(exchanged, exchanged, captures, both_right=captures // 2)
    assert found.gain_points == 0
    assert not found.passes


def test_with_as_many_right_the_smaller_loss_is_better():
    right = np.arange(2000) % 10 > 0
    noise = np.random.default_rng(0).normal(0, 0.01, 2000)
    current = answers(right, 0.5 + noise)
    better, worse = answers(right, 0.4 + noise), answers(right, 0.6 + noise)
    assert decide(current, {"new": better}).released == "new"
    assert decide(current, {"new": worse}).released is None


def test_a_loss_that_is_surely_larger_forbids_a_gain():
    current, new = pair(20, 2, 300, both_right=270)
    rng = np.random.default_rng(0)
    dearer = answers(new.right, current.loss + rng.normal(0.5, 0.1, 300))
    assert decide(current, {"new": new}).released == "new"
    assert decide(current, {"new": dearer}).released is None


def test_a_clear_loss_settles_it_and_nothing_is_released():
    current, new = pair(2, 30, 300)
    decision = decide(current, {"new": new})
    assert (decision.released, decision.settled) == (None, True)
    assert decision.verdicts["new"].worse
    assert "worse" in decision.reason


def test_a_gain_that_may_be_a_loss_asks_for_more():
    current, new = pair(31, 30, 300)
    decision = decide(current, {"new": new})
    assert decision.verdicts["new"].gain_points > 0
    assert (decision.released, decision.settled) == (None, False)


def test_labels_in_disorder_prove_nothing():
    """Both backends are right by chance then, on captures of their own."""
    rng = np.random.default_rng(0)
    current, new = answers(rng.random(800) < 0.1), answers(rng.random(800) < 0.1)
    assert decide(current, {"new": new}).released is None


def test_of_two_that_pass_the_better_is_released_and_the_first_on_a_tie():
    current, good = pair(30, 0, 300)
    _, better = pair(33, 0, 300)
    assert decide(current, {"ntkd": good, "kd": better}).released == "kd"
    assert decide(current, {"ntkd": good, "kd": good}).released == "ntkd"
    assert decide(current, {"kd": good, "ntkd": good}).released == "kd"


def test_one_that_passes_goes_before_one_that_is_preferred_and_does_not():
    captures = np.arange(300)
    current = answers(captures >= 100)
    good = answers((captures >= 100) | (captures < 12))  # 12 gained, none lost
    uncertain = answers((captures < 100) | (captures >= 187))  # 100 gained, 87 lost
    decision = decide(current, {"uncertain": uncertain, "good": good})
    assert decision.verdicts["uncertain"].gain_points > decision.verdicts["good"].gain_points
    assert decision.released == "good"


def test_two_candidates_have_to_prove_more_than_one():
    current, new = pair(7, 0, 150)
    alone, among = decide(current, {"a": new}), decide(current, {"a": new, "b": pair(0, 30, 150)[1]})
    assert alone.verdicts["a"].lower_bound_points > among.verdicts["a"].lower_bound_points


def test_a_wider_margin_lets_more_pass():
    current, new = pair(10, 8, 400)
    assert decide(current, {"new": new}).released is None
    assert decide(current, {"new": new}, Gate(margin_points=10)).released == "new"


def test_too_few_captures_are_refused_however_good_they_are():
    current, new = pair(29, 0, 29)
    decision = decide(current, {"new": new})
    assert decision.released is None
    assert "29" in decision.reason
    assert "at least 30" in decision.reason
    current, new = pair(30, 0, 30)
    assert decide(current, {"new": new}).released == "new"


def test_the_reason_has_the_figures_that_it_judged_by():
    current, new = pair(12, 3, 200)
    assert "12 of 200 captures gained, 3 lost: +4.5 points" in decide(current, {"new": new}).reason


def test_masks_are_compared_by_the_overlap_of_each_image():
    """A gain of 20 points in each of 40 passes; a smaller one of some that others lose, though it is one, does not."""
    rng = np.random.default_rng(0)
    current = rng.uniform(0.3, 0.7, 40)
    loss = np.full(40, 0.4)
    steady = Answers(current + 0.2, loss - 0.1)
    lucky = current.copy()
    lucky[:8] = np.minimum(1.0, lucky[:8] + 0.3)
    lucky[8:20] -= 0.1
    decision = decide(Answers(current, loss), {"steady": steady, "lucky": Answers(lucky, loss - 0.01)})
    found = decision.verdicts["steady"]
    assert (found.gained, found.lost) == (40, 0)
    assert found.gain_points == pytest.approx(20)
    assert found.passes
    assert -0.5 < found.lower_bound_points < 20
    assert decision.verdicts["lucky"].gain_points > 0
    assert not decision.verdicts["lucky"].passes
    assert decision.released == "steady"


def test_the_overlap_of_masks_is_bounded_as_bets_need_it():
    """Mean capital 1 where the mean gain is the bound, of gains of many sizes: by enumeration, exactly."""
    gains, chances, bound = np.array([-0.4, 0.1, 0.35]), np.array([0.3, 0.5, 0.2]), 0.0
    assert gains @ chances == pytest.approx(bound)
    expected = sum(
        np.prod(chances[list(which)]) * evidence(gains[list(which)], bound) for which in product(range(3), repeat=6)
    )
    assert expected == pytest.approx(1, rel=1e-9)
