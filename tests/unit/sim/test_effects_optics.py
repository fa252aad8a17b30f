"""Each effect of SLM, lenslets and mounts alone, against a closed form or against the same thing done the long way."""

import numpy as np
import pytest
from scipy.ndimage import shift
from scipy.special import fresnel

from sim.clock import VirtualClock
from sim.draws import draw
from sim.errors import SimulationError
from sim.flicker import flicker
from sim.geometry import lay
from sim.imaging import FIELD
from sim.masks import read_masks, write_masks
from sim.optics import Moment, Optics
from sim.propagation import focus
from sim.psf import compute_psfs, transmission, window
from sim.pupil import Variant, make_pupils
from sim.world import World
from sim.world_file import WorldFile
from tests.unit.sim.worlds import NOISE, SMALL, content, small_world


def alone(effect, **values):
    """A small ideal world with one effect."""
    return small_world({f"effects.{effect}.{key}": value for key, value in {"on": True, **values}.items()}, off="all")


IDEAL = small_world(off="all")
PATTERN = np.random.default_rng(0).integers(0, 256, IDEAL.slm.shape).astype(np.uint8)
BLANK = np.zeros_like(PATTERN)


def psfs(world, levels=PATTERN, variant=None, seed=0):
    return compute_psfs(make_pupils(world, draw(seed, 4)), levels, *(() if variant is None else (variant,))).power


def image(world, picture, levels=BLANK, seed=0):
    optics = Optics(world, seed)
    return optics.imager.image(optics.imager.radiance([(1.0, picture)]), optics.transfer(levels))


def point(row=48, column=48):
    picture = np.zeros(IDEAL.display.shape, np.uint8)
    picture[row, column] = 255
    return picture


def test_dead_pixels_of_the_slm_are_what_an_slm_with_these_levels_shows():
    world = alone("slm_dead_pixels", share=0.05)
    where, levels = make_pupils(world, draw(3, 4)).dead
    sent = PATTERN.copy()
    sent.flat[where] = levels
    assert where.size == round(0.05 * PATTERN.size)
    assert np.array_equal(psfs(world, seed=3), psfs(IDEAL, sent))


@pytest.mark.parametrize("span", [(0.0, 1e-9), (0.0003, 0.0011), (0.1, 0.117)])
def test_flicker_is_the_mean_over_the_exposure(span):
    """The closed form against 400 exposures of a moment each, done the long way."""
    file = alone("slm_flicker", depth=0.1, frequency_hz=120.0).effects.slm_flicker
    x = np.sin(2 * np.pi * 120.0 * np.linspace(*span, 400))
    assert flicker(file, *span) == pytest.approx((np.mean(x * (x - 1) / 2), np.mean(x * (x + 1) / 2)), abs=5e-3)


def test_a_flickering_slm_shows_the_mean_of_its_psfs():
    world = alone("slm_flicker", depth=0.1, frequency_hz=120.0)
    levels = np.tile(np.repeat(np.array([0, 100], np.uint8), 4), 12)[None].repeat(96, axis=0)
    optics = Optics(world, 0)
    span = (0.001, 0.004)
    moment = Moment(flicker=flicker(world.effects.slm_flicker, *span))
    seen = optics.imager.image(
        optics.imager.radiance([(1.0, point())]),
        optics.transfer(levels),
        change=optics.change(levels, "", 0, moment),
    )
    x = np.sin(2 * np.pi * 120.0 * np.linspace(*span, 25))
    scene = optics.imager.radiance([(1.0, point())])
    long_way = np.mean(
        [
            optics.imager.image(scene, optics._transfer(levels, "", 0, Variant(phase_scale=float(1 + 0.1 * each))))
            for each in x
        ],
        axis=0,
    )
    still = optics.imager.image(scene, optics.transfer(levels))
    assert np.abs(still - long_way).max() > 0.02 * long_way.max()
    assert np.abs(seen - long_way).max() < 0.004 * long_way.max()


def test_what_makes_a_variant_another_may_be_computed_in_the_middle_of_the_line():
    """Against all of the line's wavelengths, for a line three times as wide as any bench's."""
    world = small_world(
        {
            "effects.bandwidth.on": True,
            "effects.bandwidth.fwhm_nm": 3.0,
            "effects.field_dependence.on": True,
            "effects.field_dependence.coma_waves": 0.3,
        },
        off="all",
    )
    optics, corner = Optics(world, 0), Variant(field=(1.0, 1.0))
    whole_line = optics.imager.transfer(optics.psfs(PATTERN, "", 0, corner))
    found = optics._transfer(PATTERN, "p", 0, corner)
    plain = optics._transfer(PATTERN, "p", 0, Variant())
    assert np.linalg.norm(found - whole_line) < 0.02 * np.linalg.norm(plain - whole_line)


def test_shear_makes_the_axes_lean():
    world = alone("shear", display=0.02, grid=0.01)
    drawn = draw(5, 4)
    geometry = lay(world, drawn)
    down, right = geometry.matrix.T
    assert down @ right / np.linalg.norm(down) / np.linalg.norm(right) == pytest.approx(
        np.sin(np.arctan(0.02 * drawn.shear[0]))
    )
    centres = geometry.centres_px
    step_right, step_down = centres[1] - centres[0], centres[2] - centres[0]
    assert step_right[0] / step_right[1] == pytest.approx(0.01 * drawn.shear[1])
    assert step_down[1] == pytest.approx(0.0)


def test_a_ghost_is_a_weaker_copy_beside():
    plain = image(IDEAL, point())
    seen = image(alone("ghosts", strength=0.1, offset_px=[6.0, -9.0], blur_px=0.0), point())
    assert seen - plain == pytest.approx(0.1 * shift(plain, (6, -9), order=1), abs=float(1e-3 * plain.max()))


def test_fabrication_noise_has_the_stated_strength():
    quiet = psfs(alone("fabrication", phase_waves=0.0, kernel_noise=0.0))
    noisy = psfs(alone("fabrication", phase_waves=0.0, kernel_noise=0.05, cell_um=8.0))
    ratio = (noisy / quiet)[:, ::2, ::2]
    assert ratio.std() == pytest.approx(0.05, rel=0.05)
    waves = make_pupils(alone("fabrication", phase_waves=0.08), draw(0, 4)).wavefront_waves
    assert waves.std(axis=(1, 2)) == pytest.approx(0.08, rel=1e-3)
    assert not np.allclose(waves[0], waves[1])


def test_a_masks_depth_is_off_by_the_stated_spread(tmp_path):
    values = content({**SMALL, "effects.fabrication.on": True, "effects.fabrication.depth": 0.03}, off=())
    values["effects"]["fabrication"]["on"] = True
    del values["slm"]
    values["lenslets"].update(grid=[8, 8])
    write_masks(tmp_path / "m.npz", np.random.default_rng(0).random((64, 32, 32)), 100)
    values["optic"] = {"pitch_um": 8.0, "masks": str(tmp_path / "m.npz")}
    world = WorldFile.model_validate(values)
    made = make_pupils(world, draw(0, 64)).mask_rad / (2 * np.pi)
    told = read_masks(tmp_path / "m.npz", 64, 32)
    depth = [np.polyfit(a.ravel(), b.ravel(), 1)[0] for a, b in zip(told, made, strict=True)]
    assert np.std(depth) == pytest.approx(0.03, rel=0.3)
    assert np.mean(depth) == pytest.approx(1.0, abs=0.015)


def test_masks_that_do_not_fit_are_refused(tmp_path):
    write_masks(tmp_path / "m.npz", np.zeros((2, 8, 8)), 16)
    with pytest.raises(SimulationError, match=r"m\.npz: masks of \(2, 8, 8\)"):
        read_masks(tmp_path / "m.npz", 4, 8)
    with pytest.raises(SimulationError, match="cannot be read"):
        read_masks(tmp_path / "none.npz", 4, 8)
    with pytest.raises(SimulationError, match="255 steps"):
        write_masks(tmp_path / "m.npz", np.linspace(0, 20, 64).reshape(1, 8, 8), 16)


def test_the_weights_over_the_field_are_a_partition():
    weights = Optics(alone("field_dependence"), 0).imager._field
    assert weights.min() >= 0
    assert weights.sum(axis=0) == pytest.approx(1.0, abs=1e-6)
    middle = weights.shape[1] // 2
    assert weights[0, middle, middle] == 1.0
    reach = Optics(alone("field_dependence"), 0).imager._reach
    edge = int(0.99 * 48 * 1.625 / 3.45)
    for number, corner in enumerate(FIELD[1:], start=1):
        row, column = (reach + int(sign * edge) for sign in corner)
        assert weights[number, row, column] > 0.9


def test_off_axis_the_peak_falls_as_marechal_says():
    world = alone("field_dependence", defocus_waves=0.06, coma_waves=0.04)
    sharp, half, full = (on_axis(world, Variant(field=(field, field))) for field in (0.0, 0.5, 1.0))
    assert full / sharp == pytest.approx(np.exp(-((2 * np.pi) ** 2) * (0.06**2 + 0.04**2)), rel=0.02)
    waves = (0.06 * 0.25) ** 2 + (0.04 * 0.5) ** 2
    assert half / sharp == pytest.approx(np.exp(-((2 * np.pi) ** 2) * waves), rel=0.01)


def on_axis(world, variant):
    power = psfs(world, BLANK, variant)[0]
    middle = slice(len(power) // 2 - 1, len(power) // 2 + 1)
    return power[middle, middle].mean()


def test_a_point_in_the_corner_is_blurred_and_one_in_the_middle_is_not():
    world = alone("field_dependence", defocus_waves=0.2)
    for at, is_blurred in (((48, 48), False), ((1, 94), True)):
        ratio = image(world, point(*at)).max() / image(IDEAL, point(*at)).max()
        assert (ratio < 0.6) == is_blurred, (at, ratio)
        assert is_blurred or ratio > 0.97


def test_crosstalk_is_what_the_squares_of_sinc_leave():
    """Along each axis the focus of N points is (sin N u / N sin u)^2: a share of a tile's square is a product."""
    optics = Optics(IDEAL, 0)
    shares = optics.crosstalk(BLANK)
    fine = np.linspace(-700, 700, 280_001)
    angle = np.pi * (fine + 1e-9) * 4.0 / (0.532 * 6250)
    line = (np.sin(64 * angle) / np.sin(angle)) ** 2
    line /= line[np.abs(fine) <= window(IDEAL) * 4.0 / 2].sum()
    inside = np.abs(fine) <= window(IDEAL) * 4.0 / 2

    def part(step):
        return line[inside & (np.abs(fine - step * 240.0) <= 120.0)].sum()

    own, neighbour = part(0), part(1)
    expected = np.array([own**2, own * neighbour, own * neighbour, neighbour**2])
    assert shares[0] == pytest.approx(expected, rel=0.03, abs=2e-6)
    assert np.allclose(shares, shares.T, rtol=0.02)


def test_a_wrong_focus_dims_the_peak_as_fresnel_says():
    """On the axis of a square aperture: the square of Fresnel integrals (Born & Wolf, 8.8)."""
    away_um = 400.0
    sharp = psfs(IDEAL, BLANK).max()
    blurred = psfs(IDEAL, BLANK, Variant(focus_um=away_um))[0]
    half_um = 32 * 8.0 / 2
    end = half_um * np.sqrt(2 * away_um / (0.532 * 6250.0**2))
    sine, cosine = fresnel(end)
    middle = len(blurred) // 2
    on_axis = blurred[middle - 1 : middle + 1, middle - 1 : middle + 1].mean()
    assert on_axis / sharp == pytest.approx(((sine**2 + cosine**2) / end**2) ** 2, rel=0.03)


def test_another_colour_is_focused_elsewhere_and_passes_less():
    world = alone("chromatic", focal_um_per_nm=4.0, efficiency_fwhm_nm=200.0)
    assert transmission(world, 532.0) == 1.0
    assert transmission(world, 632.0) == pytest.approx(0.5)
    red = world.model_copy(update={"source": world.source.model_copy(update={"channels_nm": (632.0,)})})
    plain = IDEAL.model_copy(update={"source": red.source})
    moved = psfs(plain, BLANK, Variant(focus_um=-4.0 * 100.0))
    assert psfs(red, BLANK) == pytest.approx(0.5 * moved, rel=1e-4, abs=1e-9)


def test_an_extended_source_is_the_mean_of_its_points():
    """Against the long way: each point tilts the light on the aperture, and the intensities add up."""
    world = alone("partial_coherence", extent_um=30.0, points=3)
    optics = Optics(world, 0)
    lens = focus(64, window(world), 4.0, 6.25, 532.0)
    pupils = make_pupils(world, draw(0, 4))
    field = pupils.field(pupils.phase_rad(BLANK, 0), 0, 532.0)
    x_um = (np.arange(64) - 31.5) * 4.0
    power = 0
    for down in (-10.0, 0.0, 10.0):
        for right in (-10.0, 0.0, 10.0):
            tilt = np.exp(2j * np.pi / 0.532 / 6250 * (down * x_um[:, None] + right * x_um[None, :]))
            power = power + lens.psf((field * tilt).astype(np.complex64)) / 9
    plain = Optics(IDEAL, 0)
    plain._psfs[("long way", 0, Variant())] = type(plain.psfs(BLANK))(np.stack([power] * 4), 4.0)
    along = plain.imager
    scene = along.radiance([(1.0, point())])
    long_way = along.image(scene, along.transfer(plain.psfs(BLANK, "long way")))
    seen = image(world, point())
    assert np.abs(seen - long_way).max() < 0.01 * long_way.max()
    assert seen.max() < 0.8 * image(IDEAL, point()).max()
    assert optics.world.effects.partial_coherence.on


def test_a_measured_psf_comes_from_its_image(tmp_path):
    from matplotlib.image import imsave

    along = np.arange(101) - 50.0
    spot = np.exp(-((along[:, None] - 8) ** 2 + along[None, :] ** 2) / 2 / 6.0**2)
    imsave(tmp_path / "spot.png", spot, cmap="gray", vmin=0, vmax=1)
    world = alone("measured_psf", file=str(tmp_path / "spot.png"), pixel_um=2.0, efficiency=0.3)
    power = psfs(world)
    assert power.sum(axis=(1, 2)) == pytest.approx([0.3] * 4, rel=1e-4)
    x_um = (np.arange(power.shape[-1]) - (power.shape[-1] - 1) / 2) * 4.0
    assert (power[0].sum(axis=1) @ x_um) / 0.3 == pytest.approx(16.0, abs=0.2)
    assert np.sqrt((power[0].sum(axis=0) @ x_um**2) / 0.3) == pytest.approx(12.0, rel=0.03)
    with pytest.raises(SimulationError, match=r"none\.png"):
        psfs(alone("measured_psf", file=str(tmp_path / "none.png")))


def test_moved_mounts_move_the_picture():
    optics = Optics(IDEAL, 0)
    scene = optics.imager.radiance([(1.0, point())])
    still = optics.imager.image(scene, optics.transfer(BLANK))
    moved = optics.imager.image(scene, optics.transfer(BLANK), shift_px=(3.0, -2.0))
    assert moved == pytest.approx(shift(still, (3, -2), order=0), abs=float(0.02 * still.max()))
    half = optics.imager.image(scene, optics.transfer(BLANK), shift_px=(0.5, 0.0))
    near = still[30:48, 30:48].sum(axis=1), half[30:48, 30:48].sum(axis=1)
    centres = [line @ np.arange(18) / line.sum() for line in near]
    assert centres[1] - centres[0] == pytest.approx(0.5, abs=0.05)


def test_a_knock_shifts_everything_once():
    world = small_world(
        {"effects.knock.on": True, "effects.knock.at_s": 100.0, "effects.knock.shift_px": [4.0, -3.0]},
        off=(*NOISE, "stray_light", "vignetting", "settling"),
    )
    simulated = World("trial", world, 0, VirtualClock())
    simulated.show("display", point() // 1)
    simulated.illumination.set_shutter(True)
    simulated.camera.set_exposure_ms(200.0)
    frames = []
    for now_s in (50.0, 90.0, 101.0, 5000.0):
        simulated.clock.sleep_until_s(now_s)
        frames.append(simulated.camera.snap().frame.astype(float) - 60)
    assert np.array_equal(frames[0], frames[1])
    assert np.array_equal(frames[2], frames[3])
    inner = (slice(12, -12), slice(12, -12))
    assert np.abs(frames[2] - shift(frames[0], (4, -3), order=0))[inner].max() <= 0.03 * frames[0].max()
