"""Masks that are computed by Fraunhofer diffraction, looked at with the world's own propagation."""

import numpy as np
import pytest

from sim.errors import SimulationError
from sim.mask_design import design_masks, drawn_kernels, halves
from sim.masks import write_masks
from sim.optics import Optics
from sim.world_file import WorldFile
from tests.unit.sim.worlds import BENCHES, SMALL, content

TAP_UM = 20.7
FIXED = np.zeros((0, 0), np.uint8)


def optic(tmp_path, off="all"):
    values = content({**SMALL, "effects.bayer.on": False}, off=off)
    del values["slm"]
    values["lenslets"].update(grid=[1, 2], pitch_px=136, aperture_px=128, focal_mm=20.0)
    values["source"]["channels_nm"] = [620.0, 532.0, 460.0]
    values["optic"] = {"pitch_um": 8.0, "masks": str(tmp_path / "trial.masks.npz")}
    return WorldFile.model_validate(values)


def read_by_taps(psf, taps):
    """What taps read of a scene's pixel as wide as they are: a PSF in quarters of a tap, under triangles."""
    away = np.abs((np.arange(len(psf)) - (len(psf) - 1) / 2) / 4 - (np.arange(taps) - (taps - 1) / 2)[:, None])
    triangles = np.maximum(0.0, 1.0 - away)
    return triangles @ psf @ triangles.T


def test_one_surface_gives_each_colour_its_own_psf(tmp_path):
    world = optic(tmp_path)
    parts = halves(drawn_kernels(2, 3, 5, 1))[2:]  # the second kernel has other signs in other colours
    waves, shares = design_masks(world, parts, TAP_UM, 240, efficiency=0.02)
    write_masks(world.optic.masks, waves, 16)
    optics = Optics(world, 0)
    for tile in range(2):
        psfs = [optics.psf(FIXED, tile, TAP_UM / 4, 28, channel) for channel in range(3)]
        seen = np.stack([read_by_taps(psf, 5) for psf in psfs])
        assert np.corrcoef(seen.ravel(), parts[tile].ravel())[0, 1] > 0.99
        assert seen.sum() / 3 == pytest.approx(shares[tile], rel=0.1)


def test_light_is_weighed_against_the_kernels_shape(tmp_path):
    world = optic(tmp_path)
    parts = halves(drawn_kernels(2, 3, 5, 1))[2:]
    (_, little), (_, much) = (design_masks(world, parts, TAP_UM, 120, efficiency=weight) for weight in (0.02, 0.1))
    assert (much > 1.5 * little).all()
    assert (much < 1).all()


def test_kernels_that_do_not_fit_the_optic_are_refused(tmp_path):
    with pytest.raises(SimulationError, match=r"needs \(2, 3\) first"):
        design_masks(optic(tmp_path), np.ones((4, 3, 5, 5)), TAP_UM, 1)
    with pytest.raises(SimulationError, match="no positive or no negative part"):
        design_masks(optic(tmp_path), halves(np.ones((1, 3, 5, 5))), TAP_UM, 1)


def test_drawn_kernels_are_signed_and_repeat():
    kernels = drawn_kernels(16, 3, 7, 0)
    assert kernels.shape == (16, 3, 7, 7)
    assert np.array_equal(kernels, drawn_kernels(16, 3, 7, 0))
    assert (halves(kernels).sum(axis=(1, 2, 3)) > 0).all()
    assert halves(kernels)[0::2] - halves(kernels)[1::2] == pytest.approx(kernels)


@pytest.mark.parametrize(("name", "kernels", "taps"), [("poly", 16, 7), ("segmentation", 56, 3)])
def test_the_shipped_kernels_are_those_that_the_command_draws(name, kernels, taps):
    shipped = np.load(BENCHES / f"{name}.kernels.npz")["kernels"]
    # to rounding: processors' libraries of linear algebra and transforms differ in the last bit
    assert drawn_kernels(kernels, 3, taps, 0) == pytest.approx(shipped, rel=1e-9, abs=1e-12)
