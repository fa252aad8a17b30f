"""Features of a tile against what scipy's correlation says of the same kernels."""

import numpy as np
import pytest
import torch
from scipy.ndimage import correlate

from labonn.compensation.twin_basis import ALL_PARTS, CELLS, TAPS, Basis

SHAPES = [(20, 20), (28, 28), (12, 30)]


def light(shape, count=3):
    return torch.rand(count, 1, *shape, generator=torch.Generator().manual_seed(0))


def weights_of(basis, tiles=2):
    return torch.randn(basis.features, tiles, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("part", ["core", *ALL_PARTS])
def test_the_rows_say_what_is_predicted(part, shape):
    basis = Basis((part,), shape)
    pictures, weights = light(shape), weights_of(basis)
    by_rows = torch.stack([(weights.T @ row).reshape(2, *shape) for row in basis.rows(pictures)])
    torch.testing.assert_close(basis.predict(pictures, weights), by_rows, atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize("part", ["core", "kernel"])
def test_a_kernel_is_a_correlation_in_the_dark(part):
    basis = Basis((part,), (28, 28))
    pictures, weights = light((28, 28)), weights_of(basis)
    expected = correlate(pictures[1, 0].double(), basis.kernels(weights, part)[1, 0].double(), mode="constant")
    np.testing.assert_allclose(basis.predict(pictures, weights)[1, 1], expected, atol=1e-4)


def test_far_light_comes_in_coarse_cells_from_beyond_the_kernel():
    """Each weight is a square of equal taps, somewhere in a kernel as wide as two pictures."""
    basis, side = Basis(("far",), (28, 28)), 4
    pictures = light((28, 28), 1)
    found = np.zeros((63, 63))
    for feature, row in enumerate(basis.rows(pictures)):
        assert feature == 0
        for values in row:
            impulse = values.reshape(28, 28).double().numpy()
            matches = []
            for a in range(-28, 28, side):
                for b in range(-28, 28, side):
                    kernel = np.zeros((63, 63))
                    kernel[31 + a : 31 + a + side, 31 + b : 31 + b + side] = 1 / side**2
                    if np.allclose(_correlated(pictures[0, 0].double().numpy(), kernel), impulse, atol=1e-5):
                        matches.append(kernel)
            assert matches, "no cell of distances makes this feature"
            found += np.sign(matches[0])
    near = slice(31 - TAPS["kernel"] // 2, 31 + TAPS["kernel"] // 2)
    assert found[near, near].max() == 0
    assert found.sum() == (CELLS**2 - 16) * side**2  # each of the others once


def _correlated(picture, kernel):
    spectrum = np.fft.rfft2(picture, (96, 96)) * np.fft.rfft2(kernel[::-1, ::-1], (96, 96))
    return np.fft.irfft2(spectrum, (96, 96))[31 : 31 + 28, 31 : 31 + 28]


def test_what_is_taken_out_is_gone_and_the_rest_stays():
    basis = Basis(ALL_PARTS, (20, 20))
    pictures, weights = light((20, 20)), weights_of(basis)
    alone = Basis(("field",), (20, 20))
    without = basis.predict(pictures, basis.without(weights, "field"))
    part = alone.predict(pictures, weights[basis.places["field"]])
    torch.testing.assert_close(without + part, basis.predict(pictures, weights), atol=1e-4, rtol=1e-4)


def test_the_field_changes_sign_across_the_picture():
    u, v = Basis(("field",), (20, 30)).powers("field")
    assert u[0, 3] == -1
    assert u[-1, 3] == 1
    assert v[5, 0] == -1
    assert v[5, -1] == 1
