"""The same driver on real C++ adapters: mm-test-adapters' DemoCamera and shutter, beside Python devices in one core."""

import time
from pathlib import Path

import numpy as np
import pytest

from labonn.errors import ConfigError, InstrumentError
from labonn.instruments import open_bench

from .democam import CFG, demo_bench


def test_camera_and_shutter_keep_their_promises(tmp_path: Path) -> None:
    with open_bench(demo_bench(tmp_path)) as bench:
        assert bench.camera.identify().startswith("DemoCamera DCam")
        assert bench.settings()["instruments"]["camera"]["reported"]["BitDepth"] == "12"
        bench.camera.exposure_ms = 2.5
        assert bench.camera.exposure_ms == 2.5
        frame = bench.camera.snap()
        assert frame.shape == bench.camera.shape == (512, 512)
        assert frame.dtype == np.uint16
        assert 0 < frame.max() <= 4095
        bench.shutter.open()
        assert bench.shutter.is_open
        bench.camera.snap()
        assert bench.shutter.is_open, "a snap leaves the shutter alone"
        bench.shutter.close()
        assert not bench.shutter.is_open


def test_an_slm_s_sides_are_not_mistaken_for_each_other(tmp_path: Path) -> None:
    with open_bench(demo_bench(tmp_path)) as bench:
        assert bench.slm.shape == bench.display.shape == (40, 30)
        picture = np.zeros((40, 30), np.float32)
        picture[5, 20] = 1
        bench.display.show(picture)
        with pytest.raises(ValueError, match=r"\(30, 40\)"):
            bench.display.show(picture.T)


def test_eight_bits_are_not_taken_for_twelve(tmp_path: Path) -> None:
    file = demo_bench(tmp_path, CFG.replace("PixelType,16bit", "PixelType,8bit").replace("BitDepth,12", "BitDepth,8"))
    with open_bench(file) as bench, pytest.raises(InstrumentError, match="cannot hold the 12 bits"):
        bench.camera.snap()


def test_a_camera_slower_than_its_limit_is_given_up(tmp_path: Path) -> None:
    file = demo_bench(tmp_path, CFG, ("timeout_ms = 60_000", "timeout_ms = 200"))
    begun = time.monotonic()
    with open_bench(file) as bench:
        bench.camera.exposure_ms = 10.0
        # Behind labonn's back, as another program or the camera's own panel would.
        bench.camera._core.setExposure("Camera", 1_500.0)  # type: ignore[attr-defined]
        with pytest.raises(InstrumentError, match="camera: taking a frame: no answer after 210 ms"):
            bench.camera.snap()
    assert time.monotonic() - begun < 20


@pytest.mark.parametrize(
    ("old", "new", "error", "said"),
    [
        (
            "DemoCamera,DCam",
            "DemoCamera,DCamera",
            ConfigError,
            "line 2: device 'Camera': 'DemoCamera' has no 'DCamera'",
        ),
        ("DemoCamera,DCam", "Hamamatsu,HamCam", ConfigError, "there is no adapter 'Hamamatsu'"),
        ("democam_devices,Panel", "democam_devices,Pannel", ConfigError, "cannot import 'Pannel'"),
        ("Camera,BitDepth,12", "Camera,BitDepth,13", InstrumentError, "could not load .*line 10.*13"),
        ("Camera,BitDepth,12", "Camera,BitDeep,12", InstrumentError, "could not load .*BitDeep"),
    ],
)
def test_a_configuration_that_cannot_be_loaded_is_named(
    tmp_path: Path, old: str, new: str, error: type, said: str
) -> None:
    with pytest.raises(error, match=said), open_bench(demo_bench(tmp_path, CFG.replace(old, new, 1))):
        pass
