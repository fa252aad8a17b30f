"""What any bench's instruments promise, on every bench.

- every setting and identity can be written down as JSON
- the bench is dark when it is opened, and its shutter does as it is told
- frames are of the shape, type and range that were promised; as many arrive as were asked for, in sequences too
- a sequence that is left early leaves nothing behind in the camera
- ROI and binning are read back, and give frames of their shape
- the exposure is read back; more light gives more counts
- a frame shows the picture that was shown last, alone: by pictures, and by a number in the scene (a stale frame shows)
- a stage goes where it is sent, and never beyond its limits
- the clock passes as it is waited for
"""

import json

import numpy as np
import pytest

from labonn.capture import scene_of
from labonn.capture.light import light
from labonn.errors import ConfigError
from labonn.instruments import Bench, Stage

from .counter import Reader, counter_image


def test_every_setting_can_be_written_down(bench: Bench) -> None:
    settings = json.loads(json.dumps(bench.settings()))
    assert settings["bench"] == bench.name
    assert {instrument.name for instrument in bench.instruments} == set(settings["instruments"])
    assert all(instrument["identity"] for instrument in settings["instruments"].values())


def test_the_shutter_does_as_it_is_told(bench: Bench) -> None:
    assert not bench.shutter.is_open
    bench.shutter.open()
    assert bench.shutter.is_open
    bench.shutter.close()
    assert not bench.shutter.is_open


def test_frames_are_as_promised(bench: Bench) -> None:
    frame = bench.camera.snap()
    assert frame.shape == bench.camera.shape
    assert frame.dtype == np.uint16
    assert frame.max() <= bench.camera.saturation


def test_the_exposure_is_read_back(bench: Bench) -> None:
    if getattr(bench.camera.table, "fixed_exposure", False):
        pytest.skip("its exposure cannot be set")
    for exposure_ms in (2.0, 7.5):
        bench.camera.exposure_ms = exposure_ms
        assert bench.camera.exposure_ms == pytest.approx(exposure_ms, rel=0.05)
    with pytest.raises(ConfigError):
        bench.camera.exposure_ms = 0.0


def test_a_closed_bench_is_dark_to_its_camera(seeing: Bench) -> None:
    seeing.camera.exposure_ms = 5.0
    seeing.display.show(np.ones(seeing.display.shape, np.float32))
    closed = float(seeing.camera.snap().mean())
    with light(seeing):
        lit = float(seeing.camera.snap().mean())
    again = float(seeing.camera.snap().mean())
    assert again == pytest.approx(closed, abs=1)
    assert lit > closed + 20


def test_as_many_frames_arrive_as_are_asked_for(bench: Bench) -> None:
    frames = [bench.camera.snap() for _ in range(20)]
    assert len(frames) == 20
    assert all(frame.shape == bench.camera.shape for frame in frames)
    # Each is a buffer of its own: a driver that hands out the same one again would change the frames of before.
    assert not any(np.shares_memory(frames[0], frame) for frame in frames[1:])


def test_a_sequence_delivers_as_many_as_are_asked_for(bench: Bench) -> None:
    bench.camera.exposure_ms = 5.0
    frames = list(bench.camera.frames(30))
    numbers = [frame.number for frame in frames]
    assert numbers == list(range(numbers[0], numbers[0] + 30))
    assert all(frame.pixels.shape == bench.camera.shape for frame in frames)
    assert not any(np.shares_memory(frames[0].pixels, frame.pixels) for frame in frames[1:])


def test_a_sequence_that_is_left_early_leaves_nothing_behind(seeing: Bench) -> None:
    seeing.camera.exposure_ms = 5.0
    with light(seeing):
        reader = Reader(seeing)
        for number in range(3):
            seeing.display.show(scene_of(counter_image(number), seeing))
            for frame in seeing.camera.frames(20):
                assert reader.number(frame.pixels) == number
                break
        seeing.display.show(scene_of(counter_image(7), seeing))
        assert reader.number(seeing.camera.snap()) == 7


def test_a_part_of_the_sensor_in_larger_pixels(kind: str, bench: Bench) -> None:
    if kind == "genicam":
        pytest.skip("the simulated GenICam camera reads out from its corner only")
    (height, width), binning = bench.camera.shape, bench.camera.binning
    part = (height // 4 // 4 * 4, 0, height // 2 // 4 * 4, width // 4 * 4)
    try:
        top, left, rows, columns = (binning * side for side in part)
        bench.camera.roi = (top, left, rows, columns)
        assert bench.camera.snap().shape == bench.camera.shape == (height // 2 // 4 * 4, width // 4 * 4)
    finally:
        bench.camera.roi = None
    assert bench.camera.snap().shape == (height, width)


def test_a_frame_is_of_the_number_that_was_shown_last(seeing: Bench) -> None:
    seeing.camera.exposure_ms = 5.0
    with light(seeing):
        reader = Reader(seeing)
        read = []
        numbers = [1, 2, 1, 1023, 0, 1024, 5, 4, 2047, 3]
        for number in numbers:
            seeing.display.show(scene_of(counter_image(number), seeing))
            read.append(reader.number(seeing.camera.snap()))
    assert read == numbers


def test_more_light_more_counts(seeing: Bench) -> None:
    bench = seeing
    bench.camera.exposure_ms = 5.0
    means = []
    with light(bench):
        for brightness in (0.0, 0.5, 1.0):
            bench.display.show(np.full(bench.display.shape, brightness, np.float32))
            means.append(float(bench.camera.snap().mean()))
    dark = float(bench.camera.snap().mean())
    assert dark <= means[0] < means[1] < means[2]


def test_a_frame_shows_the_last_picture_alone(seeing: Bench) -> None:
    """Upright, in every tile, and without a trace of the picture before."""
    bench = seeing
    bench.camera.exposure_ms = 5.0
    upper = np.zeros(bench.display.shape, np.float32)
    upper[: upper.shape[0] // 2] = 1
    frames = []
    with light(bench):
        for picture in (upper, 1 - upper, upper, upper.T.copy() if upper.shape[0] == upper.shape[1] else upper):
            bench.display.show(picture)
            frames.append(bench.camera.snap().astype(np.float64))
    first, other, again, left = frames
    assert np.corrcoef(first.ravel(), again.ravel())[0, 1] > 0.98
    assert np.corrcoef(first.ravel(), other.ravel())[0, 1] < 0
    assert np.corrcoef(first.ravel(), left.T.ravel())[0, 1] > np.corrcoef(first.ravel(), left.ravel())[0, 1]


def test_a_stage_goes_where_it_is_sent_and_never_beyond(bench: Bench) -> None:
    stages = [one for one in bench.instruments if isinstance(one, Stage)]
    if not stages:
        pytest.skip("it has no stage")
    for stage in stages:
        if stage.table.needs_homing and not stage.is_homed:
            stage.home()
        stage.stop()
        begun_um = min(max(stage.position_um, stage.table.lowest_um), stage.table.highest_um)
        step_um = 5.0 if begun_um + 5.0 <= stage.table.highest_um else -5.0
        for goal_um in (begun_um + step_um, begun_um):
            stage.move_to_um(goal_um)
            assert stage.position_um == pytest.approx(goal_um, abs=stage.table.tolerance_um)
        with pytest.raises(ConfigError, match="must lie between"):
            stage.move_to_um(stage.table.highest_um + 1.0)
        assert stage.position_um == pytest.approx(begun_um, abs=stage.table.tolerance_um)


def test_the_clock_passes_as_it_is_waited_for(bench: Bench) -> None:
    before = bench.clock.now_s()
    bench.clock.sleep_ms(50)
    assert 0.0499 <= bench.clock.now_s() - before < 5
