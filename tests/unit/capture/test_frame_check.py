"""No false alarm on what a sound camera delivers; what is spoilt is found on cameras of all kinds."""

import numpy as np
import pytest

from labonn.capture.frame_check import FrameCheck

from .eyes import seeing_calibration

RNG = np.random.default_rng(0)
SHAPE = (90, 100)


def noisy(level: float, noise: float = 1.0, most: int = 4095) -> np.ndarray:
    return np.clip(np.rint(RNG.normal(level, noise, SHAPE)), 0, most).astype(np.uint16)


@pytest.mark.parametrize(
    ("level", "noise", "dark"),
    [
        (60, 1.0, 60),  # a black level well above zero
        (0, 0.1, 0),  # black cut off at zero: almost every row of two dark frames is the same
        (0.2, 0.3, 0),
        (2000, 20, 60),
        (40, 1, 42),  # a black level that has drifted
    ],
)
def test_sound_frames_pass(level: float, noise: float, dark: float) -> None:
    reference = seeing_calibration(dark=noisy(dark, noise).astype(np.float32), dark_noise=noise)
    for check in (FrameCheck(4095), FrameCheck(4095, calibration=reference)):
        before = noisy(level, noise)
        for _ in range(50):
            frame = noisy(level, noise)
            assert check(frame, before) is None
            before = frame


def test_dead_rows_of_the_camera_s_own_and_hot_pixels_are_no_fault() -> None:
    def frame() -> np.ndarray:
        made = noisy(500)
        made[17] = 0
        made[3, 5:60] = 4095
        return made

    mean = frame().astype(np.float32)
    assert FrameCheck(4095, calibration=seeing_calibration(dark=mean))(frame(), frame()) is None
    assert FrameCheck(4095)(frame(), frame()) is None


def test_without_a_calibration_rows_that_went_missing_are_seen_against_the_frame_before() -> None:
    cut = noisy(500)
    cut[-1] = 0
    assert FrameCheck(4095)(cut, noisy(500)).fault == "truncated"


def test_a_room_s_lamp_is_too_much_light() -> None:
    check = FrameCheck(4095, calibration=seeing_calibration())
    assert check(noisy(4200, 30), noisy(500)).fault == "saturated"
    assert FrameCheck(4095, most_saturated=1.0)(noisy(4200, 30), noisy(500)) is None
