"""What the base classes add, whatever the driver: cameras that cannot do more, shutters that complain and close."""

from typing import Any

import pytest

from labonn.errors import ConfigError, InstrumentError
from tests.unit.instruments.stand_ins import BareCamera, BareShutter, connected


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"roi": [0, 0, 2, 2]}, "camera: roi: its driver reads out the whole sensor only"),
        ({"binning": 2}, "camera: binning = 2: its driver does not bin"),
        ({"trigger": "external"}, "camera: trigger = 'external': its driver has the internal one only"),
    ],
)
def test_what_a_driver_cannot_do_is_refused_by_key(table: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        connected(BareCamera, **table)


def test_a_driver_of_single_frames_refuses_sequences() -> None:
    camera = connected(BareCamera)
    with pytest.raises(ConfigError, match="its driver takes single frames only"):
        next(camera.frames(2))
    with pytest.raises(ValueError, match="cannot take 0 frames"):
        camera.frames(0)


class RoundsItsRoi(BareCamera):
    """Its ROI begins at multiples of 2 only, and its frames are as large as its ROI."""

    now = (0, 0, 4, 6)

    def _shape_hw(self) -> tuple[int, int]:
        return self.now[2:]

    def _roi_hw(self) -> tuple[int, int, int, int]:
        return self.now

    def _set_roi_hw(self, roi: tuple[int, int, int, int] | None) -> None:
        top, left, height, width = roi or (0, 0, 4, 6)
        self.now = (top - top % 2, left - left % 2, height, width)


def test_a_roi_that_the_camera_rounds_is_an_error_that_says_what_it_set() -> None:
    camera = connected(RoundsItsRoi)
    with pytest.raises(InstrumentError, match=r"asked for roi = \[1, 0, 2, 2\] and set \[0, 0, 2, 2\]"):
        camera.roi = (1, 0, 2, 2)
    assert camera.roi == (0, 0, 2, 2), "what it really reads out"
    assert camera.shape == (2, 2)
    camera.roi = None
    assert camera.shape == (4, 6)


class Complains(BareShutter):
    complaint: str = ""

    def _set_open_hw(self, opening: bool) -> None:
        super()._set_open_hw(opening)
        if self.complaint:
            raise RuntimeError(self.complaint)


def test_a_shutter_that_complains_and_is_closed_is_closed(caplog: pytest.LogCaptureFixture) -> None:
    shutter = connected(Complains)
    shutter.open()
    shutter.complaint = "motor warm"
    shutter.make_dark()
    assert not shutter.is_open
    assert "motor warm" in caplog.text
    shutter.stuck, shutter.position = True, True
    with pytest.raises(InstrumentError, match="closing: motor warm"):
        shutter.make_dark()


def test_a_shutter_that_complains_while_it_opens_is_an_error() -> None:
    shutter = connected(Complains)
    shutter.complaint = "motor warm"
    with pytest.raises(InstrumentError, match="opening: motor warm"):
        shutter.open()
