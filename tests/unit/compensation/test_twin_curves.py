"""The display's gamma, frames' levels, the sensor's curve and its noise, each against a world that was given one."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from labonn.compensation import fit_twin as fit_any
from labonn.compensation.twin_noise import fit_noise
from labonn.compensation.twin_sensor import Sensor, fit_sensor, straight

TILES, SIDE = 4, 20


def fit_twin(images, tiles, kernels):
    return fit_any(images, tiles, kernels, parts=("kernel", "offset", "halo"))


def generator(seed):
    return torch.Generator().manual_seed(seed)


def blobs(count, seed=0):
    """Grey pictures with strokes wider than a tap, dark at the rim."""
    noise = torch.randn(count, 1, SIDE, SIDE, generator=generator(seed))
    smooth = functional.avg_pool2d(noise, 3, stride=1, padding=1)
    window = torch.hann_window(SIDE + 2, periodic=False)[1:-1].sqrt()
    return (2 * smooth.clamp(0, 0.5)) * window[:, None] * window[None, :]


def designed():
    return torch.rand(TILES, 5, 5, generator=generator(10)) / 5


def world(images, *, gamma=1.0, level=None, curve=lambda tiles: tiles, noise=0.003, seed=20):
    light = images**gamma * (1.0 if level is None else level[:, None, None, None])
    tiles = curve(functional.conv2d(light, designed()[:, None], padding=2))
    return tiles + noise * torch.randn(tiles.shape, generator=generator(seed))


def test_frames_of_different_light_are_told_apart():
    images, level = blobs(16), 1 + 0.1 * torch.randn(16, generator=generator(3))
    twin = fit_twin(images, world(images, level=level), designed())
    assert twin.level_rms == pytest.approx(float(level.std() / level.mean()), rel=0.05)
    assert twin.display_gamma == pytest.approx(1.0, abs=0.03)
    unseen = blobs(6, seed=50)
    truth = world(unseen, noise=0.0) * level.mean()
    assert float((twin.tiles(unseen) - truth).square().mean() / truth.var()) < 1e-3


def test_steady_light_is_called_steady():
    twin = fit_twin(blobs(12), world(blobs(12)), designed())
    assert twin.level_rms < 0.002


def test_gamma_and_levels_are_found_together():
    images, level = blobs(16), 1 + 0.05 * torch.randn(16, generator=generator(3))
    twin = fit_twin(images, world(images, gamma=0.5, level=level), designed())
    assert twin.display_gamma == pytest.approx(0.5, rel=0.03)
    assert twin.level_rms == pytest.approx(float(level.std() / level.mean()), rel=0.1)


def test_a_sensor_that_saturates_has_a_curve():
    def curve(tiles):
        return 1.5 * torch.tanh(tiles / 1.5)

    images, unseen = blobs(20), blobs(6, seed=50)
    twin = fit_twin(images, world(images, curve=curve), designed())
    assert not twin.sensor.straight
    truth = world(unseen, curve=curve, noise=0.0)
    left = float((twin.tiles(unseen) - truth).square().mean() / truth.var())
    bent = world(unseen, noise=0.0) - truth  # what a straight sensor would miss
    assert left < 0.03 * float(bent.square().mean() / truth.var())


def test_a_straight_sensor_stays_straight():
    images = blobs(12)
    assert fit_twin(images, world(images), designed()).sensor.straight


def test_reading_and_light_of_a_curve_are_inverse():
    sensor = Sensor(torch.tensor([2.0, 3.0]), torch.tensor([-0.2, 0.1]), torch.tensor([-0.05, 0.0]))
    light = torch.linspace(-0.3, 4, 200).reshape(1, 1, 1, 200).repeat(1, 2, 1, 1)
    read = sensor.read(light)
    assert (read.diff(dim=3) > 0).all()  # more light never reads less
    torch.testing.assert_close(sensor.light(read), light, atol=1e-4, rtol=1e-4)


def test_a_fitted_curve_is_the_cubic_that_was_there():
    light = 2 * torch.rand(5, 2, 10, 10, generator=generator(1))
    scaled = light / 2
    reading = light + 2 * (-0.3 * scaled**2 + 0.1 * scaled**3)
    sensor = fit_sensor(light, reading)
    torch.testing.assert_close(sensor.read(light), reading, atol=0.01, rtol=0)


def test_a_straight_sensor_changes_nothing():
    light = torch.randn(2, 3, 4, 4)
    assert straight(3).read(light) is light


def test_noise_grows_with_the_light_as_it_was_given():
    light = 4 * torch.rand(40, 2, 20, 20, generator=generator(1))
    dark, slope = torch.tensor([0.01, 0.04]), torch.tensor([0.02, 0.0])
    std = (dark[:, None, None] + slope[:, None, None] * light).sqrt()
    noise = fit_noise(light, std * torch.randn(light.shape, generator=generator(2)))
    np.testing.assert_allclose(noise.dark, dark, rtol=0.1)
    np.testing.assert_allclose(noise.slope, slope, atol=0.0015)
    np.testing.assert_allclose(noise.std(light), std, rtol=0.06)


def test_noisy_maps_are_as_noisy_as_captures():
    """Signed maps with drawn noise depart from the prediction as captured ones do, place by place."""
    images = blobs(24)
    shot = 0.02 * torch.randn(24, TILES, SIDE, SIDE, generator=generator(5)) * world(images, noise=0.0).sqrt()
    twin = fit_twin(images, world(images, noise=0.0) + shot, designed())
    many = images[:1].repeat(400, 1, 1, 1)
    drawn = twin.noisy(twin.maps(many), many, generator(6)).std(dim=0)
    tiles = world(images[:1], noise=0.0)[0]
    real = 0.02 * (tiles[0::2] + tiles[1::2]).sqrt()
    bright = real > 0.5 * real.max()
    np.testing.assert_allclose(drawn[bright].mean(), real[bright].mean(), rtol=0.15)
    assert drawn[real < 0.1 * real.max()].mean() < 0.5 * drawn[bright].mean()


def test_a_sampled_twin_departs_by_what_the_captures_leave_open():
    """Draws of the posterior against fits to captures with other noise."""
    images, unseen = blobs(6), blobs(3, seed=50)
    fits = [fit_twin(images, world(images, noise=0.05, seed=s), designed()) for s in (30, 31, 32)]
    among_fits = torch.stack([fit.tiles(unseen) for fit in fits]).std(dim=0).square().mean().sqrt()
    draws = [fits[0].sample(generator(s)).tiles(unseen) for s in range(24)]
    among_draws = torch.stack(draws).std(dim=0).square().mean().sqrt()
    assert 0.5 < float(among_draws / among_fits) < 2.0
