"""The maps that the page expects are those of the student."""

import numpy as np
import pytest
import torch

from labonn.design import load_design
from labonn.optics import Frontend, signed_maps
from labonn.records import save_model
from labonn.web.seen_maps import expected_tiles, kernels_of, signed


@pytest.mark.parametrize("pairs", ["balanced", "free"])
def test_kernels_and_maps_are_those_of_the_students_frontend(tmp_path, pairs):
    design = load_design("digits-mono")
    optic = design.optic.model_copy(update={"pairs": pairs})
    frontend = Frontend(optic, design.sensor, generator=torch.Generator().manual_seed(1)).eval()
    described = design.model_copy(update={"optic": optic}).model_dump(mode="json", by_alias=True)
    weights = {"student": {f"frontend.{name}": value for name, value in frontend.state_dict().items()}}
    model = save_model(tmp_path, design=design.name, weights=weights, description={"design": described})
    kernels = kernels_of(tmp_path, model)
    np.testing.assert_allclose(kernels, frontend.kernels().detach().numpy(), rtol=1e-5)
    image = torch.rand(1, 1, 28, 28, generator=torch.Generator().manual_seed(2))
    maps = signed(expected_tiles(image[0, 0].numpy(), kernels))
    with torch.no_grad():
        wanted = signed_maps(frontend.ideal_tiles(image))[0].numpy()
        assert maps.shape == wanted.shape == (8, 28, 28)
        np.testing.assert_allclose(maps, wanted, atol=1e-4)
