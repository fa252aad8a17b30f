"""The world's propagation against torchoptics' own, and against what is known in closed form."""

import numpy as np
import pytest
import torch
from torchoptics import Field
from torchoptics.profiles import lens_phase

from sim.propagation import Focus

SAMPLES, WINDOW, SPACING_UM, FOCAL_MM, WAVELENGTH_NM = 128, 192, 4.0, 12.5, 532.0
SIDE_UM = SAMPLES * SPACING_UM
X_UM = (np.arange(WINDOW) - (WINDOW - 1) / 2) * SPACING_UM
PERIOD_UM = WAVELENGTH_NM / 1e3 * FOCAL_MM * 1e3 / SIDE_UM  # distance of the zeros of a square aperture's focus


@pytest.fixture(scope="module")
def lens():
    return Focus(SAMPLES, WINDOW, SPACING_UM, FOCAL_MM, WAVELENGTH_NM)


def random_field():
    chance = np.random.default_rng(3)
    phase = chance.uniform(0, 2 * np.pi, (SAMPLES // 2, SAMPLES // 2)).repeat(2, 0).repeat(2, 1)
    return np.exp(1j * phase).astype(np.complex64)


def flat_field():
    return np.ones((SAMPLES, SAMPLES), np.complex64)


@pytest.mark.parametrize("method", ["DIM", "ASM"])
def test_it_is_what_torchoptics_propagates(lens, method):
    field = random_field()
    spacing_m, wavelength_m, focal_m = SPACING_UM * 1e-6, WAVELENGTH_NM * 1e-9, FOCAL_MM * 1e-3
    phase = lens_phase((SAMPLES, SAMPLES), focal_m, wavelength_m, spacing_m)
    data = torch.from_numpy(field.astype(np.complex128)) * torch.exp(1j * phase)
    wide = {"asm_pad": (4 * SAMPLES, 4 * SAMPLES)} if method == "ASM" else {}
    there = Field(data, wavelength_m, 0.0, spacing_m).propagate(
        (WINDOW, WINDOW), focal_m, spacing_m, propagation_method=method, **wide
    )
    expected = there.intensity().numpy() / SAMPLES**2
    tolerance = {"DIM": 1e-5, "ASM": 2e-2}[method]  # ASM's light comes round the edges of its padding
    assert np.abs(lens.psf(field) - expected).max() <= tolerance * expected.max()


def test_a_flat_square_focuses_to_a_sinc_squared(lens):
    profile = np.sinc(X_UM / PERIOD_UM) ** 2
    expected = np.outer(profile, profile) * (SPACING_UM / PERIOD_UM) ** 2
    assert np.abs(lens.psf(flat_field()) - expected).max() <= 0.01 * expected.max()


def test_a_ramp_of_phase_moves_the_focus(lens):
    steps = 5
    u_um = (np.arange(SAMPLES) - (SAMPLES - 1) / 2) * SPACING_UM
    down, right = steps * SPACING_UM, -2 * steps * SPACING_UM
    ramp = 2 * np.pi / (WAVELENGTH_NM / 1e3 * FOCAL_MM * 1e3) * (down * u_um[:, None] + right * u_um[None, :])
    moved = lens.psf(np.exp(1j * ramp).astype(np.complex64))
    still = lens.psf(flat_field())
    assert np.abs(moved - np.roll(still, (steps, -2 * steps), axis=(0, 1))).max() <= 0.02 * still.max()


def test_light_is_neither_made_nor_lost():
    """One period of what 4 um samples diffract to is 1.66 mm at 12.5 mm: nearly all of it is in the window."""
    wide = Focus(SAMPLES, 400, SPACING_UM, FOCAL_MM, WAVELENGTH_NM)
    assert wide.psf(flat_field()).sum() == pytest.approx(1.0, abs=0.01)
    assert 0.93 <= wide.psf(random_field()).sum() <= 1.01


def test_half_the_amplitude_is_a_quarter_of_the_light(lens):
    assert lens.psf(flat_field() / 2).sum() == pytest.approx(lens.psf(flat_field()).sum() / 4, rel=1e-5)
