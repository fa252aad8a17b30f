from typing import Any

import numpy as np
import pytest

from labonn.errors import ConfigError, InstrumentError
from labonn.instruments import Frame

from .stand_ins import BareCamera, connected


def test_right_aligned_counts_pass_as_they_are() -> None:
    camera = connected(BareCamera, bit_depth=12)
    camera.frame = np.full((4, 6), 4095, np.uint16)
    assert (camera.snap() == 4095).all()
    assert camera.saturation == 4095


def test_left_aligned_counts_are_moved_to_the_right() -> None:
    camera = connected(BareCamera, bit_depth=12, alignment="left")
    camera.frame = np.full((4, 6), 1234 << 4, np.uint16)
    assert (camera.snap() == 1234).all()
    assert camera.frame[0, 0] == 1234 << 4, "the driver's own buffer is left alone"


def test_eight_bit_words_become_sixteen_bit_frames() -> None:
    camera = connected(BareCamera, bit_depth=8)
    camera.frame = np.full((4, 6), 200, np.uint8)
    assert camera.snap().dtype == np.uint16


@pytest.mark.parametrize(
    ("table", "frame", "said"),
    [
        ({"bit_depth": 12}, np.full((4, 6), 4096, np.uint16), 'count of 4096.*alignment = "left"'),
        ({"bit_depth": 12, "alignment": "left"}, np.full((4, 6), 0x1231, np.uint16), "4 lowest of 16 bits"),
        ({"bit_depth": 12}, np.zeros((6, 4), np.uint16), r"shape \(6, 4\); expected \(4, 6\)"),
        ({"bit_depth": 12}, np.zeros((4, 6), np.uint8), "cannot hold the 12 bits"),
        ({"bit_depth": 12}, np.zeros((4, 6), np.float32), "float32"),
        ({"bit_depth": 12}, np.zeros((4, 6, 3), np.uint16), r"\(4, 6, 3\)"),
    ],
)
def test_a_frame_that_is_not_what_was_promised_is_refused(table: dict, frame: np.ndarray, said: str) -> None:
    camera = connected(BareCamera, **table)
    camera.frame = frame
    with pytest.raises(InstrumentError, match=said):
        camera.snap()


def test_an_exposure_rounded_by_the_camera_is_reported_as_it_is() -> None:
    camera = connected(BareCamera, exposure_ms=10.0)
    camera.offset_ms = 0.07
    camera.exposure_ms = 5.0
    assert camera.exposure_ms == pytest.approx(5.07)


def test_an_exposure_that_the_camera_does_not_take_is_an_error() -> None:
    camera = connected(BareCamera)
    camera.offset_ms = 3.0
    with pytest.raises(InstrumentError, match=r"exposure of 5 ms and set 8 ms"):
        camera.exposure_ms = 5.0


@pytest.mark.parametrize("exposure_ms", [0.0, -1.0, float("nan"), float("inf")])
def test_no_exposure_but_a_positive_one_reaches_the_camera(exposure_ms: float) -> None:
    camera = connected(BareCamera)
    with pytest.raises(ConfigError):
        camera.exposure_ms = exposure_ms
    assert camera.exposure_ms == 10.0


def test_the_exposure_is_added_to_the_time_that_a_frame_may_take() -> None:
    camera = connected(BareCamera, timeout_ms=20, exposure_ms=2_000)
    camera.late_s = 0.1
    camera.snap()
    camera.exposure_ms = 1.0
    with pytest.raises(InstrumentError, match="camera: taking a frame: no answer after 21 ms"):
        camera.snap()


def test_what_is_not_connected_says_so() -> None:
    camera = connected(BareCamera)
    camera.disconnect()
    camera.disconnect()
    with pytest.raises(InstrumentError, match="camera: taking a frame: it is not connected"):
        camera.snap()


class Triggered(BareCamera):
    """Writes down what is done to it."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.done: list[str] = []
        self.count = 0

    def _set_trigger_hw(self, trigger: Any) -> None:
        pass

    def _start_sequence_hw(self, count: int) -> None:
        self.done.append("start")

    def _fire_hw(self) -> None:
        self.done.append("fire")

    def _next_frame_hw(self, within_s: float) -> Frame:
        self.count += 1
        self.done.append("read")
        return Frame(self.count, 0.0, self.frame)

    def _stop_sequence_hw(self) -> None:
        self.done.append("stop")


def test_with_a_software_trigger_the_scene_may_change_before_a_frame_is_read_out() -> None:
    camera = connected(Triggered, trigger="software", exposure_ms=8.0, trigger_latency_ms=0.5)
    slept_ms: list[float] = []

    def exposed() -> None:
        slept_ms.append(camera.site.clock.slept_ms)
        camera.done.append("exposed")

    assert len(list(camera.frames(2, exposed=exposed))) == 2
    assert camera.done == ["start", *2 * ["fire", "exposed", "read"], "stop"]
    assert slept_ms == pytest.approx([8.5, 17.0]), "not before the exposure is over"


def test_where_the_shutter_rolls_not_before_the_last_row_is_exposed() -> None:
    camera = connected(Triggered, trigger="software", exposure_ms=8.0, trigger_latency_ms=0.5, rolling_ms=7.0)
    slept_ms: list[float] = []
    list(camera.frames(2, exposed=lambda: slept_ms.append(camera.site.clock.slept_ms)))
    assert slept_ms == pytest.approx([15.5, 31.0])
