from math import exp

import numpy as np
import pytest

from sim.errors import SimulationError
from sim.laser import Laser
from sim.world_file import Laser as LaserFile

TAU_S = 2e-3


def laser(**changes):
    values = {"nominal_power_mw": 15.0, "rated_power_mw": 20.0, "response_ms": 2.0, **changes}
    made = Laser(LaserFile.model_validate(values))
    made.set_power_mw(15.0, 0.0)
    return made


def test_it_is_off_until_it_is_turned_on():
    it = laser()
    assert not it.is_on(10.0)
    assert (it.power_mw(10.0), it.reported_mw(10.0), it.mean_mw(0.0, 10.0)) == (0.0, 0.0, 0.0)


def test_its_power_follows_a_command_as_a_first_order_system():
    it = laser()
    it.turn(True, 1.0)
    it.set_power_mw(10.0, 2.0)
    assert it.power_mw(0.999) == 0.0
    assert it.power_mw(1.0 + TAU_S) == pytest.approx(15.0 * (1 - exp(-1)))
    assert it.power_mw(2.0 + 2 * TAU_S) == pytest.approx(10.0 + 5.0 * exp(-2))


def test_off_is_at_once():
    it = laser()
    it.turn(True, 1.0)
    it.turn(False, 2.0)
    assert it.power_mw(1.999) == pytest.approx(15.0)
    assert it.power_mw(2.0) == 0.0


def test_the_mean_is_that_of_what_it_gave_at_each_moment():
    it = laser(warm_up_share=0.04, warm_up_s=120.0)
    it.turn(True, 0.001)
    it.set_power_mw(8.0, 0.006)
    it.turn(False, 0.011)
    it.turn(True, 0.013)
    moments = np.linspace(0.0, 0.02, 200_001)
    assert it.mean_mw(0.0, 0.02) == pytest.approx(np.mean([it.power_mw(s) for s in moments]), rel=1e-4)


def test_a_settled_laser_gives_exactly_its_power():
    it = laser()
    it.turn(True, 0.0)
    assert it.mean_mw(1.0, 1.02) == 15.0


def test_warming_up_is_seen_outside_and_not_by_its_own_photodiode():
    it = laser(warm_up_share=0.04, warm_up_s=100.0)
    it.turn(True, 0.0)
    assert it.reported_mw(1.0) == pytest.approx(15.0)
    assert it.power_mw(100.0) == pytest.approx(15.0 * (1 - 0.04 * exp(-1)))
    assert it.power_mw(2000.0) == pytest.approx(15.0)
    it.turn(False, 2000.0)
    it.turn(True, 2100.0)
    assert it.power_mw(2101.0) == pytest.approx(15.0 * (1 - 0.04 * (1 - exp(-1)) * exp(-0.01)), rel=1e-6)


def test_an_open_interlock_stops_it_and_it_stays_off_until_it_is_turned_on_again():
    it = laser()
    it.turn(True, 0.0)
    it.set_interlock(False, 1.0)
    assert it.power_mw(1.0) == 0.0
    with pytest.raises(SimulationError, match="interlock"):
        it.turn(True, 2.0)
    it.set_interlock(True, 3.0)
    assert not it.is_on(4.0)
    it.turn(True, 4.0)
    assert it.is_on(4.0)


def test_a_fault_stops_it():
    it = laser()
    it.turn(True, 0.0)
    it.set_fault("temperature", 1.0)
    assert not it.is_on(1.0)
    with pytest.raises(SimulationError, match="temperature"):
        it.turn(True, 2.0)
    with pytest.raises(SimulationError, match="no fault"):
        it.set_fault("boredom", 2.0)


def test_a_laser_that_ignores_off_is_stopped_by_its_interlock_only():
    it = laser()
    it.turn(True, 0.0)
    it.ignores_off = True
    it.turn(False, 1.0)
    assert it.is_on(1.0)
    it.set_interlock(False, 2.0)
    assert not it.is_on(2.0)


def test_an_emission_delay_can_be_cut_short():
    it = laser(emission_delay_s=5.0)
    it.turn(True, 0.0)
    assert not it.is_on(4.9)
    assert it.is_on(5.0)
    it.turn(False, 3.0)
    assert not it.is_on(6.0)


@pytest.mark.parametrize("power_mw", [-1.0, 22.01, float("nan")])
def test_a_power_that_it_cannot_give_is_refused(power_mw):
    with pytest.raises(SimulationError, match="0 to 22 mW"):
        laser().set_power_mw(power_mw, 0.0)


def test_what_was_long_ago_is_forgotten():
    it = laser()
    for second in range(2000):
        it.set_power_mw(10.0 + second % 2, float(second))
        it.turn(second % 2 == 0, float(second))
    assert len(it._stretches) < 500
    assert it.mean_mw(1998.0, 1999.0) == pytest.approx(10.0, abs=0.1)
