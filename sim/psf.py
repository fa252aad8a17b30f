"""Point spread functions of all sub-apertures, from the pattern that was sent; and how to look at them on any grid."""

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from sim.cores import workers
from sim.errors import SimulationError
from sim.propagation import focus
from sim.pupil import PLAIN, SAMPLES_PER_PIXEL, Levels, Pupils, Variant
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


def spectrum(world: WorldFile, channel: int = 0) -> list[tuple[float, float]]:
    """One channel's wavelengths in nm and weights: a Gaussian line by Gauss-Hermite quadrature with three nodes."""
    centre_nm, line = world.source.lines_nm[channel], world.effects.bandwidth
    if not line.on or line.fwhm_nm == 0:
        return [(centre_nm, 1.0)]
    step_nm = np.sqrt(3.0) * line.fwhm_nm / _FWHM_PER_SIGMA
    return [(centre_nm - step_nm, 1 / 6), (centre_nm, 2 / 3), (centre_nm + step_nm, 1 / 6)]


def window(world: WorldFile) -> int:
    """Return the samples along a side of the PSFs' window: within one period of a sampled aperture's diffraction."""
    spacing_um = world.pitch_um / SAMPLES_PER_PIXEL
    shortest_um = _shortest_um(world)
    period = shortest_um * world.lenslets.focal_mm * 1e3 / spacing_um**2
    return min(_WIDEST, 2 * int(0.45 * period))


def transmission(world: WorldFile, wavelength_nm: float) -> float:
    """Weight of a wavelength: what the lenslets pass of it, and how well the sensor sees it."""
    chromatic, sensor = world.effects.chromatic, world.effects.quantum_efficiency
    passed = 1.0
    if chromatic.on:
        away = (wavelength_nm - world.source.wavelength_nm) / chromatic.efficiency_fwhm_nm
        passed *= float(np.exp2(-((2 * away) ** 2)))
    return passed * (float(np.interp(wavelength_nm, sensor.nm, sensor.relative)) if sensor.on else 1.0)


def compute_psfs(pupils: Pupils, levels: Levels, variant: Variant = PLAIN, channel: int = 0) -> Psfs:
    """PSFs that the whole SLM's levels give, or the mask."""
    world = pupils.world
    if world.effects.measured_psf.on:
        return measured_psfs(world)
    samples = world.lenslets.aperture_px * SAMPLES_PER_PIXEL
    spacing_um = world.pitch_um / SAMPLES_PER_PIXEL
    side = window(world)
    power = np.zeros((world.lenslets.count, side, side), np.float32)
    in_line = [(world.source.lines_nm[channel], 1.0)] if variant.one_line else spectrum(world, channel)
    lines = [
        (nm, weight * transmission(world, nm), focus(samples, side, spacing_um, world.lenslets.focal_mm, nm))
        for nm, weight in in_line
    ]

    def compute(tile: int) -> None:
        phase_rad = pupils.phase_rad(levels, tile)
        for wavelength_nm, weight, lens in lines:
            power[tile] += np.float32(weight) * lens.psf(pupils.field(phase_rad, tile, wavelength_nm, variant))
        if (noise := pupils.kernel_noise(tile, side, spacing_um)) is not None:
            power[tile] *= noise

    list(workers.map(compute, range(world.lenslets.count)))
    return Psfs(power=power, spacing_um=spacing_um)


def measured_psfs(world: WorldFile) -> Psfs:
    """The PSF that an image file shows, for every sub-aperture.

    Raises
    ------
    SimulationError
        If the file cannot be read, or is black.
    """
    from matplotlib.image import imread

    measured = world.effects.measured_psf
    try:
        image = np.asarray(imread(measured.file), np.float64)
    except (OSError, ValueError, SyntaxError) as error:
        raise SimulationError(f"{measured.file}: cannot be read as an image: {error}") from error
    grey = image if image.ndim == 2 else image[..., :3].mean(axis=2)
    spacing_um = world.pitch_um / SAMPLES_PER_PIXEL
    side = window(world)
    along_um = (np.arange(side) - (side - 1) / 2) * spacing_um
    at = [along_um / measured.pixel_um + (pixels - 1) / 2 for pixels in grey.shape]
    sampled = map_coordinates(grey, np.meshgrid(*at, indexing="ij"), order=1, mode="constant")
    if sampled.sum() <= 0:
        raise SimulationError(f"{measured.file}: no light within {side * spacing_um:g} um of its middle")
    power = np.asarray(measured.efficiency * sampled / sampled.sum(), np.float32)
    return Psfs(power=np.broadcast_to(power, (world.lenslets.count, side, side)), spacing_um=spacing_um)


def cutoff_per_um(world: WorldFile) -> float:
    """Highest spatial frequency, along either axis, that a sub-aperture's intensity can have, in 1 / um."""
    shortest_um = _shortest_um(world)
    aperture_um = world.lenslets.aperture_px * world.pitch_um
    return float(aperture_um / (shortest_um * world.lenslets.focal_mm * 1e3))


def _shortest_um(world: WorldFile) -> float:
    channels = range(len(world.source.lines_nm))
    return min(wavelength_nm for channel in channels for wavelength_nm, _ in spectrum(world, channel)) / 1e3


def blur_um(world: WorldFile) -> float:
    """Return the standard deviation of the blur on the sensor that is not the sub-apertures'."""
    return world.effects.blur.sigma_um if world.effects.blur.on else 0.0


def source_points_um(world: WorldFile) -> tuple[float, ...]:
    """Where, along an axis on the sensor, the points of a source with an extent put their pictures."""
    source = world.effects.partial_coherence
    if not source.on:
        return (0.0,)
    return tuple(((np.arange(source.points) + 0.5) / source.points - 0.5) * source.extent_um)


def sampler(
    psfs: Psfs,
    positions_um: NDArray[np.float64],
    pixel_um: float,
    blur_um: float = 0.0,
    points_um: tuple[float, ...] = (0.0,),
) -> Floats:
    r"""Return A, (positions, window), so that A @ psf @ B.T is the power in square pixels (A for rows, B for columns).

    The PSF's samples are interpolated band-limited (they are finer than Nyquist), blurred by a Gaussian of `blur_um`,
    averaged over shifts by `points_um` (symmetric about 0), and integrated over pixels `pixel_um` wide. Zero outside
    the window.
    """
    window, spacing_um = psfs.power.shape[-1], psfs.spacing_um
    frequency = np.fft.rfftfreq(window, spacing_um)
    passed = np.sinc(frequency * pixel_um) * np.exp(-2 * (np.pi * frequency * blur_um) ** 2)
    if points_um != (0.0,):
        passed *= np.mean([np.cos(2 * np.pi * frequency * shift_um) for shift_um in points_um], axis=0)
    table = np.fft.irfft(passed, window * _TABLE_STEPS) * _TABLE_STEPS * pixel_um / spacing_um
    # Along a row of A the distances are a sample apart: all of them lie at one phase between the table's entries.
    phases = table.astype(np.float32).reshape(window, _TABLE_STEPS).T[:, ::-1]
    rows = sliding_window_view(np.concatenate([phases, phases], axis=1), window, axis=1)
    steps = (positions_um / spacing_um + (window - 1) / 2) * _TABLE_STEPS
    low = np.floor(steps).astype(np.int64)
    part = (steps - low).astype(np.float32)[:, None]
    below, above = (
        rows[entry % _TABLE_STEPS, (window - 1 - entry // _TABLE_STEPS) % window] for entry in (low, low + 1)
    )
    weights = below + part * (above - below)
    weights[np.abs(positions_um) > window * spacing_um / 2 - pixel_um] = 0.0
    return np.asarray(weights, np.float32)
