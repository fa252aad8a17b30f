"""Twins' maps of large pictures by transforms, against the sum of what they say kernel by kernel."""

import pytest
import torch
from torch.nn import functional

from labonn.compensation.twin_basis import ALL_PARTS, Basis
from labonn.compensation.twin_spectral import IMAGES, SpectralPredictor

SHAPES = [(40, 36), (33, 47)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("parts", [("kernel", "offset"), tuple(part for part in ALL_PARTS if part != "far")])
def test_transforms_read_what_kernels_read_in_sum_over_the_colours(parts, shape):
    generator = torch.Generator().manual_seed(0)
    # a colour's twin may have chosen fewer parts than the others
    bases = [Basis(parts, shape, others=2), Basis(("kernel", "offset"), shape, others=2)]
    weights = [torch.randn(basis.features, 3, generator=generator) for basis in bases]
    lights = [torch.rand(IMAGES + 3, 3, *shape, generator=generator) for _ in bases]
    found = SpectralPredictor(list(zip(bases, weights, strict=True)))(lights)
    wanted = sum(basis.predict(*one) for basis, *one in zip(bases, lights, weights, strict=True))
    torch.testing.assert_close(found, wanted, atol=1e-5 * float(wanted.abs().max()), rtol=0)


@pytest.mark.parametrize("shape", [(64, 96), (63, 81)])
def test_far_light_of_photographs_is_read_between_places(shape):
    generator = torch.Generator().manual_seed(0)
    bases = [Basis(("kernel", "far"), shape, others=2), Basis(("kernel",), shape, others=2)]
    weights = [torch.randn(basis.features, 3, generator=generator) for basis in bases]
    coarse = torch.rand(5, 3, 6, 6, generator=generator)
    lights = [functional.interpolate(coarse, size=shape, mode="bilinear") for _ in bases]
    found = SpectralPredictor(list(zip(bases, weights, strict=True)))(lights)
    wanted = sum(basis.predict(*one) for basis, *one in zip(bases, lights, weights, strict=True))
    far = bases[0].predict(lights[0], bases[0].without(weights[0], "kernel"))
    assert float((found - wanted).square().mean().sqrt()) < 0.02 * float(far.std())
