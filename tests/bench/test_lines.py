"""Lines to instruments: whatever goes wrong on one is survived with the right reading, or named.

Every kind of fault at every door (laser, power meter, thermometer, serial shutter, serial laser; TCP and pty): no
reading and no command is ever taken for another, and what failed works again afterwards.
"""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from labonn.errors import InstrumentError
from labonn.instruments import Bench, open_bench

from .conftest import Simulated, bench_of
from .serial_bench import serial_bench, without_interlocks

pytestmark = pytest.mark.slow

FAULTS = ("timeout", "garbled", "late", "split", "error", "gone")


@pytest.fixture(scope="module", params=["visa", "serial over TCP", "serial"])
def bench(
    request: pytest.FixtureRequest, world: Simulated, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Bench]:
    """Lit, with nobody else at its doors."""
    if request.param == "serial" and sys.platform == "win32":
        pytest.skip("Windows has no pty")
    folder, name = tmp_path_factory.mktemp("doors"), world.truth()["bench"]
    if request.param == "visa":
        file = without_interlocks(bench_of(folder, name))
    else:
        file = serial_bench(folder, name, pty=request.param == "serial", interlocks=False)
    with open_bench(file) as opened:
        opened.light.turn_on()
        opened.shutter.open()
        yield opened


def laser_power(bench: Bench) -> float:
    return bench.light.power_mw


def laser_told(bench: Bench) -> float:
    bench.light.set_power_mw(12.0)
    bench.light.set_power_mw(15.0)
    return 15.0


def shutter_moved(bench: Bench) -> float:
    bench.shutter.close()
    bench.shutter.open()
    return float(bench.shutter.is_open)


TASKS = {
    "laser power": ("light", laser_power, lambda truth: truth["laser_power_mw"], 0.1),
    "laser told": ("light", laser_told, lambda truth: truth["laser_told_mw"], 1e-6),
    "meter": ("meter", lambda bench: bench.meter.power_mw, lambda truth: truth["laser_power_mw"], 0.3),
    "thermometer": ("thermometer", lambda bench: bench.thermometer.celsius, lambda truth: truth["celsius"], 0.1),
    "shutter": ("shutter", shutter_moved, lambda truth: float(truth["shutter_open"]), 0),
}


def door_of(bench: Bench, role: str) -> str | None:
    """The world's door behind which an instrument is; None where it is not behind one."""
    driver = getattr(bench, role).table.driver
    if role in ("meter", "thermometer"):
        return role if bench.light.table.driver == "scpi_laser" else None  # once is enough
    return {"scpi_laser": "laser", "serial_laser": "serial_laser", "serial_shutter": "shutter"}.get(driver)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("task", TASKS)
def test_a_fault_on_the_line_is_survived_or_named(world: Simulated, bench: Bench, task: str, fault: str) -> None:
    role, work, right, tolerance = TASKS[task]
    door = door_of(bench, role)
    if door is None:
        pytest.skip("not behind a door on this bench, or tried on another")
    known = len(world.injected())
    for at in (1, 2, 3):
        with world.faulty(gone_s=0.3, schedule=[{"door": door, "kind": fault, "at": at}]):
            with suppress(InstrumentError):  # named: it must be right all the same, the next time
                found = work(bench)
                assert found == pytest.approx(right(world.truth()), abs=tolerance)
            found = sooner_or_later(lambda: work(bench), str(getattr(bench, role)))
            assert found == pytest.approx(right(world.truth()), abs=tolerance)
    assert {one["kind"] for one in world.injected()[known:]} <= {fault}
    assert len(world.injected()) > known, "nothing went wrong, so nothing was tested"


def sooner_or_later(work: Callable[[], float], who: str) -> float:
    """Do it until it is done; whatever it fails with until then names the instrument."""
    deadline = time.monotonic() + 10
    while True:
        try:
            return work()
        except InstrumentError as error:
            if who not in str(error) or time.monotonic() > deadline:
                raise
