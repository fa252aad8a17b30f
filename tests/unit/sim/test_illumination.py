import time

import numpy as np
import pytest

from sim.clock import VirtualClock
from sim.errors import SimulationError
from sim.truth import truth
from sim.world import World
from tests.unit.sim.worlds import LASER, NOISE, small_world

BLACK_DN = 60


def make(off=NOISE, **changes):
    file = small_world({"laser": {**LASER, **changes}, "meter": {"noise_mw": 0.0}}, off=off)
    world = World("trial", file, 0, VirtualClock())
    world.show("display", np.full(file.display.shape, 255, np.uint8))
    pass_s(world, 1.0)
    return world


def pass_s(world, seconds):
    world.clock.sleep_until_s(world.clock.now_s() + seconds)


def light_of(world):
    return world.camera.snap().frame.astype(float).sum() - BLACK_DN * np.prod(world.file.camera.shape)


def test_light_needs_the_laser_and_the_shutter():
    world = make()
    light = world.illumination
    seen = []
    for on, opening in ((False, False), (False, True), (True, True), (True, False)):
        light.turn_laser(on)
        light.set_shutter(opening)
        pass_s(world, 0.1)
        seen.append((light.lit, light_of(world) > 0, light.metered_mw(532.0) > 1.0))
    assert seen == [(False,) * 3, (False,) * 3, (True,) * 3, (False,) * 3]


def test_a_world_without_a_laser_sees_the_same_at_the_nominal_power():
    world = make(off=())
    other = World("trial", small_world(), 0, VirtualClock())
    other.show("display", np.full(other.file.display.shape, 255, np.uint8))
    pass_s(other, 1.0)
    world.illumination.turn_laser(True)
    for each in (world, other):
        each.illumination.set_shutter(True)
        pass_s(each, 0.1)
    assert np.array_equal(world.camera.snap().frame, other.camera.snap().frame)
    with pytest.raises(SimulationError, match="no laser"):
        other.illumination.turn_laser(True)
    assert truth(other)["light_on"] is True
    assert truth(other)["laser_power_mw"] is None


def test_half_the_power_is_half_the_light_for_camera_and_meter():
    world = make()
    world.illumination.turn_laser(True)
    world.illumination.set_shutter(True)
    light, metered = [], []
    for power_mw in (14.0, 7.0):
        world.illumination.set_laser_power_mw(power_mw)
        pass_s(world, 0.1)
        light.append(light_of(world))
        metered.append(world.illumination.metered_mw(532.0))
    assert light[1] / light[0] == pytest.approx(0.5, rel=1e-3)
    assert metered == pytest.approx([14.0, 7.0])


def test_a_frame_sees_the_mean_of_a_laser_that_is_turned_on_meanwhile():
    world = make(response_ms=0.0)
    world.illumination.turn_laser(True)
    world.illumination.set_shutter(True)
    full = light_of(world)
    world.illumination.turn_laser(False)
    world.illumination.laser.turn(True, world.clock.now_s() + 15e-3)  # of 20 ms
    assert light_of(world) / full == pytest.approx(0.25, rel=2e-3)


def test_warming_up_is_seen_by_camera_and_meter_alike():
    world = make(warm_up_share=0.05, warm_up_s=100.0)
    world.illumination.turn_laser(True)
    world.illumination.set_shutter(True)
    pass_s(world, 0.1)
    cold = light_of(world), world.illumination.metered_mw(532.0)
    pass_s(world, 2000.0)
    warm = light_of(world), world.illumination.metered_mw(532.0)
    assert cold[1] / warm[1] == pytest.approx(0.95, rel=1e-3)
    assert cold[0] / warm[0] == pytest.approx(0.95, rel=2e-3)


def test_a_meter_that_is_corrected_for_another_wavelength_reads_wrong():
    world = make()
    world.illumination.turn_laser(True)
    world.illumination.set_shutter(True)
    pass_s(world, 0.1)
    assert world.illumination.metered_mw(635.0) == pytest.approx(15.0 * 532.0 / 635.0)


def test_the_meter_sees_the_source_flicker():
    world = make(off=())
    world.illumination.turn_laser(True)
    world.illumination.set_shutter(True)
    pass_s(world, 0.1)
    readings = [world.illumination.metered_mw(532.0) for _ in range(2000)]
    assert np.mean(readings) == pytest.approx(15.0, rel=1e-3)
    assert np.std(readings) == pytest.approx(0.003 * 15.0, rel=0.1)


def test_the_truth_knows_since_when_it_is_lit_or_dark():
    world = make()
    assert (truth(world)["lit_since_unix_s"], truth(world)["dark_since_unix_s"]) == (None, None)
    before = time.time()
    world.illumination.turn_laser(True)
    world.illumination.set_shutter(True)
    pass_s(world, 2.0)
    said = truth(world)
    assert said["lit"]
    assert before <= said["lit_since_unix_s"] <= time.time()
    assert said["dark_since_unix_s"] is None
    world.illumination.set_interlock(False)
    pass_s(world, 5.0)
    said = truth(world)
    assert (said["lit"], said["dark"], said["light_on"], said["shutter_open"]) == (False, True, False, True)
    assert said["lit_since_unix_s"] <= said["dark_since_unix_s"] <= time.time()
    assert said["time_lit_s"] == pytest.approx(2.0 + world.file.shutter.travel_ms / 1e3)


def test_a_closing_shutter_is_lit_until_it_has_arrived():
    world = make()
    world.illumination.turn_laser(True)
    world.illumination.set_shutter(True)
    world.illumination.shutter.move(False, world.clock.now_s())
    assert world.illumination.lit
    pass_s(world, 6.1e-3)
    assert not world.illumination.lit


def test_a_stuck_shutter_stays_where_it_is():
    world = make()
    world.illumination.turn_laser(True)
    world.illumination.set_shutter(True)
    world.illumination.shutter.stuck = True
    world.illumination.set_shutter(False)
    said = truth(world)
    assert (said["shutter_open"], said["shutter_told_open"], said["lit"]) == (True, False, True)


def test_the_thermometer_follows_a_change_and_swings():
    world = make()
    world.change({"thermometer.celsius": 30.0})
    assert truth(world)["celsius"] == pytest.approx(30.0, abs=0.01)
    assert world.warmth.reading_celsius() == pytest.approx(30.0, abs=0.1)
    world.change({"thermometer.swing_celsius": 4.0})
    world.clock.sleep_until_s(6 * 3600.0)
    assert world.warmth.celsius() == pytest.approx(34.0)


def test_what_is_not_optical_changes_without_another_draw_of_the_noise():
    world = make()
    sensor = world._sensor_of(1)
    world.change({"thermometer.celsius": 25.0, "laser.warm_up_share": 0.02, "shutter.travel_ms": 9.0})
    assert world._sensor_of(1) is sensor
    assert world.illumination.shutter.travel_s == pytest.approx(9e-3)
    with pytest.raises(SimulationError, match="rated_power_mw"):
        world.change({"laser.nominal_power_mw": 40.0})
