"""What any bench's instruments promise."""

import json
from pathlib import Path

import numpy as np
import pytest

from labonn.errors import ConfigError, InstrumentError
from labonn.instruments import Bench, open_bench

from .conftest import Simulated, bench_of


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
    for exposure_ms in (2.0, 7.5):
        bench.camera.exposure_ms = exposure_ms
        assert bench.camera.exposure_ms == pytest.approx(exposure_ms, rel=0.05)
    with pytest.raises(ConfigError):
        bench.camera.exposure_ms = 0.0


def test_more_light_more_counts(bench: Bench) -> None:
    bench.slm.show(np.zeros(bench.slm.shape, np.float32))
    bench.camera.exposure_ms = 5.0
    bench.shutter.open()
    means = []
    for brightness in (0.0, 0.5, 1.0):
        bench.display.show(np.full(bench.display.shape, brightness, np.float32))
        means.append(float(bench.camera.snap().mean()))
    bench.shutter.close()
    dark = float(bench.camera.snap().mean())
    assert dark <= means[0] < means[1] < means[2]


def test_a_frame_shows_the_last_picture_alone(bench: Bench) -> None:
    """Upright, in every tile, and without a trace of the picture before."""
    bench.slm.show(np.zeros(bench.slm.shape, np.float32))
    bench.camera.exposure_ms = 5.0
    upper = np.zeros(bench.display.shape, np.float32)
    upper[: upper.shape[0] // 2] = 1
    bench.shutter.open()
    frames = []
    for picture in (upper, 1 - upper, upper, upper.T.copy() if upper.shape[0] == upper.shape[1] else upper):
        bench.display.show(picture)
        frames.append(bench.camera.snap().astype(np.float64))
    first, other, again, left = frames
    assert np.corrcoef(first.ravel(), again.ravel())[0, 1] > 0.98
    assert np.corrcoef(first.ravel(), other.ravel())[0, 1] < 0
    assert np.corrcoef(first.ravel(), left.T.ravel())[0, 1] > np.corrcoef(first.ravel(), left.ravel())[0, 1]


def test_the_clock_passes_as_it_is_waited_for(bench: Bench) -> None:
    before = bench.clock.now_s()
    bench.clock.sleep_ms(50)
    assert 0.0499 <= bench.clock.now_s() - before < 5


def test_virtual_time_is_what_the_world_s_clock_says(world: Simulated) -> None:
    with open_bench(world.file) as bench:
        before = bench.clock.now_s()
        bench.clock.sleep_ms(3_600_000)
        assert bench.clock.now_s() - before == pytest.approx(3600, abs=1)
        bench.camera.exposure_ms = 100.0
        before = bench.clock.now_s()
        bench.camera.snap()
        assert bench.clock.now_s() - before >= 0.1


@pytest.mark.parametrize(
    ("changes", "kind", "said"),
    [
        ([("mono.cfg", "nowhere.cfg")], ConfigError, r"nowhere\.cfg: cannot be read"),
        ([('device = "Camera"', 'device = "Shutter"')], ConfigError, "'Shutter' is a Shutter; .*needs a Camera"),
        ([("bit_depth = 12", "bit_depth = 9")], InstrumentError, "above the 511 of 9 bits"),
        ([('alignment = "right"', 'alignment = "left"')], InstrumentError, "4 lowest of 16 bits"),
        ([("exposure_ms = 20.0", "exposure_ms = 1e6")], InstrumentError, "camera: setting the exposure to 1e\\+06 ms"),
    ],
)
def test_a_bench_file_that_does_not_fit_the_bench_is_named(
    world: Simulated, tmp_path: Path, changes: list, kind: type, said: str
) -> None:
    file = bench_of(tmp_path, world.truth()["bench"], *changes)

    def use() -> None:
        with open_bench(file) as bench:
            bench.shutter.open()
            bench.display.show(np.ones(bench.display.shape, np.float32))
            bench.camera.snap()

    with pytest.raises(kind, match=said):
        use()
    assert world.truth()["dark"]


def test_an_adapter_that_is_not_installed_is_named(world: Simulated, tmp_path: Path) -> None:
    file = bench_of(tmp_path, world.truth()["bench"])
    cfg = tmp_path / "mono.cfg"
    cfg.write_text(
        cfg.read_text(encoding="utf-8").replace(
            "#py pyDevice,Camera,sim.micromanager,Camera", "Device,Camera,Andor,Zyla"
        ),
        encoding="utf-8",
    )
    with (
        pytest.raises(ConfigError, match=r"device 'Camera': there is no adapter 'Andor'; .* has .*DemoCamera"),
        open_bench(file),
    ):
        pass
