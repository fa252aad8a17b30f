import numpy as np
import pytest
from scipy.signal import fftconvolve

from sim.spectrum import Spectra, mean_of_squares

SHAPE, REACH = (60, 48), 7


def picture(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def test_a_kernel_convolves_a_scene():
    spectra = Spectra(SHAPE, REACH, 0.5)
    scene = picture(0, 2 * REACH + 1, 2 * REACH + 1)
    kernel = picture(1, SHAPE[0] + 2 * REACH, SHAPE[1] + 2 * REACH)
    seen = spectra.picture(spectra.through(scene, spectra.of_kernel(kernel)))
    assert seen == pytest.approx(fftconvolve(kernel, scene, mode="valid"), abs=1e-3)


@pytest.mark.parametrize("cutoff", [0.9, 0.5, 0.3, 0.26, 0.1])
@pytest.mark.parametrize("shape", [(60, 48), (61, 50)])
def test_means_over_squares_without_their_pixels(shape, cutoff):
    """Whether or not what is kept goes beyond the Nyquist limit of the larger pixels, a quarter."""
    spectra = Spectra(shape, REACH, cutoff)
    spectrum = spectra.of(picture(2, *shape))
    means = spectra.picture(spectra.binned(spectrum), step=2)
    assert means == pytest.approx(mean_of_squares(spectra.picture(spectrum), 2), abs=1e-5)


def test_moving_by_whole_pixels():
    spectra = Spectra(SHAPE, REACH, 0.9)
    seen = picture(3, *SHAPE)
    moved = spectra.picture(spectra.shifted(spectra.of(seen), (3.0, -2.0)))
    assert moved[3:, :-2] == pytest.approx(seen[:-3, 2:], abs=1e-4)
