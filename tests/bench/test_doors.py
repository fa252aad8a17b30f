"""Instruments behind VISA and serial lines, on a bench that works.

- pyvisa talks to the laser while a capture runs, and every frame of the capture is right; pyvisa may close everything
- a bench whose shutter and laser hang on serial lines is made dark by the watchdog through them
- an instrument that disappears while the bench is lit trips the interlocks; when it is back, so is the bench
"""

import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from labonn.capture import scene_of
from labonn.capture.light import light
from labonn.errors import InterlockTripped
from labonn.instruments import Bench, open_bench

from .conftest import Simulated
from .counter import Reader, counter_image
from .serial_bench import serial_bench
from .ways_out import by_signal, dark_after_s, lit_run, visa

pytestmark = pytest.mark.slow


def test_pyvisa_talks_to_the_laser_while_frames_are_taken(world: Simulated) -> None:
    said: list[str] = []
    ended = threading.Event()

    def talk() -> None:
        with visa(world, "laser") as laser:
            while not ended.is_set():
                for question in ("*IDN?", "SOUR:POW:LEV?"):
                    said.append(laser.query(question))
                    said.append(laser.read())  # the laser's handshake

    talking = threading.Thread(target=talk)
    with open_bench(world.file) as bench:
        bench.slm.show(np.zeros(bench.slm.shape, np.float32))
        bench.camera.exposure_ms = 5.0
        with light(bench):
            reader = Reader(bench)
            talking.start()
            try:
                read = []
                for number in range(40):
                    bench.display.show(scene_of(counter_image(number), bench))
                    read.append(reader.number(bench.camera.snap()))
            finally:
                ended.set()
                talking.join()
    assert read == list(range(40))
    assert "OBIS" in said[0]
    assert set(said[::4]) == {said[0]}
    assert all(float(line) == pytest.approx(0.015, abs=1e-4) for line in said[2::4])
    assert set(said[1::2]) == {"OK"}
    assert len(said) > 40


@pytest.mark.skipif(sys.platform == "win32", reason="a pty, and SIGKILL")
def test_a_bench_on_serial_lines_goes_dark_when_its_process_is_killed(
    real_time_world: Simulated, tmp_path: Path
) -> None:
    name = real_time_world.truth()["bench"]
    file = serial_bench(tmp_path / "bench", name, pty=True)
    serial = Simulated(file, real_time_world.pid, real_time_world.door, real_time_world.doors)
    with lit_run(serial, tmp_path / "lab") as run:
        event_s = by_signal("SIGKILL")(run)
        assert dark_after_s(serial, event_s) < 5
    deadline = time.monotonic() + 10
    while (truth := serial.truth())["shutter_open"] or truth["light_on"]:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    with open_bench(file) as bench:
        assert bench.left_by is not None
        assert bench.left_by.pid == run.process.pid


def test_an_instrument_that_disappears_trips_the_interlocks_and_comes_back(real_time_world: Simulated) -> None:
    def wait_in_the_light(bench: Bench) -> None:
        with light(bench):
            for _ in range(100):
                bench.display.show(np.zeros(bench.display.shape, np.float32))
                time.sleep(0.05)

    def be_lit() -> None:
        with open_bench(real_time_world.file) as bench:
            real_time_world.ask(
                op="faults", plan={"gone_s": 3.0, "schedule": [{"door": "thermometer", "kind": "gone", "at": 1}]}
            )
            wait_in_the_light(bench)

    try:
        with pytest.raises(InterlockTripped, match=r"thermometer could not be read for .* s, the last time at 20"):
            be_lit()
        assert real_time_world.truth()["dark"]
        time.sleep(3.0)
    finally:
        real_time_world.ask(op="faults", plan={})
    with open_bench(real_time_world.file) as bench:
        assert bench.thermometer.celsius == pytest.approx(21.5, abs=0.1)
