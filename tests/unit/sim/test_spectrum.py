import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.signal import fftconvolve

from sim.spectrum import Spectra, mean_of_squares

SHAPE, REACH = (60, 48), 7


def picture(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def test_a_kernel_convolves_a_scene():
    spectra = Spectra.below(0.5, SHAPE, REACH)
    scene = picture(0, 2 * REACH + 1, 2 * REACH + 1)
    kernel = picture(1, SHAPE[0] + 2 * REACH, SHAPE[1] + 2 * REACH)
    seen = spectra.picture(spectra.through([(scene, spectra.of_kernel(kernel))]))
    assert seen == pytest.approx(fftconvolve(kernel, scene, mode="valid"), abs=1e-3)


@pytest.mark.parametrize("shape", [SHAPE, (61, 47)])
@pytest.mark.parametrize("cutoff", [0.2, 0.3, 0.45, 0.5, 0.9])
def test_a_mosaic_is_what_each_pixel_sees_of_whole_pictures(cutoff, shape):
    spectra = Spectra.below(cutoff, shape, REACH)
    scenes = [picture(seed, 2 * REACH + 1, 2 * REACH + 1) for seed in range(3)]
    transfers = [spectra.of_kernel(picture(9 + seed, *(side + 2 * REACH for side in shape))) for seed in range(3)]
    seen = [spectra.through([pair], number) for number, pair in enumerate(zip(scenes, transfers, strict=True))]
    assert not np.allclose(seen[0], seen[1]), "each has an array of its own"
    shares = np.random.default_rng(20).uniform(size=(2, 2, 3)).astype(np.float32)
    rows, columns = np.indices(shape)
    wanted = np.einsum("chw,hwc->hw", [spectra.picture(one) for one in seen], shares[rows % 2, columns % 2])
    assert spectra.mosaic(seen, shares) == pytest.approx(wanted, abs=1e-5 * float(np.abs(wanted).max()))


def test_means_over_squares_without_their_pixels():
    """Of a point's picture below the larger pixels' Nyquist limit, wherever the point lies between the pixels."""
    spectra = Spectra.below(0.5, (96, 80), 8)
    halved = spectra.halved()
    kernel = gaussian_filter(picture(2, 112, 96), 3.0)
    transfer = spectra.of_kernel(kernel)
    errors, largest = [], 0.0
    for at in np.random.default_rng(3).uniform(-3.0, 3.0, (40, 2)):
        whole = spectra.picture(spectra.through([(shared_out(at, 8), transfer)]))
        binned = halved.picture(halved.through([(shared_out(at / 2, 4), halved.averaged(transfer))]))
        errors.append(binned - mean_of_squares(whole, 2))
        largest = max(largest, np.abs(whole).max())
    assert np.abs(np.mean(errors, axis=0)).max() < 0.01 * largest


def shared_out(at, reach):
    """Light of a point between the four nearest pixels."""
    scene = np.zeros((2 * reach + 1, 2 * reach + 1), np.float32)
    (row, column), (down, right) = np.floor(at).astype(int), at - np.floor(at)
    square = np.outer([1 - down, down], [1 - right, right])
    scene[row + reach : row + reach + 2, column + reach : column + reach + 2] = square
    return scene


def test_moving_by_whole_pixels():
    spectra = Spectra.below(0.9, SHAPE, REACH)
    seen = picture(3, *SHAPE)
    moved = spectra.picture(spectra.shifted(spectra.of(seen), (3.0, -2.0)))
    assert moved[3:, :-2] == pytest.approx(seen[:-3, 2:], abs=1e-4)
