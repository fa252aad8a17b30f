"""The Micro-Manager driver on mm-test-adapters' C++ devices, and on Python devices that misbehave."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labonn.errors import ConfigError, InstrumentError
from labonn.instruments import Camera, Guard, Shutter, Site, Stage

from .benches import make, site

CFG = """\
Property,Core,Initialize,0
Device,Camera,DemoCamera,DCam
Device,Shutter,DemoCamera,DShutter
Device,Focus,DemoCamera,DStage
Device,XY,DemoCamera,DXYStage
Property,Core,Initialize,1
Property,Camera,PixelType,16bit
Property,Camera,BitDepth,12
"""
PYTHON_CFG = "#py pyDevice,Camera,tests.unit.drivers.python_cameras,{}\n#py Property,Core,Initialize,1\n"


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Make instruments of one configuration file and one core, and connect them."""
    (tmp_path / "bench.cfg").write_text(CFG, encoding="utf-8")
    where = site(tmp_path)
    made = []

    def connected(kind: Any, *, at: Site = where, cfg: str = "bench.cfg", **table: Any) -> Any:
        defaults = {
            "driver": "micromanager",
            "cfg": cfg,
            "device": {"stage": "Focus"}.get(kind.kind, kind.kind.title()),
        }
        instrument = make(kind, at, **(defaults | table))
        made.append(instrument)
        instrument.connect()
        return instrument

    yield connected
    for instrument in made:
        instrument.disconnect()
    where.shared.close()


def test_a_roi_is_cut_from_the_sensor_where_it_was_asked_for(bench: Callable[..., Any]) -> None:
    camera = bench(Camera, exposure_ms=1)
    assert camera.shape == (512, 512)
    assert camera.roi is None
    camera.roi = (40, 100, 64, 128)
    assert camera.roi == (40, 100, 64, 128)
    assert camera.shape == (64, 128)
    assert camera._core.getROI("Camera") == [100, 40, 128, 64], "Micro-Manager's order is x, y, width, height"
    assert camera.snap().shape == (64, 128)
    camera.roi = None
    assert camera.snap().shape == (512, 512)


def test_binning_keeps_the_roi_on_the_same_part_of_the_sensor(bench: Callable[..., Any]) -> None:
    camera = bench(Camera, exposure_ms=1, roi=[40, 100, 64, 128], binning=2)
    assert camera.shape == (32, 64)
    assert camera._core.getROI("Camera") == [50, 20, 64, 32]
    camera.binning = 4
    assert camera.roi == (40, 100, 64, 128)
    assert camera.snap().shape == (16, 32)
    camera.roi = None
    assert camera.snap().shape == (128, 128)


def test_a_python_camera_bins_too_and_is_identified_in_one_line(bench: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "python.cfg").write_text(PYTHON_CFG.format("Bins"), encoding="utf-8")
    camera = bench(Camera, cfg="python.cfg", exposure_ms=1, binning=2)
    assert camera.snap().shape == (2, 3)
    camera.binning = 1
    assert camera.snap().shape == (4, 6)
    assert camera.identify() == "tests.unit.drivers.python_cameras Bins: A camera."
    with pytest.raises(ConfigError, match="binning = 4: the camera has: 1, 2"):
        camera.binning = 4


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"roi": (500, 0, 20, 20)}, r"roi = \[500, 0, 20, 20\] .*does not lie within the sensor's 512 x 512 px"),
        ({"roi": (0, 0, 0, 20)}, "does not lie within"),
        ({"roi": (-1, 0, 20, 20)}, "does not lie within"),
        ({"binning": 3}, "binning = 3: the camera has: 1, 2, 4, 8"),
        ({"binning": 0}, "must be 1 or more"),
    ],
)
def test_what_the_sensor_has_not_is_refused_and_changes_nothing(
    bench: Callable[..., Any], change: dict[str, Any], said: str
) -> None:
    camera = bench(Camera, exposure_ms=1)
    for name, value in change.items():
        with pytest.raises(ConfigError, match=said):
            setattr(camera, name, value)
    assert camera.snap().shape == (512, 512)


def test_a_roi_between_binned_pixels_is_refused(bench: Callable[..., Any]) -> None:
    camera = bench(Camera, exposure_ms=1, binning=2)
    with pytest.raises(ConfigError, match=r"roi = \[1, 0, 20, 20\]: every one must be a multiple of binning = 2"):
        camera.roi = (1, 0, 20, 20)


def test_a_sequence_delivers_what_was_asked_for_numbered_without_gaps(bench: Callable[..., Any]) -> None:
    camera = bench(Camera, exposure_ms=2)
    frames = list(camera.frames(40))
    assert [frame.number for frame in frames] == list(range(40))
    assert (np.diff([frame.stamp_ms for frame in frames]) > 1).all()
    assert all(frame.pixels.shape == (512, 512) and frame.pixels.dtype == np.uint16 for frame in frames)
    assert camera.snap().shape == (512, 512), "the camera takes single frames again"


def test_a_sequence_that_is_left_is_ended(bench: Callable[..., Any]) -> None:
    camera = bench(Camera, exposure_ms=2)
    with closing(camera.frames(10_000)) as frames:
        next(frames)
        assert camera._core.isSequenceRunning()
    assert not camera._core.isSequenceRunning()

    def interrupted() -> None:
        for _ in camera.frames(10_000):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not camera._core.isSequenceRunning()


def test_waiting_for_frames_leaves_the_processor_to_others(bench: Callable[..., Any]) -> None:
    camera = bench(Camera, exposure_ms=300)
    begun, used = time.perf_counter(), time.process_time()
    list(camera.frames(2))
    assert time.process_time() - used < 0.5 * (time.perf_counter() - begun)


def test_a_buffer_that_overflows_is_told_with_the_count(bench: Callable[..., Any]) -> None:
    camera = bench(Camera, exposure_ms=1, buffer_mb=4)  # eight frames
    frames = camera.frames(200)
    next(frames)
    time.sleep(0.5)
    with pytest.raises(InstrumentError, match=r"delivered \d of 200 frames of a sequence: .*buffer overflowed"):
        list(frames)
    assert not camera._core.isSequenceRunning()


@pytest.mark.parametrize(
    ("device", "said"),
    [
        ("Skips", "delivered 3 of 6 frames of a sequence: number 4 came after 2, so one or more is missing"),
        ("Repeats", "delivered 3 of 6 frames of a sequence: number 2 came after 2, so one or more came before"),
        ("Stops", "delivered 3 of 6 frames of a sequence: the camera ended the sequence"),
        ("Hangs", "delivered 3 of 6 frames of a sequence: no frame came within 30[1-9] ms"),
    ],
)
def test_a_sequence_with_frames_that_are_not_right_is_an_error(
    bench: Callable[..., Any], tmp_path: Path, device: str, said: str
) -> None:
    (tmp_path / "python.cfg").write_text(PYTHON_CFG.format(device), encoding="utf-8")
    camera = bench(Camera, cfg="python.cfg", exposure_ms=1, timeout_ms=300)
    came = []
    with pytest.raises(InstrumentError, match=said):
        came.extend(iter(camera.frames(6)))
    assert camera.connect() is None


def test_no_sequence_is_begun_once_the_guard_has_tripped(bench: Callable[..., Any], tmp_path: Path) -> None:
    guard = Guard()
    where = site(tmp_path, guard=guard)
    camera = bench(Camera, at=where, exposure_ms=1)
    frames = camera.frames(100)
    next(frames)
    guard.trip(InstrumentError("thermometer: reads 40"))
    with pytest.raises(InstrumentError, match="thermometer: reads 40"):
        list(frames)
    assert not camera._core.isSequenceRunning()
    where.shared.close()


def test_a_trigger_sets_the_properties_that_the_table_names(bench: Callable[..., Any]) -> None:
    properties = {
        "internal": {"ScanMode": "1"},
        "software": {"ScanMode": "2"},
        "external": {"ScanMode": "3"},
        "fire": {"TestProperty1": "0.05"},
    }
    camera = bench(Camera, exposure_ms=1, trigger="software", trigger_properties=properties)
    assert camera._core.getProperty("Camera", "ScanMode") == "2"
    assert float(camera._core.getProperty("Camera", "TestProperty1")) == 0
    assert camera.snap().shape == (512, 512)
    assert float(camera._core.getProperty("Camera", "TestProperty1")) == 0.05, "it was fired"


def test_a_trigger_that_does_not_come_is_named(bench: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "python.cfg").write_text(PYTHON_CFG.format("Triggered"), encoding="utf-8")
    camera = bench(
        Camera,
        cfg="python.cfg",
        exposure_ms=1,
        timeout_ms=300,
        trigger="external",
        trigger_properties={"external": {"TriggerMode": "External"}},
    )
    with pytest.raises(
        InstrumentError, match=r'delivered 0 of 1 frames .*within 301 ms; trigger = "external": check that its trigger'
    ):
        camera.snap()
    camera._core.setProperty("Camera", "Pulses", "1")
    assert camera.snap().shape == (4, 6), "and the camera is usable once it comes"


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"trigger": "external"}, "trigger_properties.external must name the properties"),
        (
            {"trigger": "software", "trigger_properties": {"software": {"ScanMode": "2"}}},
            "trigger_properties.fire must name the property",
        ),
        (
            {"trigger": "external", "trigger_properties": {"external": {"Trigger": "2"}}},
            "trigger_properties.external: the camera has no property 'Trigger'; it has: .*ScanMode",
        ),
        (
            {"trigger": "external", "trigger_properties": {"external": {"ScanMode": "Ext"}}},
            "trigger_properties.external: ScanMode = 'Ext': the camera allows: 1, 2, 3",
        ),
    ],
)
def test_a_trigger_that_the_camera_has_not_is_refused(
    bench: Callable[..., Any], table: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        bench(Camera, **table)


def test_a_stage_goes_where_it_is_sent_within_its_limits(bench: Callable[..., Any]) -> None:
    stage = bench(Stage, lowest_um=-50, highest_um=200)
    stage.move_to_um(12.5)
    assert stage.position_um == pytest.approx(12.5)
    with pytest.raises(ConfigError, match="position_um = 201: must lie between"):
        stage.move_to_um(201)
    assert stage.position_um == pytest.approx(12.5)


def test_each_axis_of_an_xy_stage_is_a_stage(bench: Callable[..., Any]) -> None:
    across = bench(Stage, device="XY", axis="x", lowest_um=-50, highest_um=200)
    across.move_to_um(30.0)
    down = bench(Stage, device="XY", axis="y", lowest_um=-50, highest_um=200)
    down.move_to_um(-20.0)
    assert across.position_um == pytest.approx(30.0, abs=0.02)
    assert down.position_um == pytest.approx(-20.0, abs=0.02)
    down.stop()
    with pytest.raises(ConfigError, match=r"'Focus' is a Stage; .*needs a XYStage"):
        bench(Stage, device="Focus", axis="x", lowest_um=0, highest_um=1)


def test_a_device_of_another_type_is_refused(bench: Callable[..., Any]) -> None:
    with pytest.raises(ConfigError, match=r"'Shutter' is a Shutter; .*needs a Stage"):
        bench(Stage, device="Shutter", lowest_um=0, highest_um=1)


def test_on_the_way_to_dark_only_what_the_shutter_needs_is_loaded(bench: Callable[..., Any], tmp_path: Path) -> None:
    # A camera that is switched off fails to load, and must not keep the shutter from being closed.
    broken = CFG + "Property,Camera,BitDepth,13\n"
    (tmp_path / "broken.cfg").write_text(broken, encoding="utf-8")
    with pytest.raises(InstrumentError, match="could not load"):
        bench(Shutter, cfg="broken.cfg")
    where = site(tmp_path, only_dark=True)
    shutter = make(Shutter, where, driver="micromanager", cfg="broken.cfg", device="Shutter")
    shutter.get_ready()
    shutter.connect()
    assert set(shutter._core.getLoadedDevices()) == {"Core", "Shutter"}  # type: ignore[attr-defined]
    shutter.make_dark()
    assert not shutter.is_open
    shutter.disconnect()
    where.shared.close()


def test_a_shutter_that_refuses_while_it_is_busy_is_closed_once_it_is_not(
    bench: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    shutter = bench(Shutter)
    shutter.open()
    really = shutter._core.setShutterOpen
    refused = []

    def busy_at_first(label: str, opening: bool) -> None:
        if not refused:
            refused.append(label)
            raise RuntimeError("device busy")
        really(label, opening)

    monkeypatch.setattr(shutter._core, "setShutterOpen", busy_at_first)
    monkeypatch.setattr(shutter._core, "deviceBusy", lambda label: True)
    with caplog.at_level(logging.WARNING):
        shutter.close()
    assert refused
    assert not shutter.is_open
    assert "device busy" in caplog.text
