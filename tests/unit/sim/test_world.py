import json
import threading

import numpy as np
import pytest

from sim.clock import RealClock, VirtualClock
from sim.errors import SimulationError
from sim.truth import truth
from sim.world import World
from tests.unit.sim.worlds import NOISE, small_world

QUIET = small_world({"camera.gain_e_per_dn": 2.6}, off=NOISE)


@pytest.fixture
def world():
    return World("trial", QUIET, 0, VirtualClock())


def lit(world):
    world.illumination.set_shutter(True)
    return world


def white(world):
    return np.full(world.file.display.shape, 255, np.uint8)


def wait_ms(world, milliseconds):
    world.clock.sleep_until_s(world.clock.now_s() + milliseconds / 1e3)


def test_a_closed_shutter_is_dark(world):
    world.show("display", white(world))
    wait_ms(world, 100)
    assert np.unique(world.camera.snap().frame).tolist() == [60]


def test_a_dark_frame_does_not_wait_for_a_pattern_that_is_being_computed(world):
    frames = []
    with world.optics._lock:
        taker = threading.Thread(target=lambda: frames.append(world.camera.snap()), daemon=True)
        taker.start()
        taker.join(10)
    assert len(frames) == 1


def test_an_open_shutter_is_not(world):
    lit(world).show("display", white(world))
    wait_ms(world, 100)
    assert world.camera.snap().frame.max() > 500


def test_time_passes_while_a_frame_is_taken_and_a_shutter_moves(world):
    world.illumination.set_shutter(True)
    assert world.clock.now_s() == pytest.approx(6e-3)
    snap = world.camera.snap()
    assert snap.start_s == pytest.approx(6e-3)
    assert world.clock.now_s() == pytest.approx(6e-3 + 20e-3 + 8e-3)
    world.illumination.set_shutter(True)
    assert world.clock.now_s() == pytest.approx(34e-3), "it is open already"


def test_showing_takes_no_time(world):
    world.show("display", white(world))
    world.show("slm", np.ones(world.file.slm.shape, np.uint8))
    assert world.clock.now_s() == 0.0


@pytest.mark.parametrize(("panel", "brightness"), [("display", 255), ("slm", 128)])
def test_a_frame_that_is_taken_too_early_is_the_mixture_of_old_and_new(panel, brightness):
    """Closed form: the old one's share over [0, T] after the command, with latency L and time constant tau."""
    world = lit(World("trial", QUIET, 0, VirtualClock()))
    world.camera.set_exposure_ms(10.0)
    new = np.zeros(world.panel_shapes()[panel], np.uint8)
    new[:, : new.shape[1] // 3] = brightness
    world.show("display", white(world) // 2)
    wait_ms(world, 200)
    before = world.camera.snap().frame.astype(float)
    world.show(panel, new)
    early = world.camera.snap().frame.astype(float)
    wait_ms(world, 200)
    after = world.camera.snap().frame.astype(float)
    latency, tau, exposure = 4.0, 2.6, 10.0
    old = (latency + tau * (1 - np.exp(-(exposure - latency) / tau))) / exposure
    assert np.abs(before - after).max() > 100
    assert np.abs(early - (old * before + (1 - old) * after)).max() <= 1.5


def test_half_open_lets_through_half(world):
    lit(world).show("display", white(world))
    wait_ms(world, 200)
    full = world.camera.snap().frame.astype(float) - 60
    world.illumination.shutter.move(
        False, world.clock.now_s() + 4e-3
    )  # the blade arrives 6 ms later: at half of the exposure
    half = world.camera.snap().frame.astype(float) - 60
    assert half.sum() / full.sum() == pytest.approx(0.5, abs=0.01)


def test_a_longer_exposure_is_brighter_in_proportion(world):
    lit(world).show("display", white(world))
    wait_ms(world, 200)
    sums = []
    for exposure_ms in (2.0, 6.0):
        world.camera.set_exposure_ms(exposure_ms)
        sums.append((world.camera.snap().frame.astype(float) - 60).sum())
    assert sums[1] / sums[0] == pytest.approx(3.0, rel=0.01)


@pytest.mark.parametrize("exposure_ms", [0.0, -1.0, 1e9, float("nan")])
def test_an_exposure_that_cannot_be_is_refused(world, exposure_ms):
    with pytest.raises(SimulationError, match="exposes"):
        world.camera.set_exposure_ms(exposure_ms)
    assert world.camera.exposure_ms == 20.0


def test_pixels_that_do_not_fit_are_refused(world):
    with pytest.raises(SimulationError, match="shows uint8"):
        world.show("display", np.zeros((3, 3), np.uint8))
    with pytest.raises(SimulationError, match="no panel"):
        world.show("laser", white(world))


def test_values_change_while_it_lives(world):
    lit(world).show("display", white(world))
    wait_ms(world, 100)
    bright = world.camera.snap().frame.mean() - 60
    world.change({"source.white_e_per_ms": QUIET.source.white_e_per_ms / 2, "effects.vignetting.on": True})
    assert world.camera.snap().frame.mean() - 60 == pytest.approx(bright / 2, rel=0.02)
    assert world.illumination.shutter.is_open(world.clock.now_s())


@pytest.mark.parametrize(
    "values",
    [
        {"effects.nothing.on": True},
        {"effects.fringing.sigma_px": -1},
        {"effects": 3},
        {"": 1},
        {"camera.shape": [10, 10]},
        {"effects.fringing": "on"},
    ],
)
def test_a_change_that_cannot_be_changes_nothing(world, values):
    with pytest.raises(SimulationError):
        world.change(values)
    assert world.file == QUIET


def test_another_seed_is_another_laboratory(world):
    before = truth(world)["geometry"]
    world.change({"seed": 7})
    assert truth(world)["seed"] == 7
    assert truth(world)["geometry"] != before


def test_the_truth_is_plain_json(world):
    said = json.loads(json.dumps(truth(world)))
    assert said["dark"] is True
    lit(world).show("display", white(world))
    said = truth(world)
    assert (said["shutter_open"], said["lit"], said["shown"]["display"]["max_level"]) == (True, True, 255)
    assert len(said["geometry"]["tile_centres_px"]) == 4


def test_in_real_time_an_exposure_takes_its_time():
    world = World("trial", QUIET, 0, RealClock())
    began = world.clock.now_s()
    world.camera.snap()
    assert world.clock.now_s() - began >= 28e-3


def test_what_is_foreseen_is_what_is_seen_unless_something_happens(world):
    """Without noise, so that frames can be compared."""
    file = small_world(off=("light_noise", "shot_noise", "read_noise"))

    def seen(foreseen, happens):
        simulated = lit(World("trial", file, 0, VirtualClock()))
        simulated.show("display", white(simulated))
        wait_ms(simulated, 10)  # it still settles
        start_s = simulated.clock.now_s()
        span = start_s, start_s + 20e-3, 20.0
        if foreseen:
            simulated.foresee(*span)
        happens(simulated)
        wait_ms(simulated, 20)
        return simulated.expose(*span)

    def nothing(simulated):
        pass

    def goes_dark(simulated):
        simulated.illumination.set_shutter(False)

    def changes(simulated):
        simulated.show("display", 0 * white(simulated))

    frames = []
    for happens in (nothing, goes_dark, changes):
        frames.append(seen(True, happens))
        assert np.array_equal(frames[-1], seen(False, happens))
    assert frames[0].mean() > frames[1].mean() > 0
    assert frames[0].mean() > frames[2].mean() > 0


def test_a_picture_can_be_loaded_while_another_is_shown(world):
    world.show("display", white(world))
    world.load("display", white(world) // 2)
    assert world.shown("display").max() == 255
    world.show_loaded("display")
    assert world.shown("display").max() == 127


def test_a_settled_picture_is_rendered_once(monkeypatch):
    file = small_world(off=("light_noise", "shot_noise", "read_noise"))
    rendered = []
    for number in range(2):
        simulated = lit(World("trial", file, 0, VirtualClock()))
        imager = simulated.optics.imager
        light = imager.light

        def count(*given, light=light, **named):
            rendered.append(1)
            return light(*given, **named)

        monkeypatch.setattr(imager, "light", count)
        simulated.show("display", white(simulated))
        wait_ms(simulated, 500)
        frames = [simulated.camera.snap().frame for _ in range(3)]
        assert np.array_equal(frames[0], frames[1])
        assert len(rendered) == number + 1
    simulated.show("display", white(simulated) // 2)
    wait_ms(simulated, 500)
    assert simulated.camera.snap().frame.mean() < frames[0].mean()
    simulated.show("display", white(simulated))
    wait_ms(simulated, 500)
    assert np.array_equal(simulated.camera.snap().frame, frames[0])
    simulated.change({"effects.vignetting.tile_corner": 0.9})
    assert not np.array_equal(simulated.camera.snap().frame, frames[0])
