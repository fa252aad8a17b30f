import numpy as np
import pytest

from labonn.capture.phase_table import fit_phase_table
from labonn.errors import CalibrationError

LEVELS = np.arange(5, 255, 5)


def zeroth_order(scale: float, gamma: float, fill: float = 0.93, pixels: int = 28, blur_px: float = 0.45) -> np.ndarray:
    """Sum the fields of one finely sampled period of a blurred binary grating: no formula of the fit's own."""
    fine = 64
    position = np.arange(pixels * fine)
    high = (position < pixels * fine // 2).astype(float)
    frequency = np.fft.rfftfreq(position.size, 1 / fine)
    smooth = np.fft.irfft(np.fft.rfft(high) * np.exp(-2 * (np.pi * frequency * blur_px) ** 2), position.size)
    phase_rad = 2 * np.pi * scale * (LEVELS / 255) ** gamma
    fields = np.exp(1j * phase_rad[:, None] * smooth).mean(axis=1)
    return np.asarray(np.abs(1 - fill + fill * fields) ** 2)


@pytest.mark.parametrize(("scale", "gamma"), [(1.0, 1.0), (1.18, 1.15), (0.8, 1.3), (1.3, 0.9)])
def test_a_known_table_is_found(scale: float, gamma: float) -> None:
    noisy = zeroth_order(scale, gamma) + 0.005 * np.random.default_rng(0).standard_normal(LEVELS.size)
    table = fit_phase_table(LEVELS, noisy, 255.0)
    truth_rad = 2 * np.pi * scale * (LEVELS / 255) ** gamma
    assert np.abs(table.phase_rad(LEVELS) - truth_rad).max() < 0.15
    assert table.rms < 0.02


def test_what_no_table_explains_is_said() -> None:
    noise = np.random.default_rng(0).random(LEVELS.size)
    with pytest.raises(CalibrationError, match="no smooth table explains"):
        fit_phase_table(LEVELS, noise, 255.0)
