import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from labonn.capture.flat_field import flat_field
from labonn.errors import CalibrationError

PER_TAP = 6.0
AFFINE = np.array([[[PER_TAP, 0, 60.0], [0, PER_TAP, 60.0]], [[PER_TAP, 0, 60.0], [0, PER_TAP, 170.0]]])
SHAPE = (120, 230)


def lit(levels: tuple[float, float]) -> np.ndarray:
    """Two plain tiles of 16 taps, brighter to the right, with blurred edges."""
    picture = np.zeros(SHAPE)
    for affine, level in zip(AFFINE, levels, strict=True):
        rows, columns = (slice(round(affine[axis, 2]) - 48, round(affine[axis, 2]) + 48) for axis in (0, 1))
        picture[rows, columns] = level * (1 + 0.1 * (np.arange(96) - 47.5) / 48)
    return gaussian_filter(picture, 2.0).astype(np.float32)


def test_is_the_response_within_a_tile_and_one_where_nothing_is_lit() -> None:
    picture = lit((1000.0, 500.0))
    field = flat_field(picture, AFFINE, (14, 14), least_signal=20)
    np.testing.assert_allclose(field.transmission, [4 / 3, 2 / 3], rtol=1e-3)
    inner = picture[20:100, 20:100]
    np.testing.assert_allclose(field.flat[20:100, 20:100], inner / inner.mean(), rtol=2e-3)
    assert (field.flat[:10] == 1).all()
    assert field.flat.min() > 0.8, "no pixel of a blurred edge is blown up"


def test_a_dark_tile_is_named() -> None:
    with pytest.raises(CalibrationError, match="tile 1 stays dark"):
        flat_field(lit((1000.0, 10.0)), AFFINE, (14, 14), least_signal=20)
    with pytest.raises(CalibrationError, match="tile 0 stays dark"):
        flat_field(np.zeros(SHAPE, np.float32), AFFINE, (14, 14), least_signal=20)


def test_a_tile_outside_the_sensor_is_an_error() -> None:
    with pytest.raises(CalibrationError, match="outside the sensor"):
        flat_field(lit((1.0, 1.0)), AFFINE + np.array([[0, 0, 0], [0, 0, 400]]), (14, 14), least_signal=20)
