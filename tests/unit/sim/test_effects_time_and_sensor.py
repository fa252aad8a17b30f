"""Each effect of light, display, sensor and time alone, against a closed form."""

import numpy as np
import pytest
from scipy import stats

from sim.clock import VirtualClock
from sim.drift import Moved, Movement, PowerDrift
from sim.effects_light import LaserDrift
from sim.effects_optics import Speckle
from sim.effects_sensor import Bayer, QuantumEfficiency
from sim.effects_time import Knock, ThermalDrift
from sim.errors import SimulationError
from sim.mosaic import shares
from sim.optics import Moment, Optics
from sim.pupil import Variant
from sim.response import Panel
from sim.sensor import Sensor, bloom
from sim.speckle import Speckles
from sim.truth import truth
from sim.walk import Walk
from sim.world import World
from sim.world_file import WorldFile
from tests.unit.sim.worlds import LASER, NOISE, SMALL, content, small_world

BLACK = 60
QUIET = (*NOISE, "stray_light", "vignetting")


def alone(effect, off=QUIET, others=None, **values):
    changes = {f"effects.{effect}.{key}": value for key, value in {"on": True, **values}.items()}
    return small_world({**changes, **(others or {})}, off=off)


def white_world(file, seed=0):
    world = World("trial", file, seed, VirtualClock())
    world.show("display", np.full(world.panel_shapes()["display"], 255, np.uint8))
    world.illumination.set_shutter(True)
    world.clock.sleep_until_s(1.0)
    return world


def test_a_walk_spreads_as_the_root_of_time_and_forgets():
    hours = 3600.0 * np.array([0.25, 1.0, 4.0, 9.0])
    walks = np.array([[Walk(seed, "trial").at(now_s) for now_s in hours] for seed in range(600)])
    assert walks.std(axis=0) == pytest.approx([0.5, 1.0, 2.0, 3.0], rel=0.1)
    steps = np.diff(walks, axis=1)
    assert np.abs(np.corrcoef(steps.T) - np.eye(3)).max() < 0.15
    assert Walk(1, "trial").at(0.0) == 0.0


def test_a_walk_is_the_same_in_any_order_and_continuous():
    moments = np.random.default_rng(0).uniform(0, 3e6, 50)
    one, other = Walk(4, "trial"), Walk(4, "trial")
    forwards = [one.at(now_s) for now_s in moments]
    assert forwards == [other.at(now_s) for now_s in moments[::-1]][::-1]
    assert abs(one.at(1000.0) - one.at(1000.01)) < 0.01
    assert Walk(4, "another").at(1000.0) != one.at(1000.0)


def test_a_cycle_comes_back_after_a_day():
    calm = {"shift_px_per_sqrt_h": 0.0, "focus_um_per_sqrt_h": 0.0}
    movement = Movement(ThermalDrift(shift_cycle_px=2.0, focus_cycle_um=30.0, **calm), Knock(on=False), 3)
    day_s = 86_400.0
    assert movement.at(0.0).shift_px == pytest.approx((0.0, 0.0))
    assert movement.at(day_s).shift_px == pytest.approx((0.0, 0.0), abs=1e-9)
    moved = [movement.at(share * day_s) for share in np.linspace(0, 1, 200)]
    reach = [
        max(point[axis] for point in places) - min(point[axis] for point in places)
        for places in [[each.shift_px for each in moved]]
        for axis in (0, 1)
    ]
    assert np.hypot(*reach) == pytest.approx(2 * 2.0, rel=1e-3)
    focus = [each.focus_um for each in moved]
    assert max(focus) - min(focus) == pytest.approx(60.0, rel=1e-3)


def test_drift_is_in_the_truth_and_in_the_frames():
    file = alone("thermal_drift", shift_px_per_sqrt_h=3.0, focus_um_per_sqrt_h=0.0, focus_cycle_um=0.0)
    world = white_world(file)
    before, centres = world.camera.snap().frame, np.array(truth(world)["geometry"]["tile_centres_px"])
    world.clock.sleep_until_s(4 * 3600.0)
    after, moved = world.camera.snap().frame, truth(world)
    assert np.abs(after.astype(float) - before).max() > 50
    assert np.array(moved["geometry"]["tile_centres_px"]) - centres == pytest.approx(
        np.tile(np.array(moved["moved"]["shift_px"]) - truth_shift(world, 1.0), (4, 1)), abs=0.05
    )


def truth_shift(world, now_s):
    return np.array(world.movement.at(now_s).shift_px)


def test_a_focus_that_drifts_is_the_psf_of_that_focus():
    file = alone("thermal_drift", off="all")
    optics = Optics(file, 0)
    blank = np.zeros(file.slm.shape, np.uint8)
    still = optics.transfer(blank)
    at_step = still + optics.change(blank, "", 0, Moment(Moved(focus_um=200.0)))
    assert at_step == pytest.approx(optics._transfer(blank, "", 0, Variant(focus_um=200.0)), abs=1e-5)
    between = still + optics.change(blank, "", 0, Moment(Moved(focus_um=150.0)))
    true = optics._transfer(blank, "", 0, Variant(focus_um=150.0))
    assert np.abs(between - true).max() < 5e-3 * np.abs(true).max()


def test_a_lasers_drift_is_seen_by_camera_and_meter_and_not_by_itself():
    file = small_world(
        {
            "laser": LASER,
            "meter": {"noise_mw": 0.0},
            "effects.laser_drift.on": True,
            "effects.laser_drift.per_sqrt_h": 0.05,
        },
        off=QUIET,
    )
    world = white_world(file)
    world.illumination.turn_laser(True)
    levels, metered, reported = [], [], []
    for now_s in (10.0, 4 * 3600.0):
        world.clock.sleep_until_s(now_s)
        metered.append(world.illumination.metered_mw(532.0))
        reported.append(world.illumination.reported_mw())
        levels.append((world.camera.snap().frame.astype(float) - BLACK).sum())
    assert abs(metered[1] / metered[0] - 1) > 0.01
    assert levels[1] / levels[0] == pytest.approx(metered[1] / metered[0], rel=2e-3)
    assert reported[1] == pytest.approx(reported[0])
    assert truth(world)["moved"]["power"] == pytest.approx(metered[1] / 15.0, rel=1e-3)


def test_power_never_becomes_negative():
    drift = PowerDrift(LaserDrift(per_sqrt_h=5.0), 0)
    assert min(drift.at(hour * 3600.0) for hour in range(200)) == 0.0


@pytest.mark.parametrize("exposure_ms", [0.001, 1.0, 20.0])
def test_speckle_averages_out_with_the_exposure(exposure_ms):
    speckles = Speckles(Speckle(contrast=0.8, grain_px=1.0, decorrelation_ms=0.5), (300, 280), 0)
    factor = speckles.factor(1.0, exposure_ms)
    assert factor.mean() == pytest.approx(1.0, abs=1e-4)
    assert factor.std() == pytest.approx(0.8 / np.sqrt(1 + exposure_ms / 0.5), rel=0.03)
    assert factor.min() >= 0.0


def test_full_speckle_is_exponential_with_the_stated_grain():
    factor = Speckles(Speckle(contrast=1.0, grain_px=3.0, decorrelation_ms=1e6), (400, 400), 0).factor(0.0, 1e-9)
    assert stats.kstest(factor[::12, ::12].ravel(), "expon").statistic < 0.05
    correlation = np.corrcoef(factor[:, 3:].ravel(), factor[:, :-3].ravel())[0, 1]
    assert correlation == pytest.approx(np.exp(-(3.0**2) / 3.0**2), abs=0.05)


def test_speckle_is_the_same_at_the_same_moment_and_new_at_the_next():
    file = Speckle(contrast=0.5, decorrelation_ms=1.0)
    one, again = (Speckles(file, (200, 200), 7).factor(0.0101, 1.0) for _ in range(2))
    other = Speckles(file, (200, 200), 7).factor(0.0115, 1.0)
    assert np.array_equal(one, again)
    assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 0.05


def test_a_display_grid_has_dark_lines_and_less_light():
    coarse = {"display.pixel_on_sensor_um": 40.0, "display.shape": [6, 6], "camera.shape": [150, 150]}
    grid = small_world({**coarse, "effects.display_grid.on": True, "effects.display_grid.fill_factor": 0.36}, off="all")
    imager = Optics(grid, 0).imager
    scene = imager.scene(imager.radiance([(1.0, np.full((6, 6), 255, np.uint8))])).astype(float)
    pixel_px = 40.0 / 3.45
    assert scene.sum() == pytest.approx(0.36 * 36 * pixel_px**2, rel=1e-3)
    along = (np.arange(len(scene)) - len(scene) // 2) / pixel_px
    wave = np.abs((scene.sum(axis=0) * np.exp(2j * np.pi * along)).sum()) / scene.sum()
    # squares of 0.6, and the triangle by which their light is given to the nearest pixels
    assert wave == pytest.approx(np.sinc(0.6) * np.sinc(1 / pixel_px) ** 2, rel=0.03)


def test_dead_pixels_of_the_display_stay():
    file = alone("display_dead_pixels", off="all", dark=0.02, white=0.01)
    imager = Optics(file, 0).imager
    where, levels = imager._stuck
    assert (levels == 0).sum() == round(0.02 * 96 * 96)
    assert (levels == 1).sum() == round(0.01 * 96 * 96)
    picture = np.full(file.display.shape, 128, np.uint8)
    told = picture.copy()
    told.flat[where] = 255 * levels
    plain = Optics(small_world(off="all"), 0).imager
    assert np.array_equal(imager.radiance([(1.0, picture)]), plain.radiance([(1.0, told)]))


def test_jitter_moves_the_response_and_repeats_itself():
    file = alone("timing_jitter", rms_ms=1.5)
    late = []
    for number in range(300):
        world = World("trial", file, 0, VirtualClock())
        world.clock.sleep_until_s(0.1 + number)
        late.append(world._late_s(world.clock.now_s()))
    assert np.std(late) == pytest.approx(1.5e-3, rel=0.15)
    assert late[7] == World("trial", file, 0, VirtualClock())._late_s(7.1)
    assert World("trial", file, 1, VirtualClock())._late_s(7.1) != late[7]


def test_a_late_display_shows_the_old_picture_longer():
    punctual, late = (Panel("old", 2.6e-3, 4e-3) for _ in range(2))
    punctual.show("new", 0.0)
    late.show("new", 0.0, 2e-3)
    assert late.weights(0.012, 0.022) == pytest.approx(punctual.weights(0.010, 0.020))
    late.show("third", 0.03, -1.0)
    assert late.weights(0.03, 0.04)["third"] > 0.5, "never before it is told"


def test_quantum_efficiency_scales_each_wavelength():
    plain = white_world(small_world(off=QUIET)).camera.snap().frame.astype(float) - BLACK
    curve = QuantumEfficiency(nm=(500.0, 564.0), relative=(1.0, 0.0))
    file = small_world(off=QUIET)
    file = file.model_copy(update={"effects": file.effects.model_copy(update={"quantum_efficiency": curve})})
    seen = white_world(file).camera.snap().frame.astype(float) - BLACK
    assert seen.sum() / plain.sum() == pytest.approx(0.5, rel=0.01)


def test_hot_pixels_have_their_share_and_their_current():
    file = alone("hot_pixels", off=(*QUIET, "shot_noise"), share=0.02, e_per_s=3000.0)
    frame = Sensor(file, 0).expose(exposure_ms=1000.0).astype(float)
    hot = frame[frame > BLACK + 1]
    assert hot.size == pytest.approx(0.02 * frame.size, rel=0.03)
    assert (hot - BLACK).mean() == pytest.approx(3000.0 / 2.6, rel=0.15)


def test_left_aligned_bits_stand_higher():
    file = small_world()
    right, left = (
        Sensor(file.model_copy(update={"camera": file.camera.model_copy(update={"alignment": side})}), 0)
        for side in ("right", "left")
    )
    right, left = (sensor.expose(exposure_ms=5.0) for sensor in (right, left))
    assert np.array_equal(left, right << 4)
    assert left.dtype == np.uint16


def test_blooming_keeps_the_charge():
    electrons = np.full((50, 7), 200.0, np.float32)
    electrons[20, 3] = 10_200.0
    before = electrons.sum()
    bloom(electrons, 1000.0, 1.0)
    assert electrons.sum() == pytest.approx(before)
    full = np.flatnonzero(electrons[:, 3] >= 1000.0)
    # 9200 to spill, 4600 each way, 800 a pixel: five full ones and a sixth at 800
    assert (full.min(), full.max()) == (15, 25)
    assert electrons[14, 3] == electrons[26, 3] == pytest.approx(800.0)
    assert (np.delete(electrons, 3, axis=1) == 200.0).all()


def test_what_is_not_shared_is_drained():
    electrons = np.full((50, 3), 0.0, np.float32)
    electrons[20, 1] = 5000.0
    bloom(electrons, 1000.0, 0.25)
    assert electrons.sum() == pytest.approx(1000.0 + 0.25 * 4000.0)


def test_blooming_leaves_unsaturated_frames_alone():
    frames = []
    for on in (True, False):
        world = white_world(alone("blooming", on=on, off=()))
        world.camera.set_exposure_ms(5.0)
        frames.append(world.camera.snap().frame)
    assert frames[0].max() > 500
    assert np.array_equal(*frames)


def test_each_pixel_sees_through_its_filter():
    bayer = Bayer(response=((1.0, 0.1, 0.0), (0.0, 1.0, 0.1), (0.0, 0.2, 0.5)))
    assert shares(bayer) @ np.array([1.0, 10.0, 100.0]) == pytest.approx(np.array([[2.0, 20.0], [20.0, 52.0]]))
    with pytest.raises(ValueError, match="as many numbers"):
        Bayer(response=((1.0,), (1.0, 2.0), (1.0,)))


def test_a_colour_world_shows_planes_and_sees_them_through_its_filters():
    values = content({**SMALL, "effects.bayer.on": True}, off=())
    values["source"]["channels_nm"] = [620.0, 532.0, 460.0]
    values["effects"]["bayer"]["response"] = [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
    for effect in QUIET:
        values["effects"][effect]["on"] = False
    world = World("trial", WorldFile.model_validate(values), 0, VirtualClock())
    assert world.panel_shapes()["display"] == (3 * 96, 96)
    world.illumination.set_shutter(True)
    sums = []
    for plane in range(3):
        picture = np.zeros((3, 96, 96), np.uint8)
        picture[plane] = 255
        world.show("display", picture.reshape(3 * 96, 96))
        world.clock.sleep_until_s(world.clock.now_s() + 1.0)
        frame = world.camera.snap().frame.astype(float) - BLACK
        sums.append(
            [frame[0::2, 0::2].sum(), frame[0::2, 1::2].sum() + frame[1::2, 0::2].sum(), frame[1::2, 1::2].sum()]
        )
    sums = np.array(sums)
    assert np.diag(sums).min() > 1e4
    assert np.abs(sums - np.diag(np.diag(sums))).max() < 0.01 * np.diag(sums).min()
    values["effects"]["bayer"]["response"] = [[1], [1], [1]]
    with pytest.raises(ValueError, match="3 numbers"):
        WorldFile.model_validate(values)


def test_a_rolling_shutter_sees_lower_rows_later():
    """The shutter closes in the middle of the exposure: each row has seen what its own time left it."""
    file = alone("rolling_shutter", line_us=50.0)
    world = white_world(file)
    full = world.camera.snap().frame.astype(float) - BLACK
    world.illumination.shutter.move(False, world.clock.now_s() + 4e-3)  # dark 10 ms after the first row began
    cut = world.camera.snap().frame.astype(float) - BLACK
    rows = np.arange(150)
    lit = full.sum(axis=1) > 0.2 * full.sum(axis=1).max()
    share = cut.sum(axis=1)[lit] / full.sum(axis=1)[lit]
    assert share == pytest.approx((10.0 - 0.05 * rows[lit]) / 20.0, abs=0.02)


def test_a_settled_scene_looks_the_same_to_a_rolling_shutter():
    frames = [
        white_world(alone("rolling_shutter", on=on, line_us=7.0, off=())).camera.snap().frame for on in (True, False)
    ]
    assert np.array_equal(*frames)


def test_rows_that_take_longer_than_the_read_out_are_refused():
    with pytest.raises(ValueError, match="readout_ms"):
        alone("rolling_shutter", line_us=100.0)


def test_a_fixed_optic_has_no_slm():
    values = content(SMALL, off=QUIET)
    del values["slm"]
    values["optic"] = {"pitch_um": 8.0}
    file = WorldFile.model_validate(values)
    world = white_world(file)
    assert list(world.panel_shapes()) == ["display"]
    assert world.camera.snap().frame.max() > 500
    assert "slm" not in truth(world)["shown"]
    with pytest.raises(SimulationError, match="no panel"):
        world.show("slm", np.zeros((96, 96), np.uint8))
    with pytest.raises(ValueError, match="either"):
        WorldFile.model_validate({**values, "optic": None})
