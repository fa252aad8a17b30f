"""The stage carries the camera: pictures move against it, and what a knock has moved it moves back."""

import numpy as np
import pytest

from sim.clock import VirtualClock
from sim.gcs2 import C884
from sim.stage import Carrier
from sim.world import World
from sim.world_file import Stage

from .worlds import NOISE, small_world

KNOCK = {"effects.knock.on": True, "effects.knock.at_s": 100.0, "effects.knock.shift_px": [3.0, -2.0]}


def frame_at(world, moment_s):
    world.clock.sleep_until_s(moment_s)
    return world.expose(world.clock.now_s(), world.clock.now_s() + 0.02, 20.0).astype(float)


def test_a_knock_is_undone_by_moving_the_camera_after_it():
    file = small_world(
        {**KNOCK, "effects.knock.focus_um": 40.0}, off=(*NOISE, "speckle", "thermal_drift", "slm_flicker")
    )
    world = World("trial", file, 0, VirtualClock())
    picture = np.random.default_rng(0).integers(0, 256, world.panel_shapes()["display"]).astype(np.uint8)
    world.show("display", picture)
    world.illumination.set_shutter(True)
    before, knocked = frame_at(world, 50.0), frame_at(world, 150.0)
    assert np.abs(knocked - before).max() > 50
    pixel_um = file.camera.pixel_um
    for axis, goal_um in (("down", 3.0 * pixel_um), ("right", -2.0 * pixel_um), ("focus", -40.0)):
        world.carrier.move(axis, goal_um)
    assert world.movement.at(200.0).shift_px == pytest.approx((0.0, 0.0), abs=1e-9)
    assert world.movement.at(200.0).focus_um == pytest.approx(0.0, abs=1e-9)
    assert np.abs(frame_at(world, 200.0) - before).max() <= 1


def test_an_axis_takes_its_time_and_stops_where_it_is():
    clock = VirtualClock()
    carrier = Carrier(Stage(speed_um_per_s=100.0), clock)
    carrier.move("focus", -50.0)
    clock.sleep_until_s(0.2)
    assert carrier.really_um("focus", 0.2) == pytest.approx(-20.0)
    assert carrier.is_moving("focus")
    assert not carrier.is_moving("down")
    carrier.stop("focus")
    clock.sleep_until_s(10.0)
    assert carrier.position_um("focus") == pytest.approx(-20.0)
    carrier.home("focus")
    assert not carrier.is_homed("focus")
    clock.sleep_until_s(10.5)
    carrier.stop("focus")
    assert not carrier.is_homed("focus"), "it was stopped on its way"
    carrier.home("focus")
    clock.sleep_until_s(20.0)
    assert carrier.is_homed("focus")
    assert carrier.position_um("focus") == 0.0
    assert carrier.really_um("focus", 20.0) == Stage().reference_um


@pytest.mark.parametrize(
    ("command", "answer", "error"),
    [
        ("POS? 1", "1=0.000000\n", 0),
        ("POS?", "1=0.000000 \n2=0.000000 \n3=0.000000\n", 0),
        ("SAI?", "1 \n2 \n3\n", 0),
        ("FRF? 2", "2=0\n", 0),
        ("MOV 1 0.1", "", 5),
        ("MOV 1", "", 1),
        ("MOV 1 far", "", 1),
        ("MOV 9 1.0", "", 15),
        ("HLT 1 NOSMOOTH", "", 10),
        ("STP", "", 10),
        ("DANCE", "", 2),
    ],
)
def test_the_controller_speaks_gcs(command, answer, error):
    session = C884(Carrier(Stage(), VirtualClock()))
    assert session.answer(command) == answer
    assert session.answer("ERR?") == f"{error}\n"
    assert session.answer("ERR?") == "0\n"
