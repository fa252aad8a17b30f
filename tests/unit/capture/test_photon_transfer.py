import numpy as np
import pytest

from labonn.capture.photon_transfer import _hot, _nonlinearity, _pair, fit_gain
from labonn.errors import CalibrationError

GAIN, READ_E, BLACK, SATURATION = 2.6, 4.0, 60.0, 4095


def exposed(mean_e: np.ndarray, chance: np.random.Generator, power: float = 1.0) -> np.ndarray:
    electrons = chance.poisson(mean_e * power) + READ_E * chance.standard_normal(mean_e.shape)
    return np.clip(np.rint(electrons / GAIN + BLACK), 0, SATURATION).astype(np.uint16)


def test_a_line_gives_its_slope_and_how_well_it_is_known() -> None:
    signal = np.linspace(10, 3000, 40)
    chance = np.random.default_rng(1)
    clean = signal / GAIN + 2.4
    gain, error = fit_gain(signal, clean * (1 + 0.01 * chance.standard_normal(signal.size)))
    assert gain == pytest.approx(GAIN, rel=0.01)
    assert 0.0005 < error < 0.01
    assert abs(gain - GAIN) < 4 * error * GAIN


def test_power_that_changes_between_two_frames_is_not_taken_for_noise() -> None:
    chance = np.random.default_rng(2)
    mean_e = np.tile(np.linspace(200, 6000, 400), (400, 1))
    one, other = exposed(mean_e, chance), exposed(mean_e, chance, power=1.02)
    pair = _pair(10.0, one, other, np.full(mean_e.shape, BLACK, np.float32), SATURATION)
    expected = (mean_e + READ_E**2).mean() / GAIN**2
    assert pair.difference.var() / 2 == pytest.approx(expected, rel=0.02)
    naive = (one.astype(float) - other).var() / 2
    assert naive > 1.1 * expected, "without it, this would be wrong"


def test_a_camera_that_bends_is_seen() -> None:
    black = np.zeros((50, 50), np.float32)

    def pairs(bend: float) -> list:
        return [
            _pair(t, frame, frame, black, SATURATION)
            for t in (1.0, 2.0, 4.0, 8.0)
            for frame in [np.full((50, 50), round(400 * t * (1 - bend * t / 8)), np.uint16)]
        ]

    assert _nonlinearity(pairs(0.0)) < 1e-3
    assert _nonlinearity(pairs(0.05)) == pytest.approx(0.01, abs=0.01)
    assert _nonlinearity(pairs(0.05)) > 0.005


def test_hot_pixels_are_found_where_they_are() -> None:
    chance = np.random.default_rng(3)
    dark = (BLACK + chance.standard_normal((100, 120))).astype(np.float32)
    dark[7, 9] += 40
    dark[99, 0] += 500
    assert _hot(dark).tolist() == [[7, 9], [99, 0]]


@pytest.mark.parametrize(
    ("signal", "variance", "said"),
    [
        (np.array([1.0, 2.0]), np.array([1.0, 2.0]), "only 2 points"),
        (np.full(10, 5.0), np.full(10, 5.0), "only 10 points"),
        (np.linspace(1, 100, 10), np.linspace(100, 1, 10), "does not grow with the signal"),
    ],
)
def test_what_cannot_be_fitted_is_said(signal: np.ndarray, variance: np.ndarray, said: str) -> None:
    with pytest.raises(CalibrationError, match=said):
        fit_gain(signal, variance)
