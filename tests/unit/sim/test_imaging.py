import numpy as np
import pytest
from scipy.signal import fftconvolve

from sim.draws import draw
from sim.geometry import lay
from sim.optics import Optics
from sim.psf import sampler
from sim.spectrum import mean_of_squares
from tests.unit.sim.worlds import small_world

IDEAL = small_world(off="all")


def blank(world):
    return np.zeros(world.slm.shape, np.uint8)


def image(optics, picture):
    imager = optics.imager
    return imager.image(imager.radiance([(1.0, picture)]), optics.transfer(blank(optics.world)))


def random_picture(world):
    return np.random.default_rng(0).integers(0, 256, world.display.shape).astype(np.uint8)


@pytest.mark.parametrize("off", ["all", ()])
def test_it_is_the_sum_of_plain_convolutions(off):
    """Tile by tile, in space, without any of the shortcuts."""
    world = small_world({"effects.tile_shift.spread_px": 3.0}, off)
    optics = Optics(world, 2)
    picture = random_picture(world)
    psfs, pixel_um = optics.psfs(blank(world)), world.camera.pixel_um
    blur_um = world.effects.blur.sigma_um if world.effects.blur.on else 0.0
    scene = optics.imager.scene(optics.imager.radiance([(1.0, picture)])).astype(np.float64)
    reach = len(scene) // 2
    expected = np.zeros(world.camera.shape)
    for power, centre in zip(psfs.power, optics.geometry.centres_px, strict=True):
        down, right = (
            sampler(psfs, (np.arange(-reach, side + reach) - middle) * pixel_um, pixel_um, blur_um)
            for side, middle in zip(world.camera.shape, centre, strict=True)
        )
        psf = down.astype(np.float64) @ power.astype(np.float64) @ right.T.astype(np.float64)
        expected += fftconvolve(psf, scene, mode="valid")
    seen = image(optics, picture)
    assert seen.shape == world.camera.shape
    assert np.abs(seen - expected).max() <= 1e-3 * expected.max()


def test_a_white_scene_is_one():
    """Nearly: this display is 12 lobes of the focus wide, and sinc^2 has 3 % of its light further out."""
    seen = image(Optics(IDEAL, 0), np.full(IDEAL.display.shape, 255, np.uint8))
    for row, column in lay(IDEAL, draw(0, 4)).centres_px.astype(int):
        assert seen[row - 3 : row + 4, column - 3 : column + 4].mean() == pytest.approx(0.97, abs=0.01)


@pytest.mark.parametrize("tile", range(4))
@pytest.mark.parametrize("pixel", [(20, 30), (70, 60)])
def test_a_displayed_point_arrives_where_the_geometry_says(tile, pixel):
    world = small_world(
        {
            "effects.misalignment.on": True,
            "effects.misalignment.display_rotation_deg": 3.0,
            "effects.tile_shift.on": True,
            "effects.tile_shift.spread_px": 2.0,
        },
        off=("aberrations", "phase_screen", "vignetting"),
    )
    optics = Optics(world, 1)
    picture = np.zeros(world.display.shape, np.uint8)
    picture[pixel] = 255
    seen = image(optics, picture)
    geometry = optics.geometry
    row, column = geometry.centres_px[tile] + geometry.matrix @ (np.array(pixel) - geometry.display_centre)
    rows, columns = np.arange(world.camera.shape[0]), np.arange(world.camera.shape[1])
    near = np.outer(np.abs(rows - row) < 9, np.abs(columns - column) < 9) * np.maximum(seen, 0)
    assert (near.sum(axis=1) @ rows) / near.sum() == pytest.approx(row, abs=0.15)
    assert (near.sum(axis=0) @ columns) / near.sum() == pytest.approx(column, abs=0.15)


def test_pictures_mix_linearly():
    optics = Optics(IDEAL, 0)
    one, other = random_picture(IDEAL), random_picture(IDEAL)[::-1]
    mixed = optics.imager.radiance([(0.3, one), (0.7, other)])
    parts = 0.3 * optics.imager.radiance([(1.0, one)]) + 0.7 * optics.imager.radiance([(1.0, other)])
    assert mixed == pytest.approx(parts, abs=1e-4)


def test_the_image_is_upright_and_convolved_with_the_psf():
    """A ramp of phase on one sub-aperture moves its picture the way the PSF moves: down and right."""
    moved = blank(IDEAL)
    along = np.arange(32)
    ramp = 255 * (along[:, None] + 2 * along[None, :]) * 8.0 * 5 * 3.45 / (0.532 * 6250)
    moved[12:44, 12:44] = np.mod(np.round(ramp), 255)
    optics = Optics(IDEAL, 0)
    picture = np.zeros(IDEAL.display.shape, np.uint8)
    picture[40:56, 40:56] = 255
    scene = optics.imager.radiance([(1.0, picture)])
    still = optics.imager.image(scene, optics.transfer(blank(IDEAL)))
    there = optics.imager.image(scene, optics.transfer(moved))
    row, column = optics.geometry.centres_px[0].round().astype(int)
    patch = there[row + 5 - 8 : row + 5 + 9, column + 10 - 8 : column + 10 + 9]
    assert np.corrcoef(patch.ravel(), still[row - 8 : row + 9, column - 8 : column + 9].ravel())[0, 1] > 0.99


def test_gamma_darkens_the_middle():
    optics = Optics(small_world({"effects.display_gamma.on": True, "effects.display_gamma.gamma": 2.0}), 0)
    half = np.full(IDEAL.display.shape, 128, np.uint8)
    assert optics.imager.radiance([(1.0, half)]).mean() == pytest.approx((128 / 255) ** 2)


@pytest.mark.parametrize("binning", [2, 4])
@pytest.mark.parametrize(("off", "tolerance"), [("all", 0.02), ((), 0.005)])
def test_a_binned_camera_sees_the_means_of_its_pixels(off, tolerance, binning):
    """Without any blur, this display's points are finer than two of these pixels resolve."""
    optics = Optics(small_world({"effects.field_dependence.on": off == ()}, off), 2)
    picture = np.kron(np.random.default_rng(1).integers(0, 256, (12, 12)), np.ones((16, 16))).astype(np.uint8)
    rows, columns = optics.world.display.shape
    radiance = optics.imager.radiance([(1.0, picture[:rows, :columns])])
    transfer = optics.transfer(blank(optics.world))
    expected = mean_of_squares(optics.imager.image(radiance, transfer), binning)
    seen = optics.imager.image(radiance, transfer, binning)
    assert np.abs(seen - expected).max() <= tolerance * expected.max()
