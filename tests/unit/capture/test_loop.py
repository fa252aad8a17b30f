"""Every image is delivered once, in order, by a frame of its own, or the capture ends in an error that says why."""

import threading
import time
from typing import Any

import numpy as np
import pytest

from labonn.capture import CaptureCounts, Registration, capture
from labonn.capture.ahead import AHEAD
from labonn.errors import InstrumentError, InterlockTripped, StaleFrameError

from .eyes import WHITE, seeing_bench, seeing_calibration

IMAGES = np.random.default_rng(0).uniform(size=(6, 8, 8)).astype(np.float32)


@pytest.fixture
def one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """No frame is taken before the one before was looked at, so that faults meet the images that they are meant for."""
    monkeypatch.setattr("labonn.capture.ahead.AHEAD", 0)


def shots_of(bench: Any, images: np.ndarray = IMAGES, **options: Any) -> list[Any]:
    return list(capture(bench, images, Registration(seeing_calibration()), **options))


def assert_right(shots: list[Any], images: np.ndarray = IMAGES) -> None:
    assert [shot.index for shot in shots] == list(range(len(images)))
    for shot, image in zip(shots, images, strict=True):
        # Eight bits of the display, and the noise of the mean of 64 pixels.
        np.testing.assert_allclose(shot.tiles[0], image, atol=0.5 / 255 + 6 / (8 * WHITE))


@pytest.mark.usefixtures("one_by_one")
def test_shows_each_image_in_the_middle_ahead_of_time_and_delivers_each_once() -> None:
    bench = seeing_bench()
    shots, counts = [], CaptureCounts()
    for shot in capture(bench, IMAGES, Registration(seeing_calibration()), counts=counts):
        following = IMAGES[min(shot.index + 1, len(IMAGES) - 1)]  # it settles while this one is looked at
        np.testing.assert_array_equal(
            bench.display.shown[2:18, 1:17], np.rint(following * 255).repeat(2, axis=0).repeat(2, axis=1)
        )
        assert not bench.display.shown[:2].any()
        assert bench.shutter.is_open
        shots.append(shot)
    assert not bench.shutter.is_open
    assert_right(shots)
    assert counts.summary() == {"asked": 6, "delivered": 6}
    assert all(shot.retakes == () for shot in shots)
    assert bench.camera.exposure_ms == seeing_calibration().exposure_ms
    assert bench.clock.slept_ms == pytest.approx(7 * 16.7), "black before the first, and six images"
    assert bench.camera.taken == 6, "one before the first, and six images"


@pytest.mark.parametrize("at", [0, 3])
@pytest.mark.parametrize(
    ("wrong", "fault"),
    [
        ("dropped", "dropped"),
        ("duplicated", "duplicated"),
        ("torn", "duplicated"),
        ("truncated", "truncated"),
        ("grey", "truncated"),
        ("stale", "stale"),
        ("saturated", "saturated"),
    ],
)
def test_a_spoilt_frame_is_taken_again_and_counted(
    wrong: str, fault: str, at: int, caplog: pytest.LogCaptureFixture
) -> None:
    counts = CaptureCounts()
    shots = shots_of(seeing_bench({at: wrong}), counts=counts)
    assert_right(shots)
    assert [list(shot.retakes) for shot in shots] == [[fault] if index == at else [] for index in range(6)]
    assert counts.summary() == {"asked": 6, "delivered": 6, fault: 1}
    assert f"camera: image {at}: " in caplog.text


@pytest.mark.parametrize(
    ("wrong", "kind", "said"),
    [
        (
            "dropped",
            InstrumentError,
            r"image 2: taking a frame: the camera did not deliver; .*connected.*tried 3",
        ),
        ("duplicated", StaleFrameError, "image 2: 90 of 90 rows are those of the frame before.*its trigger"),
        ("truncated", InstrumentError, "image 2: 7 of 90 rows hold no picture; tried 3 times.*its cable"),
        ("stale", StaleFrameError, r"image 2: the frame shows .*\(stale, stale, stale\).*settle_ms"),
        ("saturated", InstrumentError, "image 2: 33 % of the pixels are saturated .*dim the light"),
    ],
)
def test_a_camera_that_goes_on_so_is_given_up_in_the_dark(wrong: str, kind: type, said: str) -> None:
    bench = seeing_bench(dict.fromkeys(range(2, 19), wrong))
    delivered: list[Any] = []
    with pytest.raises(InstrumentError, match=said) as caught:
        delivered.extend(capture(bench, IMAGES, Registration(seeing_calibration())))
    assert type(caught.value) is kind
    assert len(delivered) == 2
    assert not bench.shutter.is_open


@pytest.mark.usefixtures("one_by_one")
def test_two_in_a_row_are_survived_whatever_they_are() -> None:
    shots = shots_of(seeing_bench({1: "dropped", 3: "stale", 5: "truncated", 7: "duplicated"}))
    assert_right(shots)
    assert [len(shot.retakes) for shot in shots] == [0, 2, 2, 0, 0, 0]


def test_a_camera_that_is_always_one_image_late_costs_a_retake_each() -> None:
    bench = seeing_bench()
    see, shown = bench.camera._sees, bench.display.pictures
    bench.camera._sees = lambda picture: see(shown[-2] if len(shown) > 1 else picture)
    shots = shots_of(bench)
    assert_right(shots)
    assert all("stale" in shot.retakes for shot in shots)


def test_the_same_image_twice_is_not_stale() -> None:
    same = IMAGES[[0, 1, 1, 0, 0]]
    shots = shots_of(seeing_bench(), same)
    assert_right(shots, same)
    assert all(shot.retakes == () for shot in shots)


@pytest.mark.usefixtures("one_by_one")
def test_black_images_are_not_stale_and_what_is_stale_among_them_is_found() -> None:
    images = IMAGES.copy()
    images[[1, 2, 5]] = 0
    shots = shots_of(seeing_bench({1: "stale"}), images)
    assert_right(shots, images)
    assert [len(shot.retakes) for shot in shots] == [0, 1, 0, 0, 0, 0]


def test_what_the_last_capture_left_in_the_camera_is_not_taken_for_the_first_image() -> None:
    bench = seeing_bench()
    shots_of(bench)
    bench.camera.taken, bench.camera.wrongs = -1, {-1: "duplicated", 0: "duplicated"}
    assert_right(shots_of(bench, IMAGES[::-1]), IMAGES[::-1])


def test_a_tripped_interlock_is_not_tried_again() -> None:
    bench = seeing_bench()

    def trip() -> Any:
        raise InterlockTripped("laser.power_mw was 24")

    bench.camera._snap_hw = trip
    with pytest.raises(InterlockTripped, match="was 24"):
        shots_of(bench)
    assert not bench.shutter.is_open


@pytest.mark.usefixtures("one_by_one")
def test_a_call_that_blocks_the_camera_s_thread_is_survived_when_it_returns_in_time() -> None:
    bench = seeing_bench(timeout_ms=400.0)
    snap, late = bench.camera._snap_hw, [0.0, 0.6]

    def slow() -> Any:
        import time

        time.sleep(late.pop(0) if late else 0.0)
        return snap()

    bench.camera._snap_hw = slow
    counts = CaptureCounts()
    assert_right(shots_of(bench, counts=counts))
    assert counts.retaken == {"dropped": 1}


def test_one_that_never_returns_is_named() -> None:
    import threading

    bench, forever = seeing_bench(timeout_ms=150.0), threading.Event()
    bench.camera._snap_hw = forever.wait
    with pytest.raises(InstrumentError, match=r"camera: .*it has not come back from taking a frame.*tried 3 times"):
        shots_of(bench)
    assert not bench.shutter.is_open
    forever.set()


def test_no_more_than_a_few_frames_are_taken_ahead_of_who_looks_at_them() -> None:
    bench, images = seeing_bench(), np.random.default_rng(1).uniform(size=(20, 8, 8)).astype(np.float32)
    ahead = []
    for shot in capture(bench, images, Registration(seeing_calibration())):
        time.sleep(0.02)
        ahead.append(bench.camera.taken - 1 - shot.index)
    assert 1 <= max(ahead) <= AHEAD + 1


def test_a_frame_during_which_the_shutter_moved_is_taken_again_and_is_no_fault() -> None:
    bench, counts = seeing_bench(), CaptureCounts()
    snap, dark = bench.camera._snap_hw, iter([False, True, True])

    def snapped() -> Any:
        # A run is paused between two images, while frames are taken ahead; those taken by whoever asks are lit.
        if threading.current_thread().name == "captures ahead" and next(dark, False):
            bench.shutter.close()
            frame = snap()
            bench.shutter.open()
            return frame
        return snap()

    bench.camera._snap_hw = snapped
    shots = shots_of(bench, counts=counts)
    assert_right(shots)
    assert counts.summary() == {"asked": 6, "delivered": 6}
