"""Scenes, discs and captures in colour, with stand-ins for a display of three planes and a camera with filters."""

from typing import Any

import numpy as np
import pytest

from labonn.capture import CaptureCounts, Registration, capture, scene_of
from labonn.capture.fiducials import fiducial_scenes, unit_taps
from labonn.capture.gain import fit_gains
from labonn.capture.scene import levels_of_scene, plain_scene
from labonn.errors import CalibrationError, ConfigError, InstrumentError

from ..instruments.stand_ins import BareCamera, BareDisplay, connected
from .eyes import BLACK, SHAPE, Eye, Screen, seeing_bench
from .test_loop import one_by_one  # noqa: F401 - a fixture
from .test_mosaic import seen
from .test_registration import affine_of, calibration

MATRIX = np.array([[1.0, 0.1, 0.02], [0.06, 1.0, 0.12], [0.02, 0.14, 1.0]])
GAINS = np.array([1500.0, 2000.0, 1000.0])
PLANE = (20, 18)


class ColourScreen(Screen):
    def _shape_hw(self) -> tuple[int, int]:
        return 3 * PLANE[0], PLANE[1]


class ColourEye(Eye):
    """Its display's planes are blue, green, red from the top; a tap is 8 pixels. Without filters it sees all alike."""

    def _sees(self, picture: np.ndarray) -> np.ndarray:
        light = np.zeros((3, *SHAPE))
        if self.shutter.is_open:
            for plane, colour in enumerate((2, 1, 0)):
                shown = picture[plane * PLANE[0] :][: PLANE[0]][2:18:2, 1:17:2] / 255
                light[colour, 13:77, 18:82] = GAINS[colour] * np.kron(shown, np.ones((8, 8)))
        behind = seen(light, "GRBG", MATRIX) if self.filters else light.sum(axis=0)
        frame = BLACK + behind + self._noise.normal(size=SHAPE)
        return np.clip(np.rint(frame), 0, 4095).astype(np.uint16)


def bench_in_colour(wrongs: dict[int, str] | None = None, filters: str | None = "GRBG") -> Any:
    bench = seeing_bench()
    bench.display = connected(ColourScreen, pitch_um=8.0, settle_ms=16.7, planes="BGR")
    eye = connected(ColourEye, filters=filters)
    eye.screen, eye.shutter, eye.wrongs = bench.display, bench.shutter, wrongs or {}
    bench.camera = eye
    return bench


def registration(filters: str = "GRBG") -> Registration:
    noise = np.random.default_rng(9).normal(scale=0.25, size=SHAPE)
    zeros = np.zeros((1, 3))
    return Registration(
        calibration(
            affine=np.repeat(affine_of(8.0, 0.0, (44.5, 49.5))[:, None], 3, axis=1),
            dark=(BLACK + noise).astype(np.float32),
            gain=GAINS[None],
            filters=filters,
            unmixing=np.linalg.inv(MATRIX) if filters else np.eye(3),
            **dict.fromkeys(("geometry_rms_px", "gain_residual", "transmission", "background"), zeros),
        )
    )


IMAGES = np.random.default_rng(0).uniform(size=(5, 3, 8, 8)).astype(np.float32)


def test_a_scene_has_its_planes_in_the_display_s_order() -> None:
    bench = bench_in_colour()
    scene = scene_of(IMAGES[0], bench)
    for plane, colour in enumerate((2, 1, 0)):
        shown = scene[plane * 20 : plane * 20 + 20]
        np.testing.assert_array_equal(shown[2:18, 1:17], IMAGES[0, colour].repeat(2, axis=0).repeat(2, axis=1))
        assert not shown[:2].any()
    np.testing.assert_array_equal(levels_of_scene(IMAGES[0], bench), bench.display.levels_of(scene))
    white = scene_of(IMAGES[0, 0], bench)
    np.testing.assert_array_equal(white, scene_of(np.stack([IMAGES[0, 0]] * 3), bench))


def test_plain_fields_and_discs_are_white_or_of_one_colour() -> None:
    bench = bench_in_colour()
    assert plain_scene(0.5, bench).min() == 0.5
    red = plain_scene(1.0, bench, 0)
    assert (red[40:].min(), red[:40].max()) == (1.0, 0.0), "red is the plane at the bottom"
    white, blue = fiducial_scenes(bench)[0], fiducial_scenes(bench, 2)[0]
    np.testing.assert_array_equal(blue[:20], white[:20])
    np.testing.assert_array_equal(white[20:40], white[:20])
    assert not blue[20:].any()


@pytest.mark.parametrize(("pitch_um", "rows", "unit"), [(96.0, 120, 1), (800.0, 120, 2), (800.0, 200, 3)])
def test_discs_grow_with_the_room_of_a_tile(pitch_um: float, rows: int, unit: int) -> None:
    bench = seeing_bench()
    bench.display._shape = (rows, rows)
    bench.config.geometry.tile_pitch_um = pitch_um
    assert unit_taps(bench) == unit
    lit = np.argwhere(sum(fiducial_scenes(bench)) > 0.5)
    radius_px, reach_px = 0.9 * 2 * unit, 12 * 2 * unit
    np.testing.assert_allclose(lit.max(axis=0) - lit.min(axis=0), 2 * (reach_px + radius_px), atol=2.0)


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (np.zeros((2, 8, 8), np.float32), r"an image of 2 colours.*has 3 colours, RGB"),
        (np.zeros((3, 11, 8), np.float32), r"an image of 11 x 8 .* needs 22 x 16 px; the display .* has 20 x 18"),
    ],
)
def test_a_scene_that_does_not_fit_is_named(image: np.ndarray, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        scene_of(image, bench_in_colour())


def test_a_grey_display_takes_no_colours() -> None:
    with pytest.raises(ConfigError, match="the display of bench 'trial' shows grey"):
        scene_of(IMAGES[0], seeing_bench())


def test_images_are_captured_unmixed_and_fresh() -> None:
    counts = CaptureCounts()
    shots = list(capture(bench_in_colour({2: "stale"}), IMAGES, registration(), counts=counts))
    assert counts.summary() == {"asked": 5, "delivered": 5, "stale": 1}
    for shot, image in zip(shots, IMAGES, strict=True):
        assert shot.tiles.shape == (1, 3, 8, 8)
        for colour in range(3):
            # Where an edge between taps cuts what a pixel stands for, a sixteenth is the next tap's.
            np.testing.assert_allclose(shot.tiles[0, colour], image[colour], atol=0.2)
            assert np.corrcoef(shot.tiles[0, colour].ravel(), image[colour].ravel())[0, 1] > 0.98


@pytest.mark.usefixtures("one_by_one")
@pytest.mark.parametrize("wrongs", [{}, {5: "stale"}, {0: "stale"}, {4: "dropped", 8: "duplicated"}])
def test_colours_one_after_another_take_three_frames_an_image(wrongs: dict[int, str]) -> None:
    """A stale frame is one of another colour of the same image, mostly: they are as like as planes of a photograph."""
    counts, bench = CaptureCounts(), bench_in_colour(wrongs, filters=None)
    grey = np.random.default_rng(4).uniform(0, 0.8, (3, 1, 8, 8))
    images = (grey + 0.2 * np.random.default_rng(5).uniform(size=(3, 3, 8, 8))).astype(np.float32)
    shots = list(capture(bench, images, registration(filters=""), keep_frames=True, counts=counts))
    summary = counts.summary()
    assert (summary.pop("asked"), summary.pop("delivered")) == (9, 9)
    assert sum(summary.values()) == len(wrongs)
    assert [shot.index for shot in shots] == [0, 1, 2]
    for shot, image in zip(shots, images, strict=True):
        np.testing.assert_allclose(shot.tiles[0], image, atol=0.01)
        assert shot.frame.shape == (3, *SHAPE)
    assert sorted(fault for shot in shots for fault in shot.retakes) == sorted(wrongs.values())


@pytest.mark.parametrize("shape", [(2, 8, 8), (2, 3, 9, 8), (2, 1, 8, 8)])
def test_images_of_another_size_are_named(shape: tuple[int, ...]) -> None:
    with pytest.raises(CalibrationError, match=r"images of shape \(.*\) do not fit a calibration for \(3, 8, 8\)"):
        next(capture(bench_in_colour(), np.zeros(shape, np.float32), registration()))


def test_a_gain_and_a_background_are_found_for_each_colour() -> None:
    rng = np.random.default_rng(3)
    predicted = rng.uniform(size=(4, 2, 3, 8, 8)).astype(np.float32)
    gain, background = rng.uniform(100, 200, (2, 3)), rng.uniform(0, 20, (2, 3))
    found = fit_gains((gain[..., None, None] * predicted + background[..., None, None]).astype(np.float32), predicted)
    np.testing.assert_allclose(found.gain, gain, rtol=1e-4)
    np.testing.assert_allclose(found.background, background, atol=0.02)
    predicted[:, 1, 2] = 0.5
    with pytest.raises(CalibrationError, match="tile 1, colour B: the probe images' predicted maps are constant"):
        fit_gains(predicted, predicted)


def test_a_display_whose_rows_are_no_planes_is_refused() -> None:
    class Odd(BareDisplay):
        def _shape_hw(self) -> tuple[int, int]:
            return 4, 5

    with pytest.raises(InstrumentError, match="reports 4 rows, which are not 3 planes"):
        connected(Odd, pitch_um=8.0, settle_ms=0.0, planes="RGB")


@pytest.mark.parametrize("table", [{"binning": 2}, {"roi": (1, 0, 2, 2)}])
def test_what_would_mix_or_turn_filters_is_refused(table: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="with filters, binning must be 1"):
        connected(BareCamera, filters="RGGB", **table)


@pytest.mark.parametrize(("kind", "key"), [(BareDisplay, "planes"), (BareCamera, "filters")])
def test_letters_that_are_no_colours_are_refused(kind: Any, key: str) -> None:
    pixels = {"pitch_um": 8.0, "settle_ms": 0.0} if kind is BareDisplay else {}
    with pytest.raises(ValueError, match=key):
        kind.table_model(driver="bare", **pixels, **{key: "RGBW"})
