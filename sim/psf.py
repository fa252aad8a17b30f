"""Point spread functions of all sub-apertures, from the pattern that was sent; and how to look at them on any grid."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sim.propagation import focus
from sim.pupil import SAMPLES_PER_PIXEL, Levels, Pupils
from sim.world_file import WorldFile

_WIDEST = 768  # samples; at 4 um: 3.07 mm, most of what an 8 um pixel can diffract to at 532 nm and 50 mm
_TABLE_STEPS = 64
_FWHM_PER_SIGMA = 2.0 * np.sqrt(2.0 * np.log(2.0))

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Psfs:
    """PSFs in the focal plane, (T, window, window), each centred on its lenslet's axis; a sum is its power."""

    power: Floats
    spacing_um: float


def spectrum(world: WorldFile) -> list[tuple[float, float]]:
    """Wavelengths in nm and their weights: a Gaussian line by Gauss-Hermite quadrature with three nodes."""
    centre_nm, line = world.source.wavelength_nm, world.effects.bandwidth
    if not line.on or line.fwhm_nm == 0:
        return [(centre_nm, 1.0)]
    step_nm = np.sqrt(3.0) * line.fwhm_nm / _FWHM_PER_SIGMA
    return [(centre_nm - step_nm, 1 / 6), (centre_nm, 2 / 3), (centre_nm + step_nm, 1 / 6)]


def window(world: WorldFile) -> int:
    """Return the samples along a side of the PSFs' window: within one period of a sampled aperture's diffraction."""
    spacing_um = world.slm.pitch_um / SAMPLES_PER_PIXEL
    shortest_um = min(wavelength_nm for wavelength_nm, _ in spectrum(world)) / 1e3
    period = shortest_um * world.lenslets.focal_mm * 1e3 / spacing_um**2
    return min(_WIDEST, 2 * int(0.45 * period))


def compute_psfs(pupils: Pupils, levels: Levels) -> Psfs:
    """PSFs that the whole SLM's levels give."""
    world = pupils.world
    samples = world.lenslets.aperture_px * SAMPLES_PER_PIXEL
    spacing_um = world.slm.pitch_um / SAMPLES_PER_PIXEL
    side = window(world)
    power = np.zeros((world.lenslets.count, side, side), np.float32)
    for tile in range(world.lenslets.count):
        phase_rad = pupils.phase_rad(levels, tile)
        for wavelength_nm, weight in spectrum(world):
            lens = focus(samples, side, spacing_um, world.lenslets.focal_mm, wavelength_nm)
            power[tile] += np.float32(weight) * lens.psf(pupils.field(phase_rad, tile, wavelength_nm))
    return Psfs(power=power, spacing_um=spacing_um)


def cutoff_per_um(world: WorldFile) -> float:
    """Highest spatial frequency, along either axis, that a sub-aperture's intensity can have, in 1 / um."""
    shortest_um = min(wavelength_nm for wavelength_nm, _ in spectrum(world)) / 1e3
    aperture_um = world.lenslets.aperture_px * world.slm.pitch_um
    return float(aperture_um / (shortest_um * world.lenslets.focal_mm * 1e3))


def sampler(psfs: Psfs, positions_um: NDArray[np.float64], pixel_um: float, blur_um: float = 0.0) -> Floats:
    r"""Return A, (positions, window), so that A @ psf @ B.T is the power in square pixels (A for rows, B for columns).

    The PSF's samples are interpolated band-limited (they are finer than Nyquist), blurred by a Gaussian of `blur_um`,
    and integrated over pixels `pixel_um` wide. Zero outside the window.
    """
    window, spacing_um = psfs.power.shape[-1], psfs.spacing_um
    frequency = np.fft.rfftfreq(window, spacing_um)
    passed = np.sinc(frequency * pixel_um) * np.exp(-2 * (np.pi * frequency * blur_um) ** 2)
    table = np.fft.irfft(passed, window * _TABLE_STEPS) * _TABLE_STEPS * pixel_um / spacing_um
    period_um = window * spacing_um
    samples_um = (np.arange(window) - (window - 1) / 2) * spacing_um
    distance_um = np.mod(positions_um[:, None] - samples_um, period_um)
    steps_um = np.arange(table.size + 1) * spacing_um / _TABLE_STEPS
    weights = np.interp(distance_um, steps_um, np.append(table, table[0]))
    weights[np.abs(positions_um) > period_um / 2 - pixel_um] = 0.0
    return np.asarray(weights, np.float32)
