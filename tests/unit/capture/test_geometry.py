import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from labonn.capture.geometry import find_geometry, fit_affine, nominal_affine
from labonn.capture.scene import FIDUCIAL_RADIUS_TAPS, FIDUCIALS_TAPS
from labonn.design import Optic, lay_out
from labonn.errors import CalibrationError
from labonn.instruments import Geometry

SHAPE = (580, 580)
GEOMETRY = Geometry(
    wavelength_nm=532, focal_mm=50, tap_um=26.0, camera_pixel_um=3.45, tile_pitch_um=884.0, display_px_per_tap=16
)
OPTIC = Optic(aperture_mm=(4.3, 4.3), kernel_mm=2.048, spacing_mm=0.064, taps=7, kernels=2, wavelengths_nm=(532.0,))
NOISE = 2.0


def true_affine(shift_px: float, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    affine = nominal_affine(lay_out(OPTIC), GEOMETRY, SHAPE)
    affine[:, :, :2] *= 1 + rng.normal(0, 0.005, (4, 2, 2))
    affine[:, :, :2] += rng.normal(0, 0.05, (4, 2, 2))
    affine[:, :, 2] += rng.uniform(-shift_px, shift_px, (4, 2))
    return affine


def picture_of(affine: np.ndarray, lit: np.ndarray | None = None) -> np.ndarray:
    """Blurred discs where the map puts them, antialiased, with noise."""
    picture = np.zeros(SHAPE)
    for tile, one in enumerate(affine):
        for disc, (tap_y, tap_x) in enumerate(FIDUCIALS_TAPS):
            centre = one @ (tap_y, tap_x, 1)
            top, left = np.floor(centre - 12).astype(int)
            y, x = np.mgrid[top : top + 25, left : left + 25]
            distance = np.hypot(y - centre[0], x - centre[1])
            bright = 1.0 if lit is None else float(lit[tile, disc])
            picture[top : top + 25, left : left + 25] += bright * np.clip(
                FIDUCIAL_RADIUS_TAPS * one[0, 0] - distance + 0.5, 0, 1
            )
    picture = gaussian_filter(picture, 2.0) * 1500
    return (picture + np.random.default_rng(1).normal(0, NOISE, SHAPE)).astype(np.float32)


def find(picture: np.ndarray, saturated: np.ndarray | None = None):
    nominal = nominal_affine(lay_out(OPTIC), GEOMETRY, SHAPE)
    return find_geometry(picture, nominal, NOISE, np.zeros(SHAPE, bool) if saturated is None else saturated)


@pytest.mark.parametrize("shift_px", [0.0, 3.0, 40.0])
def test_finds_shift_scale_rotation_and_shear_to_a_fiftieth_of_a_pixel(shift_px: float) -> None:
    true = true_affine(shift_px)
    found = find(picture_of(true))
    corners = np.array([(y, x, 1) for y in (-13.5, 13.5) for x in (-13.5, 13.5)])
    np.testing.assert_allclose(found.affine @ corners.T, true @ corners.T, atol=0.05)
    np.testing.assert_allclose(found.affine[:, :, 2], true[:, :, 2], atol=0.02)
    assert (found.rms_px < 0.05).all()


def test_a_few_missing_discs_do_no_harm() -> None:
    true = true_affine(2.0)
    lit = np.ones((4, len(FIDUCIALS_TAPS)))
    lit[:, ::6] = 0
    np.testing.assert_allclose(find(picture_of(true, lit)).affine[:, :, 2], true[:, :, 2], atol=0.03)


def test_a_dark_tile_is_named() -> None:
    lit = np.ones((4, len(FIDUCIALS_TAPS)))
    lit[2] = 0
    with pytest.raises(CalibrationError, match=r"tile 2: .*fiducial"):
        find(picture_of(true_affine(2.0), lit))


def test_darkness_is_no_geometry() -> None:
    with pytest.raises(CalibrationError, match=r"tile 0: .*fiducial"):
        find(np.random.default_rng(0).normal(0, NOISE, SHAPE).astype(np.float32))
    with pytest.raises(CalibrationError, match="tile 0"):
        find(np.zeros(SHAPE, np.float32))


def test_saturated_discs_are_refused() -> None:
    picture = picture_of(true_affine(2.0))
    with pytest.raises(CalibrationError, match="tile 0: its fiducial discs are saturated"):
        find(picture, picture > 1000)


def test_one_point_that_is_wrong_is_left_out_of_the_fit() -> None:
    rng = np.random.default_rng(0)
    true = true_affine(5.0)[0]
    pixels = FIDUCIALS_TAPS @ true[:, :2].T + true[:, 2] + rng.normal(0, 0.01, FIDUCIALS_TAPS.shape)
    pixels[3] += 4.0
    found, rms_px = fit_affine(FIDUCIALS_TAPS, pixels)
    np.testing.assert_allclose(found, true, atol=0.02)
    assert rms_px < 0.02
