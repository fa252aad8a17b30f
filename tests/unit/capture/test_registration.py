import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labonn.capture import Calibration, Registration
from labonn.capture.tap_cells import check_on_sensor, pixel_shares
from labonn.errors import CalibrationError


def affine_of(per_tap: float, angle_deg: float, centre: tuple[float, float]) -> np.ndarray:
    angle = np.deg2rad(angle_deg)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.column_stack([per_tap * turn, centre])[None]


def calibration(**changed: object) -> Calibration:
    affine = affine_of(7.5, 0.0, (40.2, 50.6))
    values: dict = {
        "bench": "trial",
        "made_utc": "2026-01-01T00:00:00+00:00",
        "image_shape": (8, 8),
        "exposure_ms": 5.0,
        "dark": np.full((90, 100), 60, np.float32),
        "dark_noise": 1.0,
        "flat": np.ones((90, 100), np.float32),
        "affine": affine,
        **{name: np.zeros(1) for name in ("geometry_rms_px", "background", "gain_residual")},
        **{name: np.ones(1) for name in ("transmission", "gain")},
    }
    return Calibration(**(values | changed))


@given(
    per_tap=st.floats(1.0, 7.7),
    angle_deg=st.floats(-2, 2),
    y=st.floats(38, 52),
    x=st.floats(38, 62),
    slope=st.tuples(st.floats(-5, 5), st.floats(-5, 5)),
)
def test_the_mean_of_a_plane_over_a_cell_is_its_value_at_the_cell_s_centre(
    per_tap: float, angle_deg: float, y: float, x: float, slope: tuple[float, float]
) -> None:
    affine = affine_of(per_tap, angle_deg, (y, x))
    rows, columns = np.mgrid[0:90, 0:100]
    plane = 100 + slope[0] * rows + slope[1] * columns
    pixels, shares = pixel_shares(affine, (8, 8), plane.shape)
    found = (shares * plane.ravel()[pixels]).sum(axis=-1).reshape(8, 8)
    tap = np.arange(8) - 3.5
    at = np.einsum("ij,jkl->ikl", affine[0], np.stack([*np.meshgrid(tap, tap, indexing="ij"), np.ones((8, 8))]))
    # Area weights are exact for a constant along each pixel; within one, a plane differs from its value in the middle.
    edge = (abs(slope[0]) + abs(slope[1])) * 0.25 / per_tap
    np.testing.assert_allclose(found, 100 + slope[0] * at[0] + slope[1] * at[1], atol=edge + 1e-6)


def test_shares_sum_to_one_and_each_pixel_s_area_is_shared_out() -> None:
    pixels, shares = pixel_shares(affine_of(7.5, 0.0, (44.3, 49.9)), (8, 8), (90, 100))
    np.testing.assert_allclose(shares.sum(axis=-1), 1)
    covered = np.bincount(pixels.ravel(), shares.ravel(), 9000).reshape(90, 100) * 7.5**2
    np.testing.assert_allclose(covered[20:68, 26:74], 1, err_msg="neighbouring cells meet without gap or overlap")
    assert covered.sum() == pytest.approx((8 * 7.5) ** 2)


def test_undoes_dark_flat_gain_and_background() -> None:
    rng = np.random.default_rng(0)
    maps = rng.uniform(0, 2, (8, 8)).astype(np.float32)
    flat = np.where(np.arange(100) > 50, 1.1, 0.9).astype(np.float32) * np.ones((90, 1), np.float32)
    affine = affine_of(7.0, 0.0, (40.0 - 0.5, 50.0 - 0.5))  # cells on whole pixels
    frame = np.full((90, 100), 0.0, np.float32)
    top, left = 40 - 28, 50 - 28
    frame[top : top + 56, left : left + 56] = (300 * maps + 25).repeat(7, axis=0).repeat(7, axis=1)
    frame = frame * flat + 60
    known = calibration(affine=affine, flat=flat, gain=np.array([300.0]), background=np.array([25.0]))
    np.testing.assert_allclose(Registration(known).tiles(frame)[0], maps, atol=1e-4)


def test_a_tile_outside_the_sensor_is_named() -> None:
    inside, outside = affine_of(7.5, 0.0, (40, 50)), affine_of(7.5, 0.0, (40, 75))
    with pytest.raises(CalibrationError, match="tile 1 lies partly outside"):
        check_on_sensor(np.concatenate([inside, outside]), (8, 8), (90, 100))
    with pytest.raises(CalibrationError, match="tile 0 lies partly outside"):
        Registration(calibration(affine=outside))


def test_a_frame_of_another_camera_is_refused() -> None:
    with pytest.raises(CalibrationError, match=r"\(100, 90\)"):
        Registration(calibration()).tiles(np.zeros((100, 90), np.uint16))


@pytest.mark.parametrize("gain", [0.0, -3.0, np.nan])
def test_a_tile_without_a_gain_is_refused(gain: float) -> None:
    with pytest.raises(CalibrationError, match="tile 0 has a gain"):
        Registration(calibration(gain=np.array([gain])))


def test_maps_do_not_depend_on_the_exposure_that_a_calibration_is_taken_to() -> None:
    light = np.random.default_rng(0).uniform(0, 100, (90, 100))
    made = calibration(gain=np.array([20.0]), background=np.array([3.0]))
    half = made.at_exposure(2.5)
    assert (half.exposure_ms, half.dark[0, 0]) == (2.5, 60)
    whole_maps, half_maps = (
        Registration(one).tiles((60 + share * light).astype(np.float32)) for one, share in ((made, 1.0), (half, 0.5))
    )
    np.testing.assert_allclose(half_maps, whole_maps, atol=1e-4)
