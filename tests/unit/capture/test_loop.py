from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from labonn.capture import Registration, capture
from labonn.errors import InstrumentError, StaleFrameError

from ..instruments.stand_ins import BareCamera, BareDisplay, BareShutter, CountingClock, connected
from .test_registration import calibration

IMAGES = np.random.default_rng(0).uniform(size=(3, 8, 8)).astype(np.float32)


class Eye(BareCamera):
    """Delivers one frame of a list after the other."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.frames: list[np.ndarray] = []

    def _shape_hw(self) -> tuple[int, int]:
        return 90, 100

    def _snap_hw(self) -> Any:
        return self.frames.pop(0)


class Screen(BareDisplay):
    def _shape_hw(self) -> tuple[int, int]:
        return 20, 18


def bench_with(frames: list[np.ndarray]) -> Any:
    camera = connected(Eye)
    camera.frames = frames
    geometry = SimpleNamespace(display_px_per_tap=2)
    return SimpleNamespace(
        name="trial",
        camera=camera,
        display=connected(Screen, pitch_um=8.0, settle_ms=16.7),
        shutter=connected(BareShutter),
        clock=CountingClock(),
        config=SimpleNamespace(geometry=geometry),
    )


def frames(*levels: int) -> list[np.ndarray]:
    return [np.full((90, 100), level, np.uint16) for level in levels]


def test_shows_each_image_in_the_middle_and_delivers_each_once() -> None:
    bench = bench_with(frames(160, 260, 4095))
    shots = []
    for shot in capture(bench, IMAGES, Registration(calibration())):
        np.testing.assert_array_equal(
            bench.display.shown[2:18, 1:17], np.rint(IMAGES[shot.index] * 255).repeat(2, axis=0).repeat(2, axis=1)
        )
        assert not bench.display.shown[:2].any()
        assert bench.shutter.is_open
        shots.append(shot)
    assert not bench.shutter.is_open
    np.testing.assert_allclose([shot.tiles.mean() for shot in shots], [100, 200, 4035], rtol=1e-5)
    assert [shot.saturated_px for shot in shots] == [0, 0, 9000]
    assert bench.camera.exposure_ms == calibration().exposure_ms
    assert bench.display.site.clock.slept_ms == pytest.approx(3 * 16.7)


def test_the_same_frame_for_another_image_is_stale() -> None:
    with pytest.raises(StaleFrameError, match="same frame for images 1 and 2"):
        list(capture(bench_with(frames(100, 200, 200)), IMAGES, Registration(calibration())))


def test_the_same_frame_for_the_same_image_is_not() -> None:
    same = IMAGES[[0, 1, 1]]
    assert len(list(capture(bench_with(frames(100, 200, 200)), same, Registration(calibration())))) == 3


def test_a_camera_that_stops_delivering_ends_the_capture_in_the_dark() -> None:
    bench, delivered = bench_with(frames(100, 200)), []
    with pytest.raises(InstrumentError, match="camera: taking a frame"):
        delivered.extend(capture(bench, IMAGES, Registration(calibration())))
    assert not bench.shutter.is_open
