import numpy as np
import pytest

from sim.draws import draw
from sim.optics import Optics
from sim.psf import Psfs, compute_psfs, cutoff_per_um, sampler, spectrum, window
from sim.pupil import make_pupils
from tests.unit.sim.phase_solver import solve_phase
from tests.unit.sim.worlds import one_lens, small_world

TAP_UM = 26.0


def test_the_window_stays_within_one_period_of_diffraction():
    assert window(one_lens()) == 768
    world = small_world()
    assert window(world) * 4.0 < 0.532 * 6.25e3 / 4.0


def test_the_line_has_the_stated_width():
    world = one_lens({"effects.bandwidth.on": True, "effects.bandwidth.fwhm_nm": 2.0})
    nm, weight = np.array(spectrum(world)).T
    assert weight.sum() == pytest.approx(1)
    assert (weight * nm).sum() == pytest.approx(532)
    assert np.sqrt((weight * (nm - 532) ** 2).sum()) == pytest.approx(2.0 / 2.3548, rel=1e-4)


def test_pixels_collect_all_the_light_of_a_psf():
    world = small_world(off="all")
    psfs = compute_psfs(make_pupils(world, draw(0, 4)), np.zeros(world.slm.shape, np.uint8))
    positions_um = (np.arange(201) - 100) * 3.45
    matrix = sampler(psfs, positions_um, 3.45)
    for power in psfs.power:
        assert (matrix @ power @ matrix.T).sum() == pytest.approx(power.sum(), rel=0.01)


def test_sampling_a_gaussian_blurs_and_integrates_it():
    """A Gaussian of 10 um, blurred by 8 um and integrated over 3.45 um pixels, 0.7 um off the grid: closed form."""
    from scipy.special import erf

    x_um = (np.arange(256) - 127.5) * 4.0
    line = np.exp(-(x_um**2) / 2 / 10.0**2)
    line /= line.sum()
    psfs = Psfs(np.outer(line, line)[None].astype(np.float32), 4.0)
    positions_um = np.arange(-20, 21) * 3.45 + 0.7
    matrix = sampler(psfs, positions_um, 3.45, 8.0)
    width = np.hypot(10.0, 8.0) * np.sqrt(2)
    expected = (erf((positions_um + 1.725) / width) - erf((positions_um - 1.725) / width)) / 2
    seen = matrix @ psfs.power[0] @ matrix.T
    assert seen == pytest.approx(np.outer(expected, expected), abs=2e-4 * expected.max() ** 2)


def test_a_psf_has_no_detail_beyond_the_cutoff():
    world = small_world(off="all")
    levels = np.random.default_rng(0).integers(0, 256, world.slm.shape).astype(np.uint8)
    psfs = compute_psfs(make_pupils(world, draw(0, 4)), levels)
    power = psfs.power[0] * np.hanning(psfs.power.shape[-1])[:, None] * np.hanning(psfs.power.shape[-1])
    frequency = np.abs(np.fft.fftfreq(len(power), psfs.spacing_um))
    content = np.abs(np.fft.fft2(power))
    assert content[frequency > 1.1 * cutoff_per_um(world)].max() < 1e-3 * content.max()


@pytest.fixture(scope="module")
def designed():
    """Two lopsided kernels as PSFs, and levels that the textbook says realise them: (kernels, levels)."""
    chance = np.random.default_rng(4)
    kernels = chance.random((2, 7, 7)) ** 2
    kernels[0, :4, :5] = 0
    levels = np.stack([np.round(np.mod(solve_phase(k), 2 * np.pi) / (2 * np.pi) * 255) for k in kernels])
    return kernels, levels.astype(np.uint8)


def tap_error(optics, levels, kernel):
    taps = optics.psf(levels, 0, TAP_UM, 7).astype(float)
    scale, offset = np.polyfit(kernel.ravel(), taps.ravel(), 1)
    return np.linalg.norm((taps - offset) / scale - kernel) / np.linalg.norm(kernel)


def test_an_ideal_world_realises_what_the_textbook_designs(designed):
    optics = Optics(one_lens(), 0)
    for kernel, levels in zip(*designed, strict=True):
        assert tap_error(optics, levels, kernel) < 0.08


def test_the_shipped_world_realises_something_else(designed):
    optics = Optics(one_lens(off=()), 0)
    errors = [tap_error(optics, levels, kernel) for kernel, levels in zip(*designed, strict=True)]
    assert min(errors) > 0.15


def test_a_psf_is_computed_once_for_a_pattern(monkeypatch):
    world = small_world()
    optics, computed = Optics(world, 0), []
    monkeypatch.setattr("sim.optics.compute_psfs", lambda *given: computed.append(1) or compute_psfs(*given))
    first, second = np.zeros(world.slm.shape, np.uint8), np.ones(world.slm.shape, np.uint8)
    for levels in (first, second, first.copy(), second):
        optics.transfer(levels)
    assert len(computed) == 2
    optics.follow(world.model_copy(update={"seed": 5}), 0)
    optics.transfer(first)
    assert len(computed) == 2, "a change that does not concern the light"
    optics.follow(world, 1)
    optics.transfer(first)
    assert len(computed) == 3
