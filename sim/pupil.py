r"""The light just behind one sub-aperture of the SLM, from the levels that were sent.

    u(x) = a(x) [ F exp(i phi(x) l0 / l) + (1 - F) ] exp(2 pi i W(x) l0 / l)

with phi the phase that the liquid crystal really takes (table error, fringing), F the fill factor, a the amplitude of
the beam and of the lenslet, W the wavefront error in waves at the nominal wavelength l0, and l the wavelength. Sampled
2 x 2 per SLM pixel, so that the blur across pixel edges is seen. The lens itself belongs to the propagation. A fixed
optic's phi is that of its mask, with the errors of its fabrication.

W differs with where in the field the light comes from, and with where the sensor stands: a sensor that is d too far
away sees the defocus -r^2 d / (2 f^2 l0), paraxially.
"""

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy.ndimage import gaussian_filter1d

from sim.draws import Draws, stream
from sim.masks import read_masks
from sim.world_file import WorldFile

SAMPLES_PER_PIXEL = 2
_MARGIN_PX = 4  # neighbours that fringing may reach

Floats = NDArray[np.float32]
Levels = NDArray[np.uint8]


@dataclass(frozen=True)
class Variant:
    """Which of a pattern's PSFs: they differ over the field, and as things move."""

    field: tuple[float, float] = (0.0, 0.0)  # down, right: 1 is the display's edge
    focus_um: float = 0.0  # how much too far away the sensor is
    phase_scale: float = 1.0  # of what the liquid crystal does, now
    one_line: bool = False  # in the light of the middle of the source's line alone


PLAIN = Variant()


@dataclass(frozen=True)
class Pupils:
    """Every sub-aperture's own light and errors, which do not depend on the pattern."""

    world: WorldFile
    amplitude: Floats  # (T, N, N); the mean of its square over a sub-aperture without losses is 1
    wavefront_waves: Floats  # (T, N, N)
    mask_rad: Floats | None = None  # (T, n, n) of a fixed optic, n its pixels along a sub-aperture
    seed: int = 0
    dead: tuple[NDArray[np.int64], Levels] | None = None  # which pixels of the SLM stay, and at which levels

    def phase_rad(self, levels: Levels, tile: int) -> Floats:
        """Return the phase that liquid crystal or mask gives one sub-aperture, (N, N), from the whole SLM's levels."""
        if self.world.slm is None:
            samples = len(self.amplitude[tile])
            if self.mask_rad is None:
                return np.zeros((samples, samples), np.float32)
            mask = self.mask_rad[tile].repeat(SAMPLES_PER_PIXEL, axis=0).repeat(SAMPLES_PER_PIXEL, axis=1)
            return np.asarray(mask, np.float32)
        if self.dead is not None:
            levels = levels.copy()
            levels.flat[self.dead[0]] = self.dead[1]
        half = self.world.lenslets.aperture_px // 2
        row, column = (round(centre) for centre in centre_px(self.world, tile))
        reach = half + _MARGIN_PX
        padded = np.pad(levels, _MARGIN_PX, mode="edge")
        rows, columns = (slice(at + _MARGIN_PX - reach, at + _MARGIN_PX + reach) for at in (row, column))
        phase = phase_table(self.world)[padded[rows, columns]]
        phase = phase.repeat(SAMPLES_PER_PIXEL, axis=0).repeat(SAMPLES_PER_PIXEL, axis=1)
        fringing = self.world.effects.fringing
        if fringing.on and fringing.sigma_px > 0:
            for axis in (0, 1):
                phase = gaussian_filter1d(phase, fringing.sigma_px * SAMPLES_PER_PIXEL, axis=axis, truncate=3.0)
        edge = _MARGIN_PX * SAMPLES_PER_PIXEL
        return np.ascontiguousarray(phase[edge:-edge, edge:-edge])

    def kernel_noise(self, tile: int, side: int, spacing_um: float) -> Floats | None:
        """Return what fabrication multiplies each sample of a PSF's window by, (side, side); None for nothing."""
        made = self.world.effects.fabrication
        if not made.on or made.kernel_noise == 0:
            return None
        reach = int(np.ceil(side * spacing_um / made.cell_um / 2)) + 1
        along = np.floor((np.arange(side) - (side - 1) / 2) * spacing_um / made.cell_um + 0.5).astype(int) + reach
        cells = stream(self.seed, f"fabrication kernel {tile}").standard_normal((2 * reach + 1, 2 * reach + 1))
        return np.asarray(np.maximum(0.0, 1 + made.kernel_noise * cells)[np.ix_(along, along)], np.float32)

    def field(
        self, phase_rad: Floats, tile: int, wavelength_nm: float, variant: Variant = PLAIN
    ) -> NDArray[np.complex64]:
        """Return the complex amplitude behind sub-aperture `tile`, (N, N)."""
        ratio = np.float32(self.world.source.wavelength_nm / wavelength_nm)
        zero_order = self.world.effects.zero_order
        fill = np.float32(zero_order.fill_factor if zero_order.on else 1.0)
        if variant.phase_scale != 1.0:
            phase_rad = phase_rad * np.float32(variant.phase_scale)
        modulated = fill * np.exp(1j * (phase_rad * ratio)) + (1 - fill)
        waves = self.wavefront_waves[tile]
        chromatic = self.world.effects.chromatic
        if chromatic.on:  # what is too long a focus for the sensor is a sensor too near
            away_nm = wavelength_nm - self.world.source.wavelength_nm
            variant = replace(variant, focus_um=variant.focus_um - chromatic.focal_um_per_nm * away_nm)
        if (more := _variant_waves(self.world, variant)) is not None:
            waves = waves + more
        error = np.exp(1j * (np.float32(2 * np.pi) * ratio * waves))
        return np.asarray(self.amplitude[tile] * modulated * error, np.complex64)


def make_pupils(world: WorldFile, draws: Draws) -> Pupils:
    """Draw every sub-aperture's amplitude and wavefront error."""
    tiles = range(world.lenslets.count)
    return Pupils(
        world=world,
        amplitude=np.stack([_amplitude(world, draws, tile) for tile in tiles]),
        wavefront_waves=np.stack([_wavefront_waves(world, draws, tile) for tile in tiles]),
        mask_rad=_mask_rad(world, draws),
        seed=draws.seed,
        dead=_dead_pixels(world, draws),
    )


def _mask_rad(world: WorldFile, draws: Draws) -> Floats | None:
    if world.optic is None or world.optic.masks is None:
        return None
    waves = read_masks(world.optic.masks, world.lenslets.count, world.lenslets.aperture_px)
    made = world.effects.fabrication
    if made.on:
        depths = stream(draws.seed, "fabrication depth").standard_normal((len(waves), 1, 1))
        waves = waves * (1 + made.depth * depths)
    return np.asarray(2 * np.pi * waves, np.float32)


def _dead_pixels(world: WorldFile, draws: Draws) -> tuple[NDArray[np.int64], Levels] | None:
    dead = world.effects.slm_dead_pixels
    if not dead.on or world.slm is None:
        return None
    chance = stream(draws.seed, "slm_dead_pixels")
    pixels = world.slm.shape[0] * world.slm.shape[1]
    order = chance.permutation(pixels)[: round(dead.share * pixels)]
    return order, chance.integers(0, 256, order.size).astype(np.uint8)


def _variant_waves(world: WorldFile, variant: Variant) -> Floats | None:
    """Wavefront error in waves at the nominal wavelength that one variant adds; None for none."""
    off_axis = world.effects.field_dependence
    if variant.focus_um == 0.0 and not (off_axis.on and any(variant.field)):
        return None
    down_mm, right_mm = _local_mm(world)
    square_mm2 = down_mm**2 + right_mm**2
    nominal_um = world.source.wavelength_nm / 1e3
    waves = -square_mm2 * variant.focus_um / (2 * world.lenslets.focal_mm**2 * nominal_um)
    if off_axis.on:
        reach_mm = np.hypot(down_mm.max(), right_mm.max())
        y, x = down_mm / reach_mm, right_mm / reach_mm
        square = x**2 + y**2
        far = np.hypot(*variant.field) / np.sqrt(2.0)  # 1 at the corner
        towards = np.asarray(variant.field) / np.sqrt(2.0)
        coma = (3 * square - 2) * (towards[0] * y + towards[1] * x)
        for term, strength, size in (
            (2 * square - 1, off_axis.defocus_waves, far**2),
            (coma, off_axis.coma_waves, far),
        ):
            shape = _without_tilt(term, y, x)
            if shape.std() > 0:
                waves = waves + strength * size * shape / shape.std()
    return np.asarray(waves, np.float32)


def phase_table(world: WorldFile) -> Floats:
    """Return the phase in radians that each of the 256 levels really gives."""
    assert world.slm is not None
    level = np.arange(256) / world.slm.levels
    table = world.effects.phase_table
    phase = 2 * np.pi * (table.scale * level**table.gamma if table.on else level)
    return phase.astype(np.float32)


def centre_px(world: WorldFile, tile: int) -> tuple[float, float]:
    """Return the centre of a sub-aperture: SLM pixel edges (row, column) counted from the SLM's upper left corner."""
    rows, columns = world.lenslets.grid
    row, column = divmod(tile, columns)
    height, width = world.plane_shape
    pitch = world.lenslets.pitch_px
    return height / 2 + (row - (rows - 1) / 2) * pitch, width / 2 + (column - (columns - 1) / 2) * pitch


@lru_cache(maxsize=2)
def _local_mm(world: WorldFile) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    samples = world.lenslets.aperture_px * SAMPLES_PER_PIXEL
    along = (np.arange(samples) - (samples - 1) / 2) * world.pitch_um / SAMPLES_PER_PIXEL / 1e3
    return along[:, None], along[None, :]


def _amplitude(world: WorldFile, draws: Draws, tile: int) -> Floats:
    down_mm, right_mm = _local_mm(world)
    power = np.ones((down_mm.size, right_mm.size))
    beam, gain = world.effects.beam, world.effects.tile_gain
    if beam.on:
        pitch_mm = world.pitch_um / 1e3
        height, width = world.plane_shape
        row, column = centre_px(world, tile)
        y_mm = down_mm + (row - height / 2) * pitch_mm - beam.offset_mm[0]
        x_mm = right_mm + (column - width / 2) * pitch_mm - beam.offset_mm[1]
        power = power * np.exp(-2 * (x_mm**2 + y_mm**2) / beam.waist_mm**2)
    if gain.on:
        power = power * max(0.0, 1.0 + gain.spread * draws.tile_gain[tile])
    return np.sqrt(power).astype(np.float32)


def _wavefront_waves(world: WorldFile, draws: Draws, tile: int) -> Floats:
    down_mm, right_mm = _local_mm(world)
    reach_mm = np.hypot(down_mm.max(), right_mm.max())
    y, x = down_mm / reach_mm, right_mm / reach_mm
    waves = np.zeros((down_mm.size, right_mm.size))
    aberrations, screen = world.effects.aberrations, world.effects.phase_screen
    if aberrations.on:
        square = x**2 + y**2
        defocus, astigmatism, coma = (
            aberrations.defocus_waves,
            aberrations.astigmatism_waves,
            aberrations.coma_waves,
        )
        terms = (2 * square - 1, x**2 - y**2, 2 * x * y, (3 * square - 2) * y, (3 * square - 2) * x)
        strengths = (defocus, astigmatism, astigmatism, coma, coma)
        for term, strength, number in zip(terms, strengths, draws.zernikes[tile], strict=True):
            shape = _without_tilt(term + 0 * waves, y, x)
            waves += number * strength * shape / shape.std()
    if screen.on and screen.rms_waves > 0:
        smooth = _smooth_noise(stream(draws.seed, f"phase_screen {tile}"), down_mm.size, world, screen.correlation_mm)
        waves += screen.rms_waves * (smooth - smooth.mean()) / smooth.std()
    made = world.effects.fabrication
    if made.on and made.phase_waves > 0:
        chance = stream(draws.seed, f"fabrication phase {tile}")
        smooth = _smooth_noise(chance, down_mm.size, world, made.correlation_um / 1e3)
        waves += made.phase_waves * (smooth - smooth.mean()) / smooth.std()
    return waves.astype(np.float32)


def _smooth_noise(
    chance: np.random.Generator, samples: int, world: WorldFile, correlation_mm: float
) -> NDArray[np.float64]:
    """Draw a surface whose autocorrelation is exp(-r^2 / correlation^2), up to its scale; periodic."""
    spacing_mm = world.pitch_um / SAMPLES_PER_PIXEL / 1e3
    down, right = fft.fftfreq(samples, spacing_mm)[:, None], fft.rfftfreq(samples, spacing_mm)[None, :]
    passed = np.exp(-((np.pi * correlation_mm) ** 2) * (down**2 + right**2) / 2)
    white = fft.rfft2(chance.standard_normal((samples, samples)))
    return np.asarray(fft.irfft2(white * passed, (samples, samples)))


def _without_tilt(term: NDArray[np.float64], y: NDArray[np.float64], x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Take piston and tilt out: over a square Zernike's terms contain them, and a shift is another effect."""
    term = term - term.mean()
    for slope in (y + 0 * x, x + 0 * y):
        term = term - slope * (term * slope).sum() / (slope**2).sum()
    return term
