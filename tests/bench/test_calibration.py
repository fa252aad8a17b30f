"""Calibration and capture against the world's truth."""

from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import zoom
from sklearn.datasets import load_digits

from labonn.capture import Calibration, Registration, capture
from labonn.design import Layout, lay_out, load_design
from labonn.errors import CalibrationError
from labonn.instruments import open_bench

from .calibrating import calibrate
from .conftest import Simulated

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def layout() -> Layout:
    return lay_out(load_design("mnist-mono").optic)


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    digits = load_digits().images[:24].astype(np.float32) / 16
    return np.clip(np.stack([np.pad(zoom(digit, 3, order=1), 2) for digit in digits]), 0, 1)


def true_affine(truth: dict, binning: int) -> np.ndarray:
    """Where taps arrive: (T, 2, 3), from the truth's display pixels and pixels of the sensor."""
    geometry = truth["geometry"]
    centres = (np.array(geometry["tile_centres_px"]) - (binning - 1) / 2) / binning
    per_tap = np.array(geometry["display_to_camera"]) * 16 / binning
    return np.concatenate([np.broadcast_to(per_tap, (len(centres), 2, 2)), centres[:, :, None]], axis=2)


def true_transmission(truth: dict) -> np.ndarray:
    """Power of the beam over each sub-aperture, its lenslet's transmission, and the sensor's own fall-off."""
    effects, sensor = truth["effects"], truth["sensor"]
    along_mm = (np.arange(256) - 127.5) * 8e-3
    found = []
    for (row, column), (y, x), draw in zip(
        truth["geometry"]["sub_aperture_centres_px"],
        truth["geometry"]["tile_centres_px"],
        truth["drawn"]["tile_gain"],
        strict=True,
    ):
        down_mm = along_mm[:, None] + (row - 540) * 8e-3 - effects["beam"]["offset_mm"][0]
        right_mm = along_mm[None, :] + (column - 960) * 8e-3 - effects["beam"]["offset_mm"][1]
        beam = np.exp(-2 * (down_mm**2 + right_mm**2) / effects["beam"]["waist_mm"] ** 2).mean()
        half = (sensor["shape"][0] - 1) / 2
        corner = 1 - effects["vignetting"]["sensor_corner"] * (((y - half) / half) ** 2 + ((x - half) / half) ** 2) / 2
        found.append(beam * (1 + effects["tile_gain"]["spread"] * draw) * corner)
    return np.array(found) / np.mean(found)


def geometry_error_px(calibration: Calibration, truth: dict, binning: int) -> np.ndarray:
    """Distance from the truth over all taps, (T, taps, 2)."""
    tap = np.arange(28) - 13.5
    taps = np.stack([*np.meshgrid(tap, tap), np.ones((28, 28))], axis=-1).reshape(-1, 3)
    return np.einsum("tij,nj->tni", calibration.affine - true_affine(truth, binning), taps)


def test_measures_the_truth_and_captures_what_is_shown(
    world: Simulated, layout: Layout, images: np.ndarray, tmp_path: Path
) -> None:
    """In a world whose lenslets are perfect, so that a tile's place is where its picture is."""
    steps: list[str] = []
    flat_phase = np.zeros((1080, 1920), np.float32)
    ideal = np.repeat(images[:, None], 16, axis=1)  # under a flat phase every map is the image
    with (
        world.changed(effects__aberrations__on=False, effects__phase_screen__on=False),
        open_bench(world.file) as bench,
    ):
        calibration = calibrate(bench, tmp_path, layout, flat_phase, images[:8], ideal[:8], steps)
        assert not bench.shutter.is_open
        truth = world.truth()
        assert np.sqrt((geometry_error_px(calibration, truth, bench.camera.binning) ** 2).mean()) < 0.1
        assert (calibration.geometry_rms_px < 0.1).all()
        error = calibration.transmission / true_transmission(truth) - 1
        assert np.sqrt((error**2).mean()) < 0.01
        assert calibration.dark.mean() == pytest.approx(truth["sensor"]["black_dn"], abs=1)

        done: list[int] = []
        shots = list(capture(bench, images, Registration(calibration), keep_frames=True, on_frame=done.append))
    assert len(steps) == len(set(steps))
    assert [shot.index for shot in shots] == list(range(len(images)))
    assert done == [index + 1 for index in range(len(images))]
    assert all(shot.saturated_px < 30 for shot in shots)
    assert all(shot.frame is not None and shot.frame.max() > 1500 for shot in shots)
    tiles = np.stack([shot.tiles for shot in shots])
    for tile in range(16):
        assert np.corrcoef(tiles[:, tile].ravel(), ideal[:, tile].ravel())[0, 1] > 0.95
    # Each capture is of its own image: no other one fits it better.
    flat = tiles.mean(axis=1).reshape(len(images), -1)
    fits = np.corrcoef(flat, images.reshape(len(images), -1))[: len(images), len(images) :]
    assert (fits.argmax(axis=1) == np.arange(len(images))).all()


def test_a_ramp_on_the_slm_moves_the_picture_as_diffraction_says(
    world: Simulated, layout: Layout, images: np.ndarray, tmp_path: Path
) -> None:
    """A ramp of one turn in 64 px of 8 um deflects by 532 nm / 512 um; 50 mm on, that is 52 um, two taps."""
    ramp = np.broadcast_to(2 * np.pi * np.arange(1080, dtype=np.float32)[:, None] / 64, (1080, 1920))
    moved = np.zeros_like(images)
    moved[:, 2:] = images[:, :-2]
    with open_bench(world.file) as bench:
        calibration = calibrate(bench, tmp_path, layout, ramp, images[:8], np.repeat(moved[:8, None], 16, axis=1))
        shots = list(capture(bench, images[8:12], Registration(calibration)))
    for shot in shots:
        picture = shot.tiles.mean(axis=0)
        for shift in (-2, 0, 1, 3, 4):
            other = np.roll(images[shot.index + 8], shift, axis=0)
            assert (
                np.corrcoef(picture.ravel(), other.ravel())[0, 1]
                < np.corrcoef(picture.ravel(), moved[shot.index + 8].ravel())[0, 1]
            )


def test_without_light_there_is_no_calibration(
    world: Simulated, layout: Layout, images: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ideal = np.repeat(images[:, None], 16, axis=1)
    with open_bench(world.file) as bench:
        monkeypatch.setattr(bench.shutter, "open", lambda: None)
        with pytest.raises(CalibrationError, match="no exposure fits a white display"):
            calibrate(bench, tmp_path, layout, np.zeros(bench.slm.shape, np.float32), images, ideal)
    assert world.truth()["dark"]


def test_an_abandoned_capture_leaves_no_light_on(world: Simulated, images: np.ndarray) -> None:
    shape = (540, 540)
    calibration = Calibration(
        bench="any",
        made_utc="2026-01-01T00:00:00+00:00",
        image_shape=(28, 28),
        exposure_ms=5.0,
        dark=np.zeros(shape, np.float32),
        dark_noise=1.0,
        flat=np.ones(shape, np.float32),
        affine=np.array([[[3.75, 0, 270.0], [0, 3.75, 270.0]]]),
        **{name: np.zeros(1) for name in ("geometry_rms_px", "background", "gain_residual")},
        **{name: np.ones(1) for name in ("transmission", "gain")},
    )
    with open_bench(world.file) as bench:
        shots = capture(bench, images, Registration(calibration))
        next(shots)
        assert world.truth()["shutter_open"]
        shots.close()
        assert not world.truth()["shutter_open"]
        with pytest.raises(CalibrationError, match="do not fit a calibration"):
            next(capture(bench, images[:, :8, :8], Registration(calibration)))
