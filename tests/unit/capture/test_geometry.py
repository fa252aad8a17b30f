import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from labonn.capture.fiducials import FIDUCIAL_RADIUS_TAPS, FIDUCIAL_SCENES, FIDUCIALS_TAPS, SCENE_OF_FIDUCIAL
from labonn.capture.geometry import find_geometry, fit_affine, nominal_affine
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


def pictures_of(
    affine: np.ndarray, lit: np.ndarray | None = None, lobes: tuple[tuple[float, float, float], ...] = ((0, 0, 1),)
) -> np.ndarray:
    """Blurred discs where the map puts them, antialiased, with noise; a displaced one for each lobe."""
    pictures = np.zeros((FIDUCIAL_SCENES, *SHAPE))
    for tile, one in enumerate(affine):
        for disc, (tap_y, tap_x) in enumerate(FIDUCIALS_TAPS):
            bright = 1.0 if lit is None else float(lit[tile, disc])
            for down, right, share in lobes:
                centre = one @ (tap_y, tap_x, 1) + (down, right)
                top, left = np.floor(centre - 12).astype(int)
                y, x = np.mgrid[top : top + 25, left : left + 25]
                distance = np.hypot(y - centre[0], x - centre[1])
                pictures[SCENE_OF_FIDUCIAL[disc], top : top + 25, left : left + 25] += (
                    bright * share * np.clip(FIDUCIAL_RADIUS_TAPS * one[0, 0] - distance + 0.5, 0, 1)
                )
    pictures = gaussian_filter(pictures, (0, 2, 2)) * 1500
    return (pictures + np.random.default_rng(1).normal(0, NOISE, pictures.shape)).astype(np.float32)


def find(pictures: np.ndarray, saturated: np.ndarray | None = None):
    nominal = nominal_affine(lay_out(OPTIC), GEOMETRY, SHAPE)
    return find_geometry(pictures, nominal, NOISE, np.zeros(pictures.shape, bool) if saturated is None else saturated)


@pytest.mark.parametrize("shift_px", [0.0, 3.0, 40.0])
def test_finds_shift_scale_rotation_and_shear_to_a_fiftieth_of_a_pixel(shift_px: float) -> None:
    true = true_affine(shift_px)
    found = find(pictures_of(true))
    corners = np.array([(y, x, 1) for y in (-13.5, 13.5) for x in (-13.5, 13.5)])
    np.testing.assert_allclose(found.affine @ corners.T, true @ corners.T, atol=0.05)
    np.testing.assert_allclose(found.affine[:, :, 2], true[:, :, 2], atol=0.02)
    assert (found.rms_px < 0.05).all()


def test_a_few_missing_discs_do_no_harm() -> None:
    true = true_affine(2.0)
    lit = np.ones((4, len(FIDUCIALS_TAPS)))
    lit[:, ::6] = 0
    np.testing.assert_allclose(find(pictures_of(true, lit)).affine[:, :, 2], true[:, :, 2], atol=0.03)


def test_a_lenslet_that_makes_two_spots_of_one_is_found_between_them() -> None:
    """Two peaks of 3 to 2, 11 px apart: a blur of 1.5 taps has one, nearly where their centre of mass is."""
    true = true_affine(2.0)
    found = find(pictures_of(true, lobes=((-4.4, 0, 0.6), (6.6, 0, 0.4))))
    assert (found.rms_px < 0.05).all()
    np.testing.assert_allclose(found.affine[:, :, :2], true[:, :, :2], atol=0.003)
    middle_px = found.affine[:, :, 2] - true[:, :, 2]
    np.testing.assert_allclose(middle_px, np.broadcast_to(middle_px[0], middle_px.shape), atol=0.05)
    np.testing.assert_allclose(middle_px[:, 1], 0, atol=0.05)
    assert -2.0 < middle_px[0, 0] < 0.5


def test_what_is_no_affine_map_is_refused() -> None:
    """Discs displaced at random by a sixth of a tap, as by air that moves."""
    astray = true_affine(0.0)[:, None] + np.zeros((1, len(FIDUCIALS_TAPS), 1, 1))
    astray[:, :, :, 2] += np.random.default_rng(2).normal(0, 1.2, astray.shape[:3])
    pictures = np.zeros((FIDUCIAL_SCENES, *SHAPE), np.float32)
    for disc in range(len(FIDUCIALS_TAPS)):
        lit = np.zeros((4, len(FIDUCIALS_TAPS)))
        lit[:, disc] = 1
        pictures += pictures_of(astray[:, disc], lit)
    with pytest.raises(
        CalibrationError, match=r"tile 0: its fiducials lie \d\.\d+ px rms from any affine map, more than"
    ):
        find(pictures)


def test_a_dark_tile_is_named() -> None:
    lit = np.ones((4, len(FIDUCIALS_TAPS)))
    lit[2] = 0
    with pytest.raises(CalibrationError, match=r"tile 2: .*fiducial"):
        find(pictures_of(true_affine(2.0), lit))


def test_darkness_is_no_geometry() -> None:
    with pytest.raises(CalibrationError, match=r"tile 0: .*fiducial"):
        find(np.random.default_rng(0).normal(0, NOISE, (FIDUCIAL_SCENES, *SHAPE)).astype(np.float32))
    with pytest.raises(CalibrationError, match="tile 0"):
        find(np.zeros((FIDUCIAL_SCENES, *SHAPE), np.float32))


def test_saturated_discs_are_refused() -> None:
    pictures = pictures_of(true_affine(2.0))
    with pytest.raises(CalibrationError, match="tile 0: its fiducial discs are saturated"):
        find(pictures, pictures > 1000)


def test_one_point_that_is_wrong_is_left_out_of_the_fit() -> None:
    rng = np.random.default_rng(0)
    true = true_affine(5.0)[0]
    pixels = FIDUCIALS_TAPS @ true[:, :2].T + true[:, 2] + rng.normal(0, 0.01, FIDUCIALS_TAPS.shape)
    pixels[3] += 4.0
    found, rms_px = fit_affine(FIDUCIALS_TAPS, pixels)
    np.testing.assert_allclose(found, true, atol=0.02)
    assert rms_px < 0.02
