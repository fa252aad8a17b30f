import numpy as np
import pytest

from labonn.capture.psf import _deconvolve

PX_PER_TAP = 16
PIXELS_PER_TAP = 7.5
SIGMA_PX, OFF_PX = (2.0, 3.1), (1.3, -2.2)


def scenes(count: int) -> list[np.ndarray]:
    chance = np.random.default_rng(0)
    pictures = []
    for _ in range(count):
        picture = np.zeros((512, 512), np.float32)
        picture[160:352, 160:352] = chance.integers(0, 2, (48, 48)).repeat(4, axis=0).repeat(4, axis=1)
        pictures.append(picture)
    return pictures


def seen_through_a_gaussian(picture: np.ndarray, to_pixels: np.ndarray) -> np.ndarray:
    """Sum a Gaussian, off its centre by `OFF_PX`, over the display's pixels, at the places where they land."""
    rows, columns = np.nonzero(picture)
    middle = (np.array(picture.shape) - 1) / 2
    taps = np.stack([rows - middle[0], columns - middle[1], np.full(rows.size, PX_PER_TAP)]) / PX_PER_TAP
    at = to_pixels @ taps
    y, x = np.arange(260.0), np.arange(270.0)
    down = np.exp(-((y[:, None] - at[0] - OFF_PX[0]) ** 2) / (2 * SIGMA_PX[0] ** 2))
    across = np.exp(-((x[:, None] - at[1] - OFF_PX[1]) ** 2) / (2 * SIGMA_PX[1] ** 2))
    return (down @ across.T).astype(np.float32)


@pytest.mark.parametrize("offset", [(130.0, 128.0), (131.37, 127.81)])
@pytest.mark.parametrize("turn_deg", [0.0, 0.7])
def test_a_known_psf_is_found_where_it_is(offset: tuple[float, float], turn_deg: float) -> None:
    turn = np.deg2rad(turn_deg)
    rotation = PIXELS_PER_TAP * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    to_pixels = np.column_stack([rotation, offset])
    pictures = scenes(4)
    frames = [seen_through_a_gaussian(picture, to_pixels) for picture in pictures]
    noisy = [frame + 0.01 * frame.max() * np.random.default_rng(1).standard_normal(frame.shape) for frame in frames]
    psf, residual = _deconvolve(pictures, noisy, to_pixels, PX_PER_TAP, half_px=110, side=41)
    y, x = np.mgrid[-20:21, -20:21]
    truth = np.exp(-((y - OFF_PX[0]) ** 2) / (2 * SIGMA_PX[0] ** 2) - ((x - OFF_PX[1]) ** 2) / (2 * SIGMA_PX[1] ** 2))
    assert np.corrcoef(psf.ravel(), truth.ravel())[0, 1] > 0.99
    centroid = [float((psf * axis).sum() / psf.sum()) for axis in (y, x)]
    assert centroid == pytest.approx(OFF_PX, abs=0.15)
    assert residual < 0.2
