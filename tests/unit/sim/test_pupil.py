import numpy as np
import pytest

from sim.draws import draw
from sim.pupil import centre_px, make_pupils, phase_table
from tests.unit.sim.worlds import one_lens, small_world

OPTICAL = ("phase_table", "fringing", "zero_order", "aberrations", "phase_screen", "beam", "tile_gain")


def only(effect, changes=None):
    return small_world(changes, off=tuple(name for name in OPTICAL if name != effect))


def pupils_of(world, seed=0):
    return make_pupils(world, draw(seed, world.lenslets.count))


def random_levels(world):
    return np.random.default_rng(1).integers(0, 256, world.slm.shape).astype(np.uint8)


def test_without_effects_a_level_is_its_phase_everywhere_in_its_pixel():
    world = one_lens()
    levels = random_levels(world)
    pupils = pupils_of(world)
    phase = pupils.phase_rad(levels, 0)
    assert phase == pytest.approx((2 * np.pi * levels / 255).repeat(2, 0).repeat(2, 1), abs=1e-5)
    assert pupils.field(phase, 0, 532.0) == pytest.approx(np.exp(1j * phase), abs=1e-5)


def test_each_sub_aperture_sees_its_own_square():
    world = small_world(off="all")
    levels = np.zeros(world.slm.shape, np.uint8)
    centres = [centre_px(world, tile) for tile in range(4)]
    assert centres == [(28, 28), (28, 68), (68, 28), (68, 68)]
    for tile, (row, column) in enumerate(centres):
        levels[int(row) - 16 : int(row) + 16, int(column) - 16 : int(column) + 16] = 10 * (tile + 1)
    pupils = pupils_of(world)
    for tile in range(4):
        assert pupils.phase_rad(levels, tile) == pytest.approx(2 * np.pi * 10 * (tile + 1) / 255, abs=1e-5)


def test_the_phase_table_is_scale_and_power():
    world = only("phase_table", {"effects.phase_table.scale": 1.1, "effects.phase_table.gamma": 1.3})
    table = phase_table(world)
    assert table[255] == pytest.approx(1.1 * 2 * np.pi)
    assert table[51] == pytest.approx(1.1 * 2 * np.pi * 0.2**1.3)


def test_fringing_blurs_a_step_as_an_error_function():
    """A Gaussian of half a pixel takes a step to 84 % half a pixel behind its edge."""
    world = only("fringing", {"effects.fringing.sigma_px": 0.5})
    levels = np.zeros(world.slm.shape, np.uint8)
    levels[:, 28:48] = 255
    phase = pupils_of(world).phase_rad(levels, 0)[32] / (2 * np.pi)
    edge = 2 * (28 - 12)
    behind = (phase[edge] + phase[edge + 1]) / 2  # half a pixel behind the edge, between two samples
    assert behind == pytest.approx(0.84, abs=0.03)
    assert phase[edge - 1] + phase[edge] == pytest.approx(1.0, abs=1e-3)


def test_the_gaps_reflect_without_modulation():
    world = only("zero_order", {"effects.zero_order.fill_factor": 0.9})
    pupils = pupils_of(world)
    half_wave = np.full((64, 64), np.pi, np.float32)
    assert pupils.field(half_wave, 0, 532.0) == pytest.approx(-0.9 + 0.1, abs=1e-5)


def test_another_wavelength_gets_another_phase():
    pupils = pupils_of(one_lens())
    full = np.full((512, 512), 2 * np.pi, np.float32)
    assert np.angle(pupils.field(full, 0, 633.0)) == pytest.approx(2 * np.pi * 532 / 633 - 2 * np.pi, abs=1e-4)


@pytest.mark.parametrize("term", ["defocus_waves", "astigmatism_waves", "coma_waves"])
def test_aberrations_have_the_stated_spread(term):
    none = {f"effects.aberrations.{name}": 0.0 for name in ("defocus_waves", "astigmatism_waves", "coma_waves")}
    world = only("aberrations", {**none, f"effects.aberrations.{term}": 0.1})
    wavefronts = np.concatenate([pupils_of(world, seed).wavefront_waves for seed in range(60)])
    terms = 1 if term == "defocus_waves" else 2
    assert np.sqrt(np.mean(wavefronts**2)) == pytest.approx(0.1 * np.sqrt(terms), rel=0.15)
    assert wavefronts.mean(axis=(1, 2)) == pytest.approx(0, abs=1e-6)


def test_the_phase_screen_has_the_stated_strength_in_each_sub_aperture():
    world = only("phase_screen", {"effects.phase_screen.rms_waves": 0.07, "effects.phase_screen.correlation_mm": 0.03})
    screens = pupils_of(world).wavefront_waves
    assert screens.std(axis=(1, 2)) == pytest.approx(0.07, rel=1e-3)
    assert abs(np.corrcoef(screens[0].ravel(), screens[1].ravel())[0, 1]) < 0.5


def test_the_beam_is_a_gaussian_about_its_centre():
    world = only("beam", {"effects.beam.waist_mm": 0.5, "effects.beam.offset_mm": [0.0, 0.0]})
    power = pupils_of(world).amplitude ** 2
    assert power.sum(axis=(1, 2)) == pytest.approx(power[0].sum(), rel=1e-5)  # four corners of a square
    corner_mm = (20 + 16 - 0.25) * 8e-3
    assert power[0, 0, 0] == pytest.approx(np.exp(-2 * 2 * corner_mm**2 / 0.5**2), rel=1e-3)


def test_one_effect_does_not_change_what_chance_decided_for_another():
    with_coma, without = small_world(), small_world({"effects.aberrations.coma_waves": 0.0})
    assert pupils_of(with_coma).amplitude == pytest.approx(pupils_of(without).amplitude)
    assert not np.allclose(pupils_of(with_coma).wavefront_waves, pupils_of(without).wavefront_waves)


def test_a_seed_is_a_world_and_another_is_another():
    world = small_world()
    assert np.array_equal(pupils_of(world, 5).wavefront_waves, pupils_of(world, 5).wavefront_waves)
    assert not np.allclose(pupils_of(world, 5).wavefront_waves, pupils_of(world, 6).wavefront_waves)
