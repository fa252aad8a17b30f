"""Optics with one known departure each: its size is found, and the cost lands on it."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter, shift
from torch import nn

from labonn.compensation import FocusSeries, attribute, departures, dissect, fit_twin
from labonn.compensation.attribution import FAULTS, Restoring
from labonn.compensation.lines import Lines
from labonn.optics import signed_maps

TILES, SIDE, WIDE = 4, 20, 15


def generator(seed):
    return torch.Generator().manual_seed(seed)


def pictures(count, seed=0):
    return torch.rand(count, 1, SIDE, SIDE, generator=generator(seed)) * (
        torch.rand(count, 1, SIDE, SIDE, generator=generator(seed + 1)) > 0.7
    )


def designed():
    smooth = gaussian_filter(torch.rand(TILES, 7, 7, generator=generator(10)).numpy(), (0, 0.7, 0.7))
    return torch.from_numpy(smooth / 4)


def wide(kernels):
    return np.pad(kernels.numpy(), ((0, 0), (4, 4), (4, 4))).astype(np.float64)


def tiles_of(images, kernels, gamma=1.0):
    weights = torch.as_tensor(np.asarray(kernels), dtype=torch.float32)[:, None]
    return nn.functional.conv2d(images**gamma, weights, padding=weights.shape[-1] // 2)


def twin_of(tiles_for, noise=0.005):
    images = pictures(10)
    tiles = tiles_for(images)
    noisy = tiles + noise * torch.randn(tiles.shape, generator=generator(3))
    return fit_twin(images, noisy, designed(), parts=("kernel", "offset"))


def moved(kernels, down, right):
    """A picture that moves down has a kernel that is correlated from further up."""
    return np.stack([shift(kernel, (-down, -right), order=5) for kernel in kernels])


@pytest.fixture(scope="module")
def shifted():
    return twin_of(lambda images: tiles_of(images, moved(wide(designed()), 0.7, -0.4)))


def test_a_shift_is_found_in_taps(shifted):
    found = dissect(shifted, designed(), pictures(8)).departures
    np.testing.assert_allclose(found.shift_taps, np.tile([0.7, -0.4], (TILES, 1)), atol=0.05)
    assert found.width_taps.max() < 0.45
    assert found.kernel_error.max() < 0.1
    np.testing.assert_allclose(found.gain, 1.0, atol=0.05)


def test_a_blur_is_found_in_taps():
    blurred = np.stack([gaussian_filter(kernel, 1.0) for kernel in wide(designed())])
    twin = twin_of(lambda images: tiles_of(images, blurred))
    found = dissect(twin, designed(), pictures(8)).departures
    np.testing.assert_allclose(found.width_taps, 1.0, atol=0.1)
    assert found.shift_taps.abs().max() < 0.05
    assert found.kernel_error.max() < 0.1


def test_a_defocus_is_told_from_an_error_where_its_kernels_are_known():
    other = torch.rand(TILES, 7, 7, generator=generator(77)) / 4
    series = FocusSeries(torch.tensor([-1.0, 0.0, 1.0]), torch.stack([other, designed(), designed().flip(1)]))
    between = 0.4 * other + 0.6 * designed()
    twin = twin_of(lambda images: tiles_of(images, between))
    found = dissect(twin, designed(), pictures(8), series).departures
    np.testing.assert_allclose(found.defocus_waves, -0.4, atol=0.05)
    assert found.kernel_error.max() < 0.6 * dissect(twin, designed(), pictures(8)).departures.kernel_error.min()


def test_gains_and_backgrounds_are_what_a_line_through_the_tiles_says():
    gain, offset = torch.tensor([0.5, 1.0, 1.5, 1.0]), torch.tensor([0.3, -0.2, 0.0, 0.1])
    twin = twin_of(lambda images: tiles_of(images, wide(designed())) * gain[:, None, None] + offset[:, None, None])
    line = Lines(designed(), pictures(8)).of(twin)
    np.testing.assert_allclose(line[0], gain, atol=0.02)
    np.testing.assert_allclose(line[1], offset, atol=0.03)
    found = dissect(twin, designed(), pictures(8)).departures
    assert found.level == pytest.approx(1.0, abs=0.02)
    np.testing.assert_allclose(found.gain, gain, atol=0.03)
    np.testing.assert_allclose(found.background, offset.abs(), atol=0.03)


def test_a_twin_with_nothing_restored_is_the_twin_and_with_all_the_design(shifted):
    images, unseen = pictures(8), pictures(5, seed=60)
    anatomy = dissect(shifted, designed(), images)
    restoring = Restoring(shifted, anatomy, designed(), images)
    as_it_is = restoring.without(())
    torch.testing.assert_close(as_it_is.tiles(unseen), shifted.tiles(unseen), atol=2e-3, rtol=1e-3)
    ideal = restoring.without(FAULTS)
    torch.testing.assert_close(ideal.tiles(unseen), tiles_of(unseen, designed()), atol=2e-3, rtol=1e-3)


class Nearest(nn.Module):
    """Reads a map as the picture whose designed map is closest."""

    def __init__(self, pictures_known):
        super().__init__()
        self.maps = signed_maps(tiles_of(pictures_known, designed()))

    def forward(self, maps):
        return -torch.cdist(maps.flatten(1), self.maps.flatten(1))


def alike(count=60):
    """Pictures that differ little from each other: whoever reads their maps must have them right."""
    base = pictures(1, seed=5)
    return base + 0.35 * pictures(count, seed=7) * (base > 0)


WORLDS = {
    "misalignment": lambda images: tiles_of(images, moved(wide(designed()), 0.9, -0.8)),
    "defocus": lambda images: tiles_of(images, np.stack([gaussian_filter(k, 1.6) for k in wide(designed())])),
    "kernel error": lambda images: tiles_of(
        images, designed() * (0.1 + 1.8 * (torch.rand(TILES, 7, 7, generator=generator(4)) > 0.5))
    ),
    "nonlinearity": lambda images: tiles_of(images, designed(), gamma=2.5),
}


@pytest.mark.parametrize("fault", WORLDS)
def test_the_cost_lands_on_what_is_wrong(fault):
    twin, known = twin_of(WORLDS[fault]), alike()
    found = attribute(twin, designed(), Nearest(known), known, torch.arange(len(known)))
    costs = {cost.fault: cost.points for cost in found.costs}
    assert found.as_it_is < found.as_designed - 5
    assert found.culprit is not None
    assert found.culprit.fault == fault, costs
    assert [cost.points for cost in found.costs] == sorted(costs.values(), reverse=True)


def test_nobody_is_blamed_where_nothing_is_wrong():
    twin, known = twin_of(lambda images: tiles_of(images, designed())), alike()
    assert attribute(twin, designed(), Nearest(known), known, torch.arange(len(known))).culprit is None


def test_a_focus_series_has_the_units_of_the_design():
    """Kernels of any unit become those that gather the design's light, in focus and on its taps."""
    shares = torch.rand(3, TILES, 11, 11, generator=generator(5)) / 100
    series = FocusSeries.of((-0.2, 0.0, 0.2), shares, designed())
    inner = series.kernels[1][:, 2:9, 2:9]
    torch.testing.assert_close(inner.sum(dim=(1, 2)), designed().sum(dim=(1, 2)))
    torch.testing.assert_close(series.kernels[2] / series.kernels[1], shares[2] / shares[1])


@pytest.mark.parametrize("defocus_waves", [-0.3, 0.4])
def test_a_kernel_changes_with_its_place_its_width_and_its_focus_as_it_is_said_to(defocus_waves):
    generator = torch.Generator().manual_seed(5)
    series = FocusSeries(torch.tensor([-1.0, 0.0, 1.2]), torch.rand(3, 1, 7, 7, generator=generator))
    spectra, step = departures._spectra(series, 0), 1e-6

    def kernel(at: np.ndarray) -> np.ndarray:
        return departures._shape(spectra, series, at[:3], at[3])

    where = np.array([0.3, -0.4, 0.5, defocus_waves])
    changes = departures._shape_changes(spectra, series, where[:3], where[3])
    for change, way in zip(changes, step * np.eye(4), strict=True):
        np.testing.assert_allclose((kernel(where + way) - kernel(where - way)) / (2 * step), change, atol=1e-7)
