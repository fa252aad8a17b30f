"""The phase search against numpy's Fourier transform of the whole focal plane."""

import numpy as np
import pytest
import torch

from labonn.design import Optic, lay_out
from labonn.errors import ConfigError
from labonn.optics import Pupil, kernels_of_pattern, solve_phase_pattern

# A sub-aperture of 100 pixels, 800 um: its diffraction limit at 500 nm and 32 mm is 20 um, half a tap.
LAYOUT = lay_out(Optic(aperture_mm=(0.9, 1.8), kernel_mm=0.8, spacing_mm=0.08, taps=5, kernels=1))
PUPIL = Pupil(wavelength_nm=500.0, slm_pitch_um=8.0, focal_mm=32.0, tap_um=40.0)
SLM = (110, 240)
SIDE = 100
CORNERS = [(5, 15), (5, 125)]  # 110 pixels from centre to centre, about the middle of the SLM
KERNELS = torch.rand(2, 5, 5, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def solution():
    return solve_phase_pattern(KERNELS, LAYOUT, PUPIL, SLM, steps=60)


def psf_taps(square_rad, taps=5, padded=800, samples_per_tap=16):
    """Part of the light on each tap: |F exp(i phase)|^2, samples of lambda f / (800 * 8 um) = 2.5 um, 16 a tap."""
    centred = np.arange(SIDE) - (SIDE - 1) / 2
    half_a_sample = np.exp(-1j * np.pi * centred / padded)  # tap edges fall between samples
    field = np.exp(1j * square_rad) * half_a_sample[:, None] * half_a_sample
    light = np.fft.fftshift(np.abs(np.fft.fft2(field, (padded, padded))) ** 2)
    low, high = (padded // 2 + sign * taps * samples_per_tap // 2 for sign in (-1, 1))
    cells = light[low:high, low:high].reshape(taps, samples_per_tap, taps, samples_per_tap)
    return cells.sum(axis=(1, 3)) / (padded * SIDE) ** 2  # Parseval: all light of the sub-aperture is one


def squares(solution):
    return [solution.pattern_rad[y : y + SIDE, x : x + SIDE].double().numpy() for y, x in CORNERS]


def test_the_psfs_are_the_kernels_turned_by_180_degrees(solution):
    for square, kernel in zip(squares(solution), KERNELS.numpy(), strict=True):
        taps = psf_taps(square)
        assert np.corrcoef(taps.ravel(), kernel[::-1, ::-1].ravel())[0, 1] > 0.99
        assert np.corrcoef(taps.ravel(), kernel.ravel())[0, 1] < 0.5


def test_what_it_says_of_itself_is_so(solution):
    for tile, square in enumerate(squares(solution)):
        taps = psf_taps(square)
        target = KERNELS[tile].flip(0, 1).numpy() / KERNELS[tile].sum().item()
        assert solution.efficiency[tile].item() == pytest.approx(taps.sum(), rel=0.02)
        np.testing.assert_allclose(solution.target[tile], target, rtol=1e-5)
        np.testing.assert_allclose(solution.realised[tile], taps / taps.sum(), atol=0.005)  # a tap has 0.04 in the mean
        scale = (taps * target).sum() / (target**2).sum()
        error = np.linalg.norm(taps - scale * target) / np.linalg.norm(scale * target)
        assert solution.relative_error[tile].item() == pytest.approx(error, abs=0.03)
        assert solution.correlation[tile].item() == pytest.approx(
            np.corrcoef(taps.ravel(), target.ravel())[0, 1], abs=5e-3
        )


def test_most_light_is_kept(solution):
    assert min(psf_taps(square).sum() for square in squares(solution)) > 0.5


def test_the_pattern_is_a_phase_and_flat_where_no_sub_aperture_is(solution):
    pattern = solution.pattern_rad.numpy()
    assert (pattern.shape, pattern.dtype) == (SLM, np.float32)
    assert pattern.min() >= 0
    assert pattern.max() <= np.float32(2 * np.pi)
    inside = np.zeros(SLM, bool)
    for top, left in CORNERS:
        inside[top : top + SIDE, left : left + SIDE] = True
    assert not pattern[~inside].any()
    assert pattern[inside].std() > 1


def test_the_same_seed_gives_the_same_pattern():
    first, same, other = (
        solve_phase_pattern(KERNELS, LAYOUT, PUPIL, SLM, steps=3, seed=seed).pattern_rad for seed in (1, 1, 2)
    )
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


def test_each_step_is_told():
    told = []
    solve_phase_pattern(KERNELS, LAYOUT, PUPIL, SLM, steps=4, on_step=lambda: told.append(1))
    assert len(told) == 4


@pytest.mark.parametrize("slm", [(98, 240), (110, 208)], ids=["too low", "too narrow"])
def test_an_slm_that_is_too_small_is_refused(slm):
    with pytest.raises(ConfigError, match=rf"sub-aperture 0 .* {slm[0]} x {slm[1]} pixels of 8\.0 um"):
        solve_phase_pattern(KERNELS, LAYOUT, PUPIL, slm, steps=1)


@pytest.mark.parametrize(("kernel_mm", "pixels"), [(2.048, 256), (0.8, 100), (0.008, 1)])
def test_a_sub_aperture_is_whole_pixels(kernel_mm, pixels):
    assert PUPIL.pixels(kernel_mm) == pixels


def test_a_part_of_a_pixel_is_refused():
    with pytest.raises(ConfigError, match=r"kernel_mm = 2\.05 is 256\.25 pixels of an SLM with 8\.0 um"):
        PUPIL.pixels(2.05)


@pytest.mark.parametrize("defocus_waves", [0.0, 0.2])
def test_a_pattern_out_of_focus_is_its_phase_and_a_bowl(solution, defocus_waves):
    """Against the whole transform; the bowl has its root mean square over the square."""
    kernels = kernels_of_pattern(solution.pattern_rad, LAYOUT, PUPIL, 9, defocus_waves=defocus_waves)
    u = np.linspace(-1, 1, SIDE)
    bowl = u[:, None] ** 2 + u[None, :] ** 2
    bowl = (bowl - bowl.mean()) / bowl.std()
    for kernel, square in zip(kernels, squares(solution), strict=True):
        expected = psf_taps(square + 2 * np.pi * defocus_waves * bowl, taps=9)
        np.testing.assert_allclose(kernel.flip(0, 1), expected, atol=2e-3)
