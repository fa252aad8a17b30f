"""GenICam cameras through a real GenTL producer: that of the GenICam group's own simulated camera, Viky."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labonn.errors import ConfigError, InstrumentError
from labonn.instruments import Camera

from .benches import make, site

_PACKAGE = find_spec("genicam")
if find_spec("harvesters") is None or _PACKAGE is None:
    pytest.skip("pip install 'labonn[vendor]'", allow_module_level=True)
assert _PACKAGE.origin is not None
PRODUCER = Path(_PACKAGE.origin).parent / "viky.cti"
if not PRODUCER.is_file():
    pytest.skip("this version of genicam brings no producer", allow_module_level=True)

TABLE = {
    "driver": "harvesters",
    "producer": str(PRODUCER),
    "device": "VikyTL_DEV_red",
    "features": {"PixelFormat": "Mono8"},
    "fixed_exposure": True,
    "exposure_ms": 20.0,
    "bit_depth": 8,
}


@contextmanager
def opened(**changes: Any) -> Iterator[Any]:
    where = site()
    camera = make(Camera, where, **{**TABLE, **changes})
    try:
        camera.connect()
        yield camera
    finally:
        camera.disconnect()
        where.shared.close()


def test_frames_of_the_shape_and_type_that_were_promised_numbered_without_a_gap() -> None:
    with opened() as camera:
        assert "Viky 0" in camera.identify()
        assert camera.settings()["reported"]["PixelFormat"] == "Mono8"
        frame = camera.snap()
        assert frame.shape == camera.shape == (800, 800)
        assert frame.dtype == np.uint16
        assert 0 < frame.max() <= 255
        frames = list(camera.frames(8))
        assert np.diff([one.number for one in frames]).tolist() == [1] * 7
        assert not np.shares_memory(frames[0].pixels, frames[1].pixels)
        for one in camera.frames(20):
            assert one.pixels.shape == (800, 800)
            break
        assert camera.snap().shape == (800, 800), "a sequence that is left early leaves nothing behind"


def test_a_part_of_the_sensor_is_read_back() -> None:
    with opened() as camera:
        full = camera.shape
        camera.roi = (0, 0, 200, 300)
        assert camera.snap().shape == camera.shape == (200, 300)
        camera.roi = None
        assert camera.snap().shape == camera.shape == full
        with pytest.raises(ConfigError, match="roi: the camera has no feature OffsetY"):
            camera.roi = (8, 0, 200, 300)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"device": "40012345"}, r"device = '40012345': none of the cameras is called so; .*Viky 0 \(VikyTL_DEV_red\)"),
        ({"producer": "no.cti"}, r"producer = 'no\.cti': there is no file .*no\.cti"),
        ({"producer": __file__}, r"producer = .*test_harvesters\.py': cannot be loaded"),
        ({"features": {"Gian": 1}}, "features.Gian: the camera has no feature Gian"),
        (
            {"features": {"PixelFormat": "Mono99"}},
            "features.PixelFormat: the camera does not take PixelFormat = 'Mono99'",
        ),
        ({"fixed_exposure": False}, "the camera has no feature ExposureTime; write down what its exposure is"),
        ({"binning": 2}, "its driver does not bin"),
    ],
)
def test_what_cannot_be_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said), opened(**changes):
        pass


def test_a_colour_format_is_refused_with_what_to_write() -> None:
    said = pytest.raises(InstrumentError, match=r"the format RGBa8; .*features = \{ PixelFormat = \"Mono8\" \}")
    with opened(features={"PixelFormat": "RGBa8"}) as camera, said:
        camera.snap()


def test_two_cameras_of_one_producer_and_none_twice() -> None:
    where = site()
    cameras = [make(Camera, where, **{**TABLE, "device": device}) for device in ("0", "1")]
    try:
        for camera in cameras:
            camera.connect()
        assert all(camera.snap().shape == (800, 800) for camera in cameras)
        again = make(Camera, where, **TABLE)
        with pytest.raises(InstrumentError, match="another process of labonn has the camera"):
            again.connect()
    finally:
        for camera in cameras:
            camera.disconnect()
        where.shared.close()


def test_where_it_is_missing_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("drivers.harvesters_camera.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"needs harvesters, which is missing: pip install 'labonn\[vendor\]'"):
        make(Camera, site(), **TABLE).connect()
