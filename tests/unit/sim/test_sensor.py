"""The camera's noise as EMVA 1288 measures it."""

import numpy as np
import pytest
from scipy import stats

from sim.sensor import Sensor
from sim.spectrum import mean_of_squares
from tests.unit.sim.worlds import small_world

PIXELS_OFF = ("pixel_gain", "column_offset", "light_noise", "vignetting", "stray_light")
GAIN, BLACK, WHITE = 2.6, 60.0, 600.0


def uniform(world, level):
    return np.full(world.camera.shape, level, np.float32)


def pairs(sensor, world, level, exposure_ms, count=24):
    light = uniform(world, level)
    return np.stack([sensor.expose(light, exposure_ms, exposure_ms).astype(np.float64) for _ in range(count)])


def test_variance_rises_with_the_mean_by_one_over_the_gain():
    world = small_world({"source.white_e_per_ms": WHITE}, off=PIXELS_OFF)
    sensor = Sensor(world, 0)
    means, variances = [], []
    for exposure_ms in (1, 2, 4, 6, 8, 10, 12):
        frames = pairs(sensor, world, 1.0, exposure_ms)
        means.append(frames.mean())
        variances.append(frames.var(axis=0, ddof=1).mean())
    slope, at_zero = np.polyfit(np.array(means) - BLACK, variances, 1)
    assert 1 / slope == pytest.approx(GAIN, rel=0.02)
    assert means[3] - BLACK == pytest.approx(6 * WHITE / GAIN, rel=0.01)
    assert at_zero == pytest.approx((2.4 / GAIN) ** 2 + 1 / 12, abs=2.0)


def test_a_dark_frame_has_read_noise_and_black_level():
    world = small_world(off=(*PIXELS_OFF, "dark_current"))
    sensor = Sensor(world, 0)
    frames = np.stack([sensor.expose(exposure_ms=20.0).astype(np.float64) for _ in range(60)])
    assert frames.mean() == pytest.approx(BLACK, abs=0.01)
    assert frames.var() == pytest.approx((2.4 / GAIN) ** 2 + 1 / 12, rel=0.03)


def test_dark_current_grows_with_the_exposure():
    world = small_world({"effects.dark_current.e_per_s": 1000.0}, off=PIXELS_OFF)
    sensor = Sensor(world, 0)
    levels = [np.mean([sensor.expose(exposure_ms=ms) for _ in range(10)]) for ms in (100.0, 300.0)]
    assert levels[1] - levels[0] == pytest.approx(200 / GAIN, rel=0.02)


def test_it_saturates_at_its_full_well():
    world = small_world(off=PIXELS_OFF)
    frame = Sensor(world, 0).expose(uniform(world, 10.0), 100.0, 100.0)
    assert frame.max() <= 4095
    assert frame.mean() == pytest.approx(min(4095, 10500 / GAIN + BLACK), rel=0.01)


@pytest.mark.parametrize("electrons", [3.0, 30.0, 3000.0])
def test_gaussian_shot_noise_is_as_good_as_poisson_with_this_read_noise(electrons):
    """Grey levels against those of a true Poisson sensor: the distributions differ by less than 3 % anywhere."""
    world = small_world({"source.white_e_per_ms": electrons}, off=(*PIXELS_OFF, "dark_current"))
    frames = pairs(Sensor(world, 0), world, 1.0, 1.0, 20).ravel()
    chance = np.random.default_rng(1)
    true = chance.poisson(electrons, frames.size) + chance.normal(0.0, 2.4, frames.size)
    expected = np.clip(np.rint(true / GAIN + BLACK), 0, 4095)
    assert stats.ks_2samp(frames, expected).statistic < 0.03
    assert frames.mean() == pytest.approx(expected.mean(), abs=0.02 * max(1.0, electrons**0.5))
    assert frames.var() == pytest.approx(expected.var(), rel=0.03)


def test_noise_of_frames_and_of_neighbours_is_independent():
    world = small_world(off=(*PIXELS_OFF, "dark_current"))
    first, second = pairs(Sensor(world, 0), world, 1.0, 5.0, 2)
    noise = first - first.mean()
    assert abs(np.corrcoef(noise.ravel(), (second - second.mean()).ravel())[0, 1]) < 0.03
    assert abs(np.corrcoef(noise[:, 1:].ravel(), noise[:, :-1].ravel())[0, 1]) < 0.03


def test_pixels_differ_by_the_stated_spread():
    world = small_world({"effects.pixel_gain.spread": 0.02}, off=(*PIXELS_OFF[1:], "dark_current"))
    frames = pairs(Sensor(world, 0), world, 1.0, 10.0, 200).mean(axis=0) - BLACK
    assert frames.std() / frames.mean() == pytest.approx(0.02, rel=0.1)


def test_columns_keep_their_offsets():
    world = small_world({"effects.column_offset.rms_dn": 2.0}, off=("dark_current",))
    sensor = Sensor(world, 0)
    columns = np.mean([sensor.expose(exposure_ms=1.0) for _ in range(10)], axis=(0, 1))
    assert columns.std() == pytest.approx(2.0, rel=0.25)


def test_the_light_differs_from_frame_to_frame():
    world = small_world({"effects.light_noise.rms": 0.05}, off=("shot_noise", "read_noise"))
    means = pairs(Sensor(world, 0), world, 1.0, 8.0, 200).mean(axis=(1, 2)) - BLACK
    assert means.std() / means.mean() == pytest.approx(0.05, rel=0.2)


def test_the_same_seed_gives_the_same_frames():
    world = small_world()
    light = uniform(world, 0.5)
    frames = [Sensor(world, seed).expose(light, 5.0, 5.0, 0.3) for seed in (1, 1, 2)]
    assert np.array_equal(frames[0], frames[1])
    assert not np.array_equal(frames[0], frames[2])


def test_stray_light_follows_the_picture_and_the_source():
    world = small_world({"effects.stray_light.veil": 0.02, "effects.stray_light.pedestal": 0.01}, off=PIXELS_OFF[:4])
    sensor = Sensor(world, 0)
    dark = sensor.expose(uniform(world, 0.0), 10.0, 10.0, 0.0).mean() - BLACK
    bright = sensor.expose(uniform(world, 0.0), 10.0, 10.0, 1.0).mean() - BLACK
    assert dark == pytest.approx(0.01 * 10 * WHITE / GAIN, rel=0.05)
    assert bright - dark == pytest.approx(0.02 * 10 * WHITE / GAIN, rel=0.05)


@pytest.mark.parametrize("binning", [2, 4])
def test_binned_frames_are_as_if_pixels_had_been_averaged_and_cut(binning):
    """Mean and variance of every level of light, against frames of whole pixels averaged as the electronics does."""
    world = small_world({"source.white_e_per_ms": WHITE})
    along = np.linspace(0.02, 1.0, world.camera.shape[1], dtype=np.float32)
    light = np.broadcast_to(along, world.camera.shape).copy()
    whole, binned = Sensor(world, 3), Sensor(world, 3, binning)
    averaged = np.stack([cut_mean(whole.expose(light, 8.0, 8.0), binning) for _ in range(150)])
    seen = np.stack([binned.expose(mean_of_squares(light, binning), 8.0, 8.0) for _ in range(150)]).astype(np.float64)
    assert seen.shape == averaged.shape
    columns = {name: frames.mean(axis=(0, 1)) for name, frames in (("averaged", averaged), ("seen", seen))}
    assert columns["seen"] == pytest.approx(columns["averaged"], rel=0.003)
    spread = {name: frames.var(axis=0).mean(axis=0) for name, frames in (("averaged", averaged), ("seen", seen))}
    thirds = np.array_split(np.arange(seen.shape[2]), 3)
    for third in thirds:
        assert spread["seen"][third].mean() == pytest.approx(spread["averaged"][third].mean(), rel=0.06)


def test_a_binned_dark_frame_has_the_level_of_averaged_ones():
    world = small_world()
    frames = [np.mean([Sensor(world, 3, 2).expose(exposure_ms=20.0) for _ in range(20)])]
    frames.append(np.mean([cut_mean(Sensor(world, 3).expose(exposure_ms=20.0), 2) for _ in range(20)]))
    assert frames[0] == pytest.approx(frames[1], abs=0.02)


def cut_mean(frame, binning):
    rows, columns = (side // binning for side in frame.shape)
    cells = frame[: rows * binning, : columns * binning].reshape(rows, binning, columns, binning)
    return (cells.sum(axis=(1, 3), dtype=np.uint32) // binning**2).astype(np.float64)
