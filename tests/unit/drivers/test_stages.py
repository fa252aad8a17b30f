"""Stages on lines: the simulated PI controller over VISA, TCP and a pty; and ASI's commands as its manual has them."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from labonn.errors import ConfigError, InstrumentError
from labonn.instruments import Stage
from sim.clock import RealClock
from sim.fault_plan import FaultPlan
from sim.faults import Faults
from sim.gcs2 import C884
from sim.instrument_door import InstrumentDoor
from sim.lines import Presence
from sim.stage import Carrier
from sim.world_file import Stage as StageFile

from .benches import make, site

LIMITS = {"lowest_um": -50.0, "highest_um": 400.0, "may_home": True, "needs_homing": True, "move_timeout_ms": 5_000}


class Laboratory:
    """A stage of its own, at whose door faults can happen."""

    def __init__(self) -> None:
        self.clock = RealClock()
        self.carrier = Carrier(StageFile(speed_um_per_s=2_000.0), self.clock)
        self.faults = Faults(self.clock, FaultPlan())
        self.door = InstrumentDoor(
            "stage", lambda: C884(self.carrier), self.faults, Presence(), with_pty=sys.platform != "win32"
        )
        self.door.start()

    def really_um(self, axis: str = "focus") -> float:
        return self.carrier.really_um(axis, self.clock.now_s())


@pytest.fixture
def laboratory() -> Iterator[Laboratory]:
    made = Laboratory()
    yield made
    made.door.shutdown()


@pytest.fixture
def stage(laboratory: Laboratory) -> Iterator[Callable[..., Any]]:
    where, opened = site(), []

    def connected(line: str = "visa", **table: Any) -> Any:
        door = laboratory.door.address
        places = {
            "visa": {"driver": "scpi_stage", "resource": f"TCPIP0::127.0.0.1::{door['port']}::SOCKET"},
            "tcp": {"driver": "serial_stage", "port": f"socket://127.0.0.1:{door['port']}"},
            "pty": {"driver": "serial_stage", "port": door.get("pty", "")},
        }
        made = make(Stage, where, **{**places[line], "model": "pi-gcs2", **LIMITS, **table})
        opened.append(made)
        made.connect()
        return made

    yield connected
    for one in opened:
        one.disconnect()
    where.shared.close()


@pytest.mark.parametrize("line", ["visa", "tcp", "pty"])
def test_it_homes_and_goes_where_it_is_sent(laboratory: Laboratory, stage: Callable[..., Any], line: str) -> None:
    if line == "pty" and sys.platform == "win32":
        pytest.skip("Windows has no pty")
    focus = stage(line)
    assert "C-884" in focus.identify()
    assert not focus.is_homed
    with pytest.raises(ConfigError, match="has not been homed"):
        focus.move_to_um(10.0)
    focus.home()
    assert focus.position_um == pytest.approx(0.0)
    assert laboratory.really_um() == -130.0
    focus.move_to_um(130.0)
    assert laboratory.really_um() == pytest.approx(0.0, abs=1e-6)
    with pytest.raises(
        ConfigError, match=r"position_um = 400\.5: must lie between lowest_um = -50 and highest_um = 400"
    ):
        focus.move_to_um(400.5)
    assert laboratory.really_um() == pytest.approx(0.0, abs=1e-6)


def test_three_axes_share_one_line(laboratory: Laboratory, stage: Callable[..., Any]) -> None:
    axes = {
        axis: stage(parameters={"axis": number}) for number, axis in (("1", "focus"), ("2", "down"), ("3", "right"))
    }
    for one in axes.values():
        one.home()
    axes["down"].move_to_um(100.0)
    axes["right"].move_to_um(-40.0)
    assert [laboratory.really_um(axis) for axis in axes] == pytest.approx([-130.0, -30.0, -170.0])
    assert laboratory.door.connections == 1


def fails_to_reach(stage: Any, position_um: float) -> None:
    with pytest.raises(InstrumentError, match="was stopped on its way"):
        stage.move_to_um(position_um)


def test_it_stops_while_it_moves(laboratory: Laboratory, stage: Callable[..., Any]) -> None:
    focus = stage()
    focus.home()
    laboratory.carrier.file = StageFile(speed_um_per_s=100.0)
    mover = threading.Thread(target=fails_to_reach, args=(focus, 390.0))
    mover.start()
    time.sleep(0.3)
    begun = time.monotonic()
    focus.stop()
    assert time.monotonic() - begun < 0.2
    stopped_um = laboratory.really_um()
    mover.join(5)
    assert not mover.is_alive()
    assert -130.0 < stopped_um < -50.0
    time.sleep(0.1)
    assert laboratory.really_um() == stopped_um
    assert focus.position_um == pytest.approx(stopped_um + 130.0, abs=0.01)
    focus.move_to_um(focus.position_um + 1.0)
    assert focus.is_homed


def test_a_goal_beyond_its_own_travel_is_the_controller_s_word(stage: Callable[..., Any]) -> None:
    focus = stage(highest_um=5_000.0)
    focus.home()
    with pytest.raises(
        InstrumentError, match=r"'MOV 1 4\.000000': reports 7, tried 3 times; look the number up in its manual"
    ):
        focus.move_to_um(4_000.0)


def test_an_axis_that_is_not_there_is_the_controller_s_word(stage: Callable[..., Any]) -> None:
    with pytest.raises(InstrumentError, match="reports 15"):
        stage(parameters={"axis": "4"})


@pytest.mark.parametrize("fault", ["timeout", "late", "garbled", "gone"])
def test_what_goes_wrong_on_the_line_is_survived(laboratory: Laboratory, stage: Callable[..., Any], fault: str) -> None:
    focus = stage(reply_timeout_ms=200.0)
    focus.home()
    laboratory.faults.follow(
        FaultPlan.model_validate({"schedule": [{"door": "stage", "kind": fault, "at": 2}], "gone_s": 0.2})
    )
    focus.move_to_um(120.0)
    assert laboratory.really_um() == pytest.approx(-10.0, abs=1e-6)
    assert focus.position_um == pytest.approx(120.0)
    assert [one["kind"] for one in laboratory.faults.report()["injected"]] == [fault]


def test_a_serial_port_is_for_one_process(laboratory: Laboratory, stage: Callable[..., Any]) -> None:
    if sys.platform == "win32":
        pytest.skip("Windows has no pty")
    stage("pty")
    other = make(
        Stage,
        site(),
        driver="serial_stage",
        port=laboratory.door.address["pty"],
        model="pi-gcs2",
        **{**LIMITS, "retries": 0},
    )
    with pytest.raises(InstrumentError, match=r"stage at /dev/pts/\d+: .*cannot be opened: .*lock"):
        other.connect()
