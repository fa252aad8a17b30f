from math import pi

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labonn.errors import ConfigError, InstrumentError
from labonn.instruments import PhaseOfLevels

from .stand_ins import BareDisplay, BareSLM, connected

PIXELS = {"pitch_um": 8.0, "settle_ms": 16.7}


@given(phase=st.floats(-1e3, 1e3), levels_per_2pi=st.floats(2, 256))
def test_a_level_stands_for_the_phase_to_half_a_level(phase: float, levels_per_2pi: float) -> None:
    slm = connected(BareSLM, levels_per_2pi=levels_per_2pi, **PIXELS)
    slm.show(np.full(slm.shape, phase))
    error = (float(slm.shown[0, 0]) / levels_per_2pi * 2 * pi - phase) / (2 * pi)
    half_a_level = 0.5 / levels_per_2pi
    # The last level may be one short of a whole turn when the number of levels is not whole.
    largest = half_a_level + (max(0.0, levels_per_2pi - 255.5) / levels_per_2pi)
    assert abs(error - round(error)) <= largest + 1e-9


def test_a_maker_s_table_is_hit_exactly() -> None:
    slm = connected(BareSLM, levels_per_2pi=255, **PIXELS)
    slm.show(np.linspace(0, 2 * pi * 14 / 255, 15).reshape(3, 5))
    assert slm.shown.ravel().tolist() == list(range(15))
    assert slm.shown.dtype == np.uint8


@pytest.mark.parametrize("wrong", [np.zeros((5, 3)), np.full((3, 5), np.nan), np.zeros((3, 5), int)])
def test_what_is_no_phase_pattern_does_not_reach_the_slm(wrong: np.ndarray) -> None:
    slm = connected(BareSLM, levels_per_2pi=255, **PIXELS)
    with pytest.raises(ValueError, match="phase pattern"):
        slm.show(wrong)
    assert slm.shown is None


def test_an_slm_that_cannot_reach_a_whole_wavelength_is_refused() -> None:
    with pytest.raises(ConfigError, match="levels_per_2pi = 300"):
        connected(BareSLM, levels_per_2pi=300, **PIXELS)


def test_a_picture_is_rounded_to_levels() -> None:
    display = connected(BareDisplay, **PIXELS)
    display.show(np.array([[0, 0.5, 1, 0.2499, 0.002]] * 3, np.float32))
    assert display.shown[0].tolist() == [0, 128, 255, 64, 1]


@pytest.mark.parametrize(
    "wrong", [np.full((3, 5), 1.1), np.full((3, 5), -0.1), np.full((3, 5), np.nan), np.zeros((5, 3))]
)
def test_what_is_no_picture_does_not_reach_the_display(wrong: np.ndarray) -> None:
    display = connected(BareDisplay, **PIXELS)
    with pytest.raises(ValueError, match="display"):
        display.show(wrong)
    assert display.shown is None


def test_showing_waits_until_it_has_settled_unless_told_otherwise() -> None:
    display = connected(BareDisplay, **PIXELS)
    display.show(np.zeros(display.shape), wait=False)
    assert display.site.clock.slept_ms == 0
    display.show(np.zeros(display.shape))
    assert display.site.clock.slept_ms == pytest.approx(16.7)


def test_dark_is_black() -> None:
    display = connected(BareDisplay, **PIXELS)
    display.show(np.ones(display.shape))
    display.make_dark()
    assert not display.shown.any()


@pytest.mark.parametrize("turns", [1.0, 3.0, 1e6, 1e12])
@pytest.mark.parametrize("levels_per_2pi", [200, 255.5, 256])
def test_single_precision_costs_no_level(turns: float, levels_per_2pi: float) -> None:
    slm = connected(BareSLM, levels_per_2pi=levels_per_2pi, **PIXELS)
    phase = np.random.default_rng(0).uniform(-2 * pi * turns, 2 * pi * turns, slm.shape).astype(np.float32)
    exact = phase.astype(np.float64) / (2 * pi) % 1.0 * levels_per_2pi
    error = np.abs((slm.levels_of(phase) - exact + levels_per_2pi / 2) % levels_per_2pi - levels_per_2pi / 2)
    assert error.max() < 0.51


@settings(deadline=None)  # other processes may have the computer
@given(phase=st.floats(-1e3, 1e3), scale=st.floats(0.98, 2.0), gamma=st.floats(0.7, 1.5))
def test_a_measured_table_is_inverted_to_the_nearest_level(phase: float, scale: float, gamma: float) -> None:
    slm = connected(BareSLM, levels_per_2pi=255, **PIXELS)
    table = 2 * pi * scale * (np.arange(256) / 255) ** gamma
    slm.phase_of_levels = PhaseOfLevels(table, "trial")
    slm.show(np.full(slm.shape, phase))
    error = np.abs(np.angle(np.exp(1j * (table - phase))))
    once = error[: np.searchsorted(table, 2 * pi) + 1]
    assert error[slm.shown[0, 0]] <= once.min() + 2 * pi / 256 / 16 + 1e-9, (
        "a step of the table, half of it to either side"
    )
    assert slm.settings()["phase_table"] == "trial"
    slm.phase_of_levels = None
    assert slm.settings()["phase_table"] == "levels_per_2pi of the bench file"


def test_a_table_that_does_not_rise_or_fit_is_refused() -> None:
    slm = connected(BareSLM, levels_per_2pi=255, **PIXELS)
    for table in (np.linspace(0, 6, 255), np.linspace(6, 0, 256)):
        with pytest.raises(ConfigError, match=r"phase table .* from trial does not fit"):
            slm.phase_of_levels = PhaseOfLevels(table, "trial")


def test_levels_are_shown_as_they_are_and_remembered() -> None:
    display = connected(BareDisplay, **PIXELS)
    assert display.levels_shown is None
    levels = np.arange(15, dtype=np.uint8).reshape(3, 5)
    display.show_levels(levels)
    np.testing.assert_array_equal(display.levels_shown, levels)
    np.testing.assert_array_equal(display.shown, levels)
    for wrong in (levels.T, levels.astype(np.int32)):
        with pytest.raises(ValueError, match="levels of shape"):
            display.show_levels(wrong)


def test_a_picture_can_be_loaded_while_another_is_shown() -> None:
    display = connected(BareDisplay, **PIXELS)
    first, second = (np.full((3, 5), level, np.uint8) for level in (1, 2))
    display.show_levels(first)
    display.load_levels(second)
    np.testing.assert_array_equal(display.shown, first)
    display.show_loaded()
    np.testing.assert_array_equal(display.shown, second)
    np.testing.assert_array_equal(display.levels_shown, second)
    with pytest.raises(InstrumentError, match="no picture is loaded"):
        display.show_loaded()
    display.load_levels(second)
    display.show_levels(first)
    with pytest.raises(InstrumentError, match="another was shown since"):
        display.show_loaded()
    display.load_levels(second)
    display.make_dark()
    with pytest.raises(InstrumentError, match="load it again"):
        display.show_loaded()
    with pytest.raises(ValueError, match="levels of shape"):
        display.load_levels(second.T)


def test_levels_of_a_part_are_those_of_the_whole() -> None:
    display = connected(BareDisplay, **PIXELS)
    picture = np.random.default_rng(0).random((3, 5), np.float32)
    np.testing.assert_array_equal(display.levels_of_part(picture[1:, :2]), display.levels_of(picture)[1:, :2])
    with pytest.raises(ValueError, match="does not lie within 0 to 1"):
        display.levels_of_part(np.full(2, np.nan, np.float32))
