"""Twins' maps of large pictures by transforms, against the sum of what they say kernel by kernel."""

import pytest
import torch

from labonn.compensation.twin_basis import ALL_PARTS, Basis
from labonn.compensation.twin_spectral import IMAGES, SpectralPredictor

SHAPES = [(40, 36), (33, 47)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("parts", [("kernel", "offset"), ALL_PARTS, tuple(part for part in ALL_PARTS if part != "far")])
def test_transforms_read_what_kernels_read_in_sum_over_the_colours(parts, shape):
    generator = torch.Generator().manual_seed(0)
    # a colour's twin may have chosen fewer parts than the others
    bases = [Basis(parts, shape, others=2), Basis(("kernel", "offset"), shape, others=2)]
    weights = [torch.randn(basis.features, 3, generator=generator) for basis in bases]
    lights = [torch.rand(IMAGES + 3, 3, *shape, generator=generator) for _ in bases]
    found = SpectralPredictor(list(zip(bases, weights, strict=True)))(lights)
    wanted = sum(basis.predict(*one) for basis, *one in zip(bases, lights, weights, strict=True))
    torch.testing.assert_close(found, wanted, atol=1e-5 * float(wanted.abs().max()), rtol=0)
