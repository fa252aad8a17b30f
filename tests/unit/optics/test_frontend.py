"""The frontend against scipy's correlation, and its sensor against the formula of its noise."""

import numpy as np
import pytest
import torch
from scipy.signal import correlate2d

from labonn.design import Optic, Sensor
from labonn.optics import Frontend, signed_maps

OPTIC = Optic(aperture_mm=(8.64, 8.64), kernel_mm=1.0, taps=5, kernels=3)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def make(sensor=None, optic=OPTIC, seed=0):
    return Frontend(optic, sensor or Sensor(), generator=generator(seed))


@pytest.mark.parametrize("shape", [(9, 9), (6, 11)])
def test_tiles_are_same_size_correlations_dark_outside_the_image(shape):
    frontend, images = make(), torch.rand(2, 1, *shape, generator=generator(1))
    kernels = frontend.kernels().detach().numpy()
    expected = [[correlate2d(image[0], kernel, mode="same") for kernel in kernels] for image in images.numpy()]
    np.testing.assert_allclose(frontend.ideal_tiles(images).detach(), expected, rtol=1e-4, atol=1e-6)


def test_without_noise_the_maps_are_differences_of_the_tiles():
    frontend, images = make().eval(), torch.rand(2, 1, 8, 8, generator=generator(1))
    tiles = frontend.ideal_tiles(images)
    expected = torch.stack([tiles[:, 0] - tiles[:, 1], tiles[:, 2] - tiles[:, 3], tiles[:, 4] - tiles[:, 5]], dim=1)
    torch.testing.assert_close(signed_maps(tiles), expected)
    torch.testing.assert_close(frontend(images), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("sign", [1.0, -1.0, 0.0])
def test_kernels_are_light_whatever_the_parameters_are(sign):
    frontend = make()
    with torch.no_grad():
        frontend.free_taps.mul_(sign)
        frontend.free_taps[0] *= -3
    kernels = frontend.kernels()
    assert torch.isfinite(kernels).all()
    assert kernels.min() >= 0


def test_a_plain_background_cancels_in_every_map():
    """Where the whole kernel lies on the background, so not at the rim."""
    frontend = make().eval()
    with torch.no_grad():
        frontend.free_taps[0] *= 4  # halves that are not alike
    inner = frontend(torch.full((1, 1, 12, 12), 0.7))[..., 2:-2, 2:-2]
    assert frontend.ideal_tiles(torch.full((1, 1, 12, 12), 0.7)).max() > 1
    assert inner.abs().max() < 1e-5


@pytest.mark.parametrize(
    "sensor",
    [
        Sensor(full_well_e=10_000, fill=0.5, read_noise_e=5, pixels_per_tap=50),
        Sensor(full_well_e=200, fill=0.2, read_noise_e=0, pixels_per_tap=4),  # shot noise alone
        Sensor(full_well_e=1000, fill=0.1, read_noise_e=60, pixels_per_tap=9),  # read noise above all
    ],
)
def test_noise_has_the_variance_of_its_formula(sensor):
    """var = (u F + r^2) / (n F^2) of the reading u = tile / sum(w), times sum(w)^2, and both halves of a pair add."""
    frontend = make(sensor, OPTIC.model_copy(update={"kernels": 2}))
    image = torch.zeros(1, 1, 4, 6)
    image[..., 2:] = torch.rand(4, 4, generator=generator(2))
    sums = frontend.kernels().detach().sum(dim=(1, 2)).double().numpy()[:, None, None]
    tiles = frontend.ideal_tiles(image)[0].detach().double().numpy()
    white_e = sensor.fill * sensor.full_well_e
    reading = (tiles / sums * white_e + sensor.read_noise_e**2) / (sensor.pixels_per_tap * white_e**2) * sums**2
    expected = reading[0::2] + reading[1::2]

    count = 20_000
    with torch.random.fork_rng():
        torch.manual_seed(0)
        noise = (frontend(image.expand(count, -1, -1, -1)) - frontend.eval()(image)).detach().double().numpy()
    # Of n normal draws the variance errs by sqrt(2/n) = 1 %, the mean by sqrt(var/n); 5 sigma of 48 pixels.
    np.testing.assert_allclose(noise.var(axis=0), expected, rtol=0.05)
    assert np.all(np.abs(noise.mean(axis=0)) <= 5 * np.sqrt(expected / count))


def test_noise_is_drawn_anew_in_training_and_never_otherwise():
    frontend, image = make(), torch.rand(1, 1, 8, 8, generator=generator(1))
    assert not torch.equal(frontend(image), frontend(image))
    frontend.eval()
    assert torch.equal(frontend(image), frontend(image))


def test_taps_have_the_gradient_of_finite_differences():
    frontend, image = make().double().eval(), torch.rand(1, 1, 6, 6, generator=generator(1)).double()
    weights = torch.randn(1, 3, 6, 6, generator=generator(2)).double()

    def pressed(taps):
        return (torch.func.functional_call(frontend, {"free_taps": taps}, (image,)) * weights).sum()

    assert torch.autograd.gradcheck(pressed, frontend.free_taps)


def test_kernels_follow_from_the_generator():
    assert torch.equal(make(seed=3).kernels(), make(seed=3).kernels())
    assert not torch.equal(make(seed=3).kernels(), make(seed=4).kernels())


RGB = (620.0, 532.0, 460.0)


def colour(**changes):
    return OPTIC.model_copy(update={"kernels": 2, "wavelengths_nm": RGB, **changes})


def correlations(images, kernels):
    """scipy's, (N, K, C, H, W)."""
    return np.array(
        [
            [[correlate2d(plane, taps, mode="same") for plane, taps in zip(image, kernel, strict=True)]
             for kernel in kernels]
            for image in images
        ]
    )  # fmt: skip


@pytest.mark.parametrize("pairs", ["balanced", "free"])
@pytest.mark.parametrize("colours", ["summed", "separate"])
def test_each_colour_has_kernels_of_its_own_and_the_maps_are_their_sum_or_all_of_them(colours, pairs):
    frontend = make(optic=colour(colours=colours, pairs=pairs)).eval()
    images = torch.rand(2, 3, 6, 8, generator=generator(1))
    kernels = frontend.kernels().detach().numpy()
    assert kernels.shape == (4, 3, 5, 5)
    tiles = correlations(images.numpy(), kernels)
    np.testing.assert_allclose(frontend.ideal_tiles(images).detach(), tiles, rtol=1e-4, atol=1e-6)
    maps = tiles[:, 0::2] - tiles[:, 1::2]
    expected = maps.sum(axis=2) if colours == "summed" else maps.transpose(0, 2, 1, 3, 4).reshape(2, 6, 6, 8)
    np.testing.assert_allclose(frontend(images).detach(), expected, rtol=1e-4, atol=1e-4)


def test_balanced_colours_cancel_white_and_free_ones_do_not():
    white = torch.ones(1, 3, 12, 12)
    for colours in ("summed", "separate"):
        assert make(optic=colour(colours=colours)).eval()(white)[..., 2:-2, 2:-2].abs().max() < 1e-4
    assert make(optic=colour(pairs="free")).eval()(white)[..., 2:-2, 2:-2].abs().max() > 1e-3


@pytest.mark.parametrize("optic", [OPTIC, colour(), colour(pairs="free"), colour(kind="random")])
def test_no_sub_aperture_gives_more_light_than_it_gathers(optic):
    """In each colour: a point spread function is light, and sums to one at most."""
    frontend = make(optic=optic)
    with torch.no_grad():
        frontend.free_taps.mul_(-50)
        frontend.free_taps[0] = 0  # a dark one
    psfs = frontend.psfs()
    assert psfs.min() >= 0
    assert psfs.sum(dim=(-2, -1)).max() <= 1 + 1e-5
    images = torch.rand(2, len(optic.wavelengths_nm), 8, 8, generator=generator(1))
    if len(optic.wavelengths_nm) == 1:
        reading = torch.nn.functional.conv2d(images, psfs.flip(-2, -1)[:, None], padding=2)
        assert reading.max() <= 1 + 1e-5


@pytest.mark.parametrize("colours", ["summed", "separate"])
def test_the_noise_of_colours_and_of_rounding_adds_up(colours):
    """Of each colour's reading as of a single one, with q^2 / 12 of rounding; summed maps have the sum."""
    sensor = Sensor(full_well_e=1000, fill=0.3, read_noise_e=4, pixels_per_tap=4, bits=7)
    frontend = make(sensor, colour(colours=colours))
    image = torch.rand(1, 3, 3, 4, generator=generator(2))
    kernels = frontend.kernels().detach().double().numpy()
    sums = kernels.sum(axis=(2, 3))[..., None, None]
    tiles = correlations(image.numpy().astype(float), kernels)[0]
    dark_e2 = 4**2 + (1000 / 2**7) ** 2 / 12
    variance = (tiles / sums * 300 + dark_e2) / (4 * 300**2) * sums**2
    pairs = variance[0::2] + variance[1::2]
    expected = pairs.sum(axis=1) if colours == "summed" else pairs.transpose(1, 0, 2, 3).reshape(6, 3, 4)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        noise = (frontend(image.expand(20_000, -1, -1, -1)) - frontend.eval()(image)).detach().double().numpy()
    np.testing.assert_allclose(noise.var(axis=0), expected, rtol=0.06)


def test_rounding_that_the_noise_does_not_cover_is_refused():
    with pytest.raises(ValueError, match=r"bits = 8: a step of 39\.1 electrons .* read noise of 5"):
        Sensor(full_well_e=10_000, read_noise_e=5, bits=8)
    assert Sensor(full_well_e=10_000, read_noise_e=5, bits=12).step_e == pytest.approx(2.44140625)


def test_a_plain_lens_shows_the_image_and_random_kernels_stay():
    lens = Optic(kind="lens", aperture_mm=(2.1, 2.1), kernel_mm=2.048, taps=1, kernels=1)
    image = torch.rand(2, 1, 6, 6, generator=generator(1))
    frontend = make(optic=lens)
    assert torch.equal(frontend.eval()(image), image)
    assert torch.equal(signed_maps(frontend.ideal_tiles(image)), image)
    assert not torch.equal(frontend.train()(image), image)  # its sensor is noisy, too
    for optic in (lens, OPTIC.model_copy(update={"kind": "random"})):
        assert [taps.requires_grad for taps in make(optic=optic).parameters()] == [False]
