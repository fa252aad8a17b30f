"""Features of a tile against what scipy's correlation says of the same kernels."""

import numpy as np
import pytest
import torch
from scipy.ndimage import correlate

from labonn.compensation.twin_basis import ALL_PARTS, TAPS, Basis

SHAPES = [(20, 20), (28, 28), (12, 30)]


def light(shape, count=3, colours=1):
    return torch.rand(count, colours, *shape, generator=torch.Generator().manual_seed(0))


def weights_of(basis, tiles=2):
    return torch.randn(basis.features, tiles, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("part", ["core", *ALL_PARTS])
def test_the_rows_say_what_is_predicted(part, shape):
    basis = Basis((part,), shape, others=2)
    pictures, weights = light(shape, colours=3), weights_of(basis)
    by_rows = torch.stack([(weights.T @ row).reshape(2, *shape) for row in basis.rows(pictures)])
    torch.testing.assert_close(basis.predict(pictures, weights), by_rows, atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_rows_of_some_pixels_are_those_of_all_at_these(shape):
    basis = Basis(("core", "tilt", "bowl", *ALL_PARTS), shape, others=2)
    pictures = light(shape, colours=3)
    places = [torch.randperm(shape[0] * shape[1])[: 20 + n] for n in range(len(pictures))]
    places[0] = torch.tensor([0, shape[1] - 1, shape[0] * shape[1] - 1])  # corners, where it is dark beyond
    for every, some, at in zip(basis.rows(pictures), basis.rows(pictures, places), places, strict=True):
        assert torch.equal(every[:, at], some)


@pytest.mark.parametrize("part", ["core", "kernel"])
def test_a_kernel_is_a_correlation_in_the_dark(part):
    basis = Basis((part,), (28, 28))
    pictures, weights = light((28, 28)), weights_of(basis)
    expected = correlate(pictures[1, 0].double(), basis.kernels(weights, part)[1, 0].double(), mode="constant")
    np.testing.assert_allclose(basis.predict(pictures, weights)[1, 1], expected, atol=1e-4)


def test_far_light_comes_in_coarse_cells_from_beyond_the_kernel():
    """The light of a point, seen in every feature: squares of 4 x 4 equal taps that together leave the kernel out."""
    basis, side = Basis(("far",), (28, 28)), 4
    reach = np.zeros((55, 55))
    for down, right in [(0, 0), (0, 27), (27, 0), (27, 27)]:  # from each corner a quarter of all distances is seen
        point = torch.zeros(1, 1, 28, 28)
        point[0, 0, down, right] = side**2
        features = next(iter(basis.rows(point))).reshape(-1, 28, 28)
        assert set(features.unique().tolist()) == {0.0, 1.0}
        assert (features.sum(dim=(1, 2)) <= side**2).all()
        quarter = features.sum(dim=0).numpy()
        assert quarter.max() == 1  # no distance belongs to two cells
        reach[27 - down : 55 - down, 27 - right : 55 - right] = quarter
    near = TAPS["kernel"] // 2
    middle = reach[27 - near + 1 : 27 + near + 1, 27 - near + 1 : 27 + near + 1]
    assert not middle.any()
    assert reach.sum() == 55**2 - middle.size


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
