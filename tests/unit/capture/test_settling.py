"""Latency and settle time from levels: of a response that is known, with noise, jitter, and shapes that do not fit."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad

from labonn.capture.settling import evaluate_step
from labonn.errors import CalibrationError

DELAYS_MS = np.linspace(0, 33.4, 48)


def seen(response, delays_ms, exposure_ms):
    """What exposures see of a response, integrated by somebody else."""
    edges = [getattr(response, "edge", 0.0)]
    return np.array(
        [
            quad(response, delay, delay + exposure_ms, points=[e for e in edges if delay < e < delay + exposure_ms])[0]
            / exposure_ms
            for delay in delays_ms
        ]
    )


def first_order(latency_ms, tau_ms):
    def response(t_ms):
        return 1 - np.exp(-(t_ms - latency_ms) / tau_ms) if t_ms > latency_ms else 0.0

    response.edge = latency_ms
    return response


@given(st.floats(0.5, 10), st.floats(0.3, 4), st.floats(0.5, 3))
def test_a_first_order_response_is_found_exactly(latency_ms, tau_ms, exposure_ms):
    step = evaluate_step(DELAYS_MS, seen(first_order(latency_ms, tau_ms), DELAYS_MS, exposure_ms), exposure_ms)
    assert step.by == "fit"
    assert step.latency_ms == pytest.approx(latency_ms, abs=0.02)
    assert step.settled_ms == pytest.approx(latency_ms + tau_ms * np.log(100), abs=0.05)


def test_noise_moves_the_result_by_no_more_than_is_said():
    clean = seen(first_order(4.0, 2.6), DELAYS_MS, 2.0)
    misses = 0
    for seed in range(100):
        step = evaluate_step(DELAYS_MS, clean + np.random.default_rng(seed).normal(0, 0.003, len(clean)), 2.0)
        misses += abs(step.settled_ms - (4.0 + 2.6 * np.log(100))) > step.uncertainty_ms
        assert step.uncertainty_ms < 0.5
    assert misses < 15  # two standard deviations: 5 are expected


def test_exposures_that_began_late_do_not_count():
    level = seen(first_order(4.0, 2.6), DELAYS_MS, 2.0)
    late = seen(first_order(4.0, 2.6), DELAYS_MS + 6.0, 2.0)
    level[[3, 5, 9, 14]] = late[[3, 5, 9, 14]]
    step = evaluate_step(DELAYS_MS, level, 2.0)
    assert step.by == "fit"
    assert step.settled_ms == pytest.approx(4.0 + 2.6 * np.log(100), abs=0.5)


def test_a_response_of_another_shape_is_interpolated():
    def ramp(t_ms):  # a display that is written line by line
        return min(max((t_ms - 5) / 15, 0.0), 1.0)

    step = evaluate_step(DELAYS_MS, seen(ramp, DELAYS_MS, 0.5), 0.5)
    assert step.by == "interpolation"
    assert step.latency_ms == pytest.approx(5.15, abs=0.5)
    assert step.settled_ms == pytest.approx(19.85, abs=0.5)


def test_a_display_faster_than_can_be_seen_has_settled_at_once():
    step = evaluate_step(DELAYS_MS, np.ones_like(DELAYS_MS), 2.0, command_ms=1.5)
    assert step.settled_ms <= 0.1
    assert step.latency_ms <= 1.5


def test_the_time_of_the_command_counts_for_the_latency_alone():
    level = seen(first_order(4.0, 2.6), DELAYS_MS, 2.0)
    with_command = evaluate_step(DELAYS_MS, level, 2.0, command_ms=7.0)
    assert with_command.latency_ms == pytest.approx(11.0, abs=0.02)
    assert with_command.settled_ms == pytest.approx(4.0 + 2.6 * np.log(100), abs=0.05)


def test_the_order_of_the_delays_does_not_matter():
    level = seen(first_order(4.0, 2.6), DELAYS_MS, 2.0)
    order = np.random.default_rng(0).permutation(len(level))
    assert evaluate_step(DELAYS_MS[order], level[order], 2.0).settled_ms == pytest.approx(
        evaluate_step(DELAYS_MS, level, 2.0).settled_ms
    )


@pytest.mark.parametrize("last", [0.5, 0.97, 1.05, float("nan")])
def test_a_display_that_has_not_settled_is_said_so(last):
    level = np.linspace(0, last, 48)
    with pytest.raises(CalibrationError, match="has not settled"):
        evaluate_step(DELAYS_MS, level, 2.0)
