"""What holds between a bench file and the bench.

- virtual time is what the world's clock says, real time this computer's
- a bench file that does not fit the bench is named, and the bench is dark then
- so is an adapter that is not installed
"""

import time
from pathlib import Path

import numpy as np
import pytest

from labonn.capture.light import light
from labonn.errors import ConfigError, InstrumentError
from labonn.instruments import open_bench

from .conftest import Simulated, bench_of


def test_real_time_is_this_computer_s(real_time_world: Simulated) -> None:
    with open_bench(real_time_world.file) as bench:
        bench.camera.exposure_ms = 50.0
        before_s, world_s = time.monotonic(), bench.clock.now_s()
        bench.clock.sleep_ms(100)
        bench.camera.snap()
        passed_s = time.monotonic() - before_s
        assert passed_s >= 0.15
        assert bench.clock.now_s() - world_s == pytest.approx(passed_s, abs=0.05)


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
    ("changes", "error", "said"),
    [
        ([("mono.cfg", "nowhere.cfg")], ConfigError, r"nowhere\.cfg: cannot be read"),
        ([('device = "Camera"', 'device = "Shutter"')], ConfigError, "'Shutter' is a Shutter; .*needs a Camera"),
        ([("bit_depth = 12", "bit_depth = 9")], InstrumentError, "above the 511 of 9 bits"),
        ([('alignment = "right"', 'alignment = "left"')], InstrumentError, "4 lowest of 16 bits"),
        ([("exposure_ms = 20.0", "exposure_ms = 1e6")], InstrumentError, "camera: setting the exposure to 1e\\+06 ms"),
    ],
)
def test_a_bench_file_that_does_not_fit_the_bench_is_named(
    world: Simulated, tmp_path: Path, changes: list, error: type, said: str
) -> None:
    file = bench_of(tmp_path, world.truth()["bench"], *changes)

    def use() -> None:
        with open_bench(file) as bench, light(bench):
            bench.display.show(np.ones(bench.display.shape, np.float32))
            bench.camera.snap()

    with pytest.raises(error, match=said):
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
