from math import exp

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.response import Panel

TAU_S, LATENCY_S = 2.6e-3, 4e-3


def test_nothing_happens_before_the_latency():
    panel = Panel("old", TAU_S, LATENCY_S)
    panel.show("new", 1.0)
    assert panel.weights(1.0, 1.0 + LATENCY_S) == {"old": 1.0}


def test_a_moment_after_the_switch_follows_the_exponential():
    panel = Panel("old", TAU_S, LATENCY_S)
    panel.show("new", 1.0)
    after_s = 3e-3
    moment = 1.0 + LATENCY_S + after_s
    assert panel.weights(moment, moment)["old"] == pytest.approx(exp(-after_s / TAU_S))


def test_an_exposure_sees_the_mean_of_the_exponential():
    """Closed form: the mean of exp(-t / tau) from a to b is tau (exp(-a / tau) - exp(-b / tau)) / (b - a)."""
    panel = Panel("old", TAU_S, LATENCY_S)
    panel.show("new", 0.0)
    a, b = 1e-3, 9e-3
    expected = TAU_S * (exp(-a / TAU_S) - exp(-b / TAU_S)) / (b - a)
    assert panel.weights(LATENCY_S + a, LATENCY_S + b)["old"] == pytest.approx(expected)


def test_a_long_wait_forgets_the_old_picture():
    panel = Panel("old", TAU_S, LATENCY_S)
    panel.show("new", 0.0)
    assert panel.weights(1.0, 1.01) == {"new": 1.0}
    assert panel.keys() == {"new"}


def test_without_settling_a_panel_switches_at_once():
    panel = Panel("old", 0.0, 0.0)
    panel.show("new", 1.0)
    assert panel.weights(1.0, 1.5) == {"new": 1.0}


def test_an_exposure_that_begins_before_a_switch_sees_both():
    panel = Panel("closed", 0.0, 6e-3)
    panel.show("open", 0.0)
    assert panel.weights(0.0, 24e-3) == pytest.approx({"closed": 0.25, "open": 0.75})


@given(
    shows=st.lists(st.tuples(st.floats(0.0, 20e-3), st.sampled_from("abc")), min_size=1, max_size=5),
    start_s=st.floats(0.0, 30e-3),
    exposure_s=st.floats(1e-3, 30e-3),
)
def test_any_history_agrees_with_integrating_the_equation(shows, start_s, exposure_s):
    panel = Panel("start", TAU_S, LATENCY_S, negligible=0.0)
    now_s, told = 0.0, [(-1.0, "start")]
    for wait_s, key in shows:
        now_s += wait_s
        panel.show(key, now_s)
        told.append((now_s + LATENCY_S, key))
    step_s = 2e-5
    times = np.arange(0.0, start_s + exposure_s, step_s) + step_s / 2
    state = {"start": 1.0, "a": 0.0, "b": 0.0, "c": 0.0}
    seen = {key: [] for key in state}
    for time_s in times:
        target = [key for when, key in told if when <= time_s][-1]
        for key in state:
            state[key] += ((key == target) - state[key]) * step_s / TAU_S
            seen[key].append(state[key])
    during = times >= start_s
    weights = panel.weights(start_s, start_s + exposure_s)
    assert sum(weights.values()) == pytest.approx(1.0)
    for key, values in seen.items():
        assert weights.get(key, 0.0) == pytest.approx(float(np.mean(np.array(values)[during])), abs=0.03)
