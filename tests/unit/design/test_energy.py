"""What an image costs: the paper's table from its counts, and counts of layers against torch's own."""

import pytest
import torch
from torch import nn

from labonn.design import (
    TARGETS,
    EnergyModel,
    energy,
    layer_costs,
    least_latency_ms,
    load_design,
    operations,
    parameters,
)
from labonn.networks import make_backend

PAPER_TILE = 160 * 240  # photosites of one image of Carvana, as the model takes them
MODEL = EnergyModel()


@pytest.mark.parametrize(
    ("macs", "tiles", "backend", "capture", "total"),
    [
        (65e6, 112, "2.01 mJ", "3.82 mJ", "5.83 mJ"),  # the hybrid: 56 signed kernels
        (239e6, 1, "7.37 mJ", "2.36 mJ", "9.73 mJ"),  # the compact digital network
        (65.9e9, 1, "2033.02 mJ", "2.36 mJ", "2.04 J"),  # the U-Net; of it the paper prints the total alone
    ],
)
def test_the_paper_s_energies_follow_from_its_counts(macs, tiles, backend, capture, total):
    computed, captured = MODEL.compute_mj(int(macs)), MODEL.capture_mj(tiles * PAPER_TILE)
    assert (f"{computed:.2f} mJ", f"{captured:.2f} mJ") == (backend, capture)
    whole = computed + captured
    assert total in (f"{whole:.2f} mJ", f"{whole / 1e3:.2f} J")


def test_a_second_exposure_costs_a_frame_and_no_photosite():
    design = load_design("mnist-mono")
    once, twice = energy(design), energy(design.model_copy(update={"exposures": 2}))
    assert twice.capture_mj - once.capture_mj == pytest.approx(MODEL.frame_mj)
    assert once.photosites == twice.photosites == round(16 * 34 * 34 * 56.8)
    assert energy(load_design("cifar10-poly")).photosites == 32 * 38 * 38 * 9 * 4  # a Bayer cell has four


@pytest.mark.parametrize("name", ["mnist-mono", "cifar10-poly", "mnist-random-500", "carvana-poly", "carvana-random"])
def test_layers_are_counted_as_torch_computes_them(name):
    """By the shapes that really pass through each layer."""
    design = load_design(name)
    shape = (design.optic.maps, *design.image_shape)
    counted: list[tuple[int, int]] = []

    def count(module: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        weight = module.weight
        if isinstance(module, nn.ConvTranspose2d):  # each input pixel reaches every tap once
            macs = weight.numel() * inputs[0][0, 0].numel()
        else:
            macs = weight.numel() * (output[0, 0].numel() if output.ndim == 4 else 1)
        counted.append((macs, sum(p.numel() for p in module.parameters())))

    backend = make_backend(design.backend, shape, design.classes)
    for module in backend.modules():
        if isinstance(module, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)):
            module.register_forward_hook(count)
    with torch.no_grad():
        backend(torch.zeros(1, *shape))
    assert [(layer.macs, layer.parameters) for layer in layer_costs(design)] == counted
    assert sum(layer.macs for layer in layer_costs(design)) == operations(design).digital


def test_a_target_is_bound_by_its_arithmetic_or_by_its_memory():
    small, large = load_design("mnist-mono"), load_design("cifar10-poly")
    assert least_latency_ms(small, TARGETS["cortex-m7"]) == pytest.approx(48_240 / 1.25e8 * 1e3)
    assert least_latency_ms(large, TARGETS["jetson-orin-nano"]) == pytest.approx(parameters(large) / 6.8e10 * 1e3)
