"""Stages: they wait until they have arrived, stop when they are told, and stand still whatever goes wrong."""

import threading
import time
from typing import Any

import pytest

from labonn.errors import ConfigError, InstrumentError, InterlockTripped
from labonn.instruments import Stage
from labonn.instruments.stage import StageTable

from .stand_ins import BareStage, site


class Slow(BareStage):
    """Moves 1 um each time that it is asked whether it moves."""

    goal_um = 0.0
    homed = True
    stuck = False
    asked = 0

    def _move_to_um_hw(self, position_um: float) -> None:
        self.goal_um = position_um

    def _is_moving_hw(self) -> bool:
        self.asked += 1
        if self.at_um != self.goal_um and not self.stuck:
            self.at_um += 1.0 if self.goal_um > self.at_um else -1.0
        return self.at_um != self.goal_um

    def _stop_hw(self) -> None:
        self.goal_um = self.at_um

    def _home_hw(self) -> None:
        self.goal_um, self.homed = -20.0, True

    def _is_homed_hw(self) -> bool:
        return self.homed


def slow(kind: type[Any] = Slow, **table: Any) -> Any:
    stage = kind("stage", StageTable(driver="bare", **{"lowest_um": -10, "highest_um": 100, **table}), site())
    stage.connect()
    return stage


def test_a_move_returns_when_it_has_arrived() -> None:
    stage = slow()
    stage.move_to_um(30.0)
    assert stage.at_um == 30.0
    assert stage.site.clock.slept_ms >= 29 * 20.0


def test_it_is_stopped_from_another_thread_while_it_moves() -> None:
    stage = slow(highest_um=1e9)
    failures: list[Exception] = []

    def move() -> None:
        try:
            stage.move_to_um(1e8)
        except InstrumentError as error:
            failures.append(error)

    mover = threading.Thread(target=move)
    mover.start()
    while stage.at_um < 50:
        time.sleep(0.001)
    stage.stop()
    mover.join(5)
    assert not mover.is_alive()
    assert "was stopped on its way, at" in str(failures[0])
    assert stage.position_um == stage.at_um == stage.goal_um < 1e8


def test_a_move_that_takes_too_long_is_stopped() -> None:
    stage = slow(move_timeout_ms=100.0)
    with pytest.raises(InstrumentError, match="moving to 90 um: still moves after 100 ms, and was stopped"):
        stage.move_to_um(90.0)
    assert stage.goal_um == stage.at_um < 10


def test_what_trips_the_guard_stops_it_and_nothing_moves_after_that() -> None:
    stage = slow()
    trips = threading.Event()

    class Trips(Slow):
        def _is_moving_hw(self) -> bool:
            moving = super()._is_moving_hw()
            if self.at_um == 5 and not trips.is_set():
                trips.set()
                threading.Thread(target=lambda: self.site.guard.trip(InterlockTripped("too warm"))).start()
                time.sleep(0.05)
            return moving

    stage = slow(Trips)
    with pytest.raises(InterlockTripped, match="too warm"):
        stage.move_to_um(90.0)
    assert stage.goal_um == stage.at_um < 10
    with pytest.raises(InterlockTripped):
        stage.move_to_um(0.0)
    assert stage.goal_um == stage.at_um < 10


def fails_to_move(stage: Any) -> None:
    with pytest.raises(InstrumentError, match="was stopped on its way"):
        stage.move_to_um(1e8)


def test_a_bench_that_is_made_dark_stops_a_stage_that_moves() -> None:
    stage = slow(highest_um=1e9)
    stage.make_dark()
    assert stage.asked == 0, "one that stands still is left alone"
    mover = threading.Thread(target=fails_to_move, args=(stage,))
    mover.start()
    while stage.at_um < 10:
        time.sleep(0.001)
    stage.make_dark()
    mover.join(5)
    assert stage.goal_um == stage.at_um < 1e8


def test_one_that_does_not_stop_is_said_loudly() -> None:
    stage = slow()
    stage.goal_um, stage.stuck = 50.0, True
    stage._stop_hw = lambda: None
    with pytest.raises(InstrumentError, match="was told to stop and says that it STILL MOVES; look at it"):
        stage.stop()


def test_homing_is_allowed_by_the_bench_file_and_moves_wait_for_it() -> None:
    stage = slow(needs_homing=True)
    stage.homed = False
    with pytest.raises(ConfigError, match="it has not been homed since it was switched on"):
        stage.move_to_um(5.0)
    with pytest.raises(ConfigError, match="homing: may_home is not true in the bench file"):
        stage.home()
    assert stage.goal_um == 0.0
    stage = slow(needs_homing=True, may_home=True)
    stage.homed = False
    stage.home()
    assert stage.is_homed
    assert stage.position_um == -20.0, "the reference may lie outside the limits"
    stage.move_to_um(5.0)
    assert stage.position_um == 5.0


def test_a_driver_that_cannot_home_says_so() -> None:
    with pytest.raises(ConfigError, match="its driver does not home it"):
        slow(BareStage, may_home=True).home()


def test_limits_that_leave_no_room_are_refused() -> None:
    with pytest.raises(ValueError, match=r"lowest_um = 5: must be below highest_um = 5"):
        StageTable(driver="bare", lowest_um=5, highest_um=5)
    assert Stage.table_model is StageTable
