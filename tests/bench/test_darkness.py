"""Whatever happens, the bench is dark afterwards: seen through the world's own door, not by labonn's opinion."""

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from labonn.errors import BenchInUse, ConfigError, InstrumentError
from labonn.instruments import open_bench

from .conftest import Simulated, bench_of

LIT = """
import sys, time
import numpy as np
from labonn.instruments import open_bench
with open_bench(sys.argv[1]) as bench:
    bench.shutter.open()
    bench.display.show(np.ones(bench.display.shape, np.float32))
    print("lit", flush=True)
    time.sleep(60)
"""


def light_in_a_process(file: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", LIT, str(file)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    if line != "lit\n":
        raise AssertionError(process.communicate()[1])
    return process


def test_dark_before_and_after(world: Simulated) -> None:
    with open_bench(world.file) as bench:
        assert world.truth()["dark"]
        bench.shutter.open()
        bench.display.show(np.ones(bench.display.shape, np.float32))
        assert world.truth()["lit"]
    truth = world.truth()
    assert not truth["shutter_open"]
    assert truth["shown"]["display"]["max_level"] == 0


def test_dark_after_an_error(world: Simulated) -> None:
    def fail_in_the_light() -> None:
        with open_bench(world.file) as bench:
            bench.shutter.open()
            bench.display.show(np.ones(bench.display.shape, np.float32))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_in_the_light()
    assert not world.truth()["shutter_open"]
    assert world.truth()["dark"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signal that asks a process to end")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP"])
def test_dark_after_a_request_to_end(world: Simulated, name: str) -> None:
    with light_in_a_process(world.file) as process:
        assert world.truth()["lit"]
        process.send_signal(getattr(signal, name))
        _, said = process.communicate(timeout=30)
    assert f"KeyboardInterrupt: asked to stop by {name}" in said
    assert not world.truth()["shutter_open"]
    assert world.truth()["dark"]


def test_a_killed_process_is_recognised_and_its_bench_made_dark(world: Simulated) -> None:
    with light_in_a_process(world.file) as process:
        process.kill()
        process.communicate()
    assert world.truth()["lit"], "nobody could have made it dark"
    with open_bench(world.file) as bench:
        assert bench.left_by is not None
        assert bench.left_by.pid == process.pid
        assert world.truth()["dark"]
    with open_bench(world.file) as bench:
        assert bench.left_by is None


def test_a_bench_has_one_holder(world: Simulated) -> None:
    with light_in_a_process(world.file) as process:
        with pytest.raises(BenchInUse, match=rf"in use by process {process.pid} .* since 20"), open_bench(world.file):
            pass
        assert world.truth()["lit"], "who was refused has touched nothing"
        process.terminate()
        process.communicate(timeout=30)


def test_what_fails_half_way_leaves_nothing_behind(world: Simulated, tmp_path: Path) -> None:
    broken = bench_of(tmp_path, f"{world.truth()['bench']}", ('device = "Camera"', 'device = "Kamera"'))
    for _ in range(2):  # the second time would fail on the lock if the first had kept it
        with (
            pytest.raises(ConfigError, match=r"no device 'Kamera'.*it has: Display, SLM, Camera, Shutter"),
            open_bench(broken),
        ):
            pass
        assert world.truth()["dark"]


def test_a_camera_that_delivers_nothing_is_named_and_the_bench_goes_dark(world: Simulated, tmp_path: Path) -> None:
    hasty = bench_of(tmp_path, world.truth()["bench"], ("timeout_ms = 60_000 ", "timeout_ms = 300 "))

    def snap_in_vain() -> None:
        with open_bench(hasty) as bench:
            bench.shutter.open()
            bench.display.show(np.ones(bench.display.shape, np.float32))
            bench.camera.snap()

    with world.changed(camera__delivers=False):
        with pytest.raises(InstrumentError, match="camera: taking a frame: no answer after 320 ms"):
            snap_in_vain()
        assert not world.truth()["shutter_open"]
        assert world.truth()["dark"]
    with open_bench(world.file) as bench:
        bench.camera.snap()
