"""What the doors say to good and to bad requests, without a process or a socket."""

import base64
import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sim.clock import VirtualClock
from sim.doors import ClockDoor, DevicesDoor, TestDoor
from sim.shared_pixels import Place, open_places
from sim.world import World
from tests.unit.sim.worlds import small_world


@pytest.fixture(scope="module")
def world():
    return World("trial", small_world(), 0, VirtualClock())


@pytest.fixture(scope="module")
def devices(world, tmp_path_factory):
    return DevicesDoor(world, tmp_path_factory.mktemp("memory") / "pixels")


@pytest.fixture(scope="module")
def test_door(world):
    return TestDoor(world)


def ask(door, **request):
    return json.loads(door.answer(json.dumps({"id": 7, **request})))


def test_a_client_shows_and_snaps_through_shared_memory(devices, world):
    hello = ask(devices, op="hello")
    places = {name: Place.from_json(place) for name, place in hello["places"].items()}
    arrays = open_places(hello["memory"], places)
    arrays["display"][:] = 255
    assert ask(devices, op="load", device="display") == {"id": 7, "ok": True}
    assert ask(devices, op="show", device="display") == {"id": 7, "ok": True}
    assert ask(devices, op="shutter", open=True)["open"] is True
    world.clock.sleep_until_s(1.0)
    assert ask(devices, op="exposure", ms=12.5)["ms"] == 12.5
    said = ask(devices, op="snap")
    assert said["exposure_ms"] == 12.5
    assert arrays[f"frame {said['place']}"].shape == world.file.camera.shape
    assert arrays[f"frame {said['place']}"].max() > 500


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("", "Expecting value"),
        ("garbage", "Expecting value"),
        ("[1, 2]", "JSON object"),
        ("[" * 5000, ""),
        ('{"op": "explode"}', "op 'explode' is not one of hello, load, show"),
        ('{"op": "show"}', "lacks 'device'"),
        ('{"op": "show", "device": "frame 0"}', "no panel"),
        ('{"op": "exposure", "ms": "long"}', "finite number"),
        ('{"op": "exposure", "ms": NaN}', "finite number"),
        ('{"op": "exposure", "ms": -1}', "exposes for 0 to"),
        ('{"op": "shutter", "open": 1}', "true or false"),
    ],
)
def test_a_bad_request_gets_an_error(devices, line, said):
    reply = json.loads(devices.answer(line))
    assert reply["ok"] is False
    assert said in reply["error"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50)
@given(line=st.text() | st.recursive(st.none() | st.text() | st.integers(), st.lists).map(json.dumps))
def test_no_line_is_too_strange(devices, test_door, world, line):
    for door in (devices, test_door, ClockDoor(world)):
        assert door.answer(line)


@pytest.mark.parametrize(
    "line",
    ["TIME", "SLEEP", *(f"SLEEP {wrong}" for wrong in ("-1", "nan", "1e300", "x")), "UNTIL x", "UNTIL -1", "time?", ""],
)
def test_the_clock_refuses_what_it_does_not_know(world, line):
    before = world.clock.now_s()
    assert (ClockDoor(world).answer(line) or "").startswith("ERROR ")
    assert world.clock.now_s() == before


def test_the_clock_tells_and_makes_time(world):
    door = ClockDoor(world)
    before = float(door.answer("TIME?") or "nan")
    assert door.answer("SLEEP 0.25") == "OK"
    assert float(door.answer("TIME?") or "nan") == pytest.approx(before + 0.25)
    assert door.answer(f"UNTIL {before + 0.5:.9f}") == "OK"
    assert door.answer(f"UNTIL {before:.9f}") == "OK", "it has passed already"
    assert float(door.answer("TIME?") or "nan") == pytest.approx(before + 0.5)


def test_a_camera_can_be_made_to_deliver_nothing(devices, test_door):
    assert ask(test_door, op="set", path="camera.delivers", value=False)["ok"]
    assert devices.answer('{"op": "snap"}') is None
    assert ask(test_door, op="truth")["camera_delivers"] is False
    assert ask(test_door, op="set", path="camera.delivers", value=True)["ok"]
    assert ask(devices, op="snap")["ok"]


def test_several_values_change_together_or_not_at_all(test_door, world):
    wrong = {"effects.fringing.sigma_px": 0.1, "effects.blur.sigma_um": -1}
    assert "blur" in ask(test_door, op="set", values=wrong)["error"]
    assert world.file.effects.fringing.sigma_px != 0.1


def test_the_truth_has_the_psf(test_door, world):
    said = ask(test_door, op="psf", tile=1, side=31)
    psf = np.frombuffer(base64.b64decode(said["base64"]), said["dtype"]).reshape(said["shape"])
    assert psf.shape == (31, 31)
    assert 0.3 < psf.sum() <= 1.05
    assert ask(test_door, op="psf", tile=9)["ok"] is False
    assert ask(test_door, op="psf")["error"] == "the request lacks 'tile'"
