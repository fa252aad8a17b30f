"""The world by the computer's own clock: what is seen too early is the old picture, and darkness has its moment."""

import threading
import time

import numpy as np
import pytest

from sim.clock import RealClock
from sim.world import World
from tests.unit.sim.worlds import LASER, NOISE, small_world

BLACK_DN = 60


@pytest.fixture
def world():
    world = World("trial", small_world({"laser": LASER}, off=NOISE), 0, RealClock())
    world.illumination.turn_laser(True)
    world.illumination.set_shutter(True)
    world.camera.set_exposure_ms(10.0)
    return world


def white(world, part=1.0):
    picture = np.zeros(world.file.display.shape, np.uint8)
    picture[:, : round(part * picture.shape[1])] = 255
    return picture


def test_a_frame_that_is_taken_too_early_is_a_mixture(world):
    world.show("display", white(world))
    time.sleep(0.1)
    before = world.camera.snap().frame.astype(float)
    world.show("display", white(world, 1 / 3))
    told_s = world._told[-1][0]  # not when this asked: the picture is taken in first
    snap = world.camera.snap()
    early = snap.frame.astype(float)
    time.sleep(0.1)
    after = world.camera.snap().frame.astype(float)
    latency, tau, exposure = 4.0, 2.6, 10.0
    begun = 1e3 * (snap.start_s - told_s)  # after the command: this computer's own time
    settled = np.clip(np.arange(begun, begun + exposure, 1e-3) - latency, 0.0, None)
    old = np.exp(-settled / tau).mean()
    share = ((early - after) * (before - after)).sum() / ((before - after) ** 2).sum()
    assert share == pytest.approx(old, abs=0.15)


def test_a_closing_shutter_is_dark_when_it_has_arrived_and_not_before(world):
    assert world.illumination.lit
    travel_s = world.file.shutter.travel_ms / 1e3
    began = time.time()
    closer = threading.Thread(target=world.illumination.set_shutter, args=(False,))
    closer.start()
    seen = []
    while closer.is_alive():
        seen.append((time.time(), world.illumination.lit))
        time.sleep(2e-4)
    closer.join()
    assert not world.illumination.lit
    assert world.illumination.darkness.dark_since_unix_s >= began + travel_s
    assert all(lit for when, lit in seen if when < began + 0.9 * travel_s)


def test_an_exposure_that_a_shutter_opens_into_is_cut(world):
    world.show("display", white(world))
    world.illumination.set_laser_power_mw(1.5)  # far from saturation
    time.sleep(0.1)
    world.camera.set_exposure_ms(100.0)
    full = world.camera.snap().frame.astype(float).sum() - BLACK_DN * np.prod(world.file.camera.shape)
    world.illumination.set_shutter(False)
    opener = threading.Timer(0.06, world.illumination.set_shutter, (True,))
    opener.start()
    part = world.camera.snap().frame.astype(float).sum() - BLACK_DN * np.prod(world.file.camera.shape)
    opener.join()
    assert part / full == pytest.approx(0.34, abs=0.2)


def test_a_sequence_has_one_exposure_after_another(world):
    snaps = [world.camera.next_free(None)]
    for _ in range(5):
        snaps.append(world.camera.next_free(snaps[-1].start_s))
    assert [snap.number for snap in snaps] == [1, 2, 3, 4, 5, 6]
    assert min(np.diff([snap.start_s for snap in snaps])) >= 10e-3 - 1e-6
