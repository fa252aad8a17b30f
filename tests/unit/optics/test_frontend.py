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


def test_a_student_of_another_optic_is_refused() -> None:
    from labonn.errors import ConfigError

    for changes in ({"kind": "random"}, {"wavelengths_nm": (620.0, 532.0, 460.0)}):
        optic = Optic(aperture_mm=(10, 10), kernel_mm=2.0, **changes)
        with pytest.raises(ConfigError, match="trained kernels at one wavelength"):
            Frontend(optic, Sensor())
