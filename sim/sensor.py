r"""The camera: from light to grey levels.

    e = min(t W I p + t d, full well)    electrons: exposure t, light I, white W, pixel gain p, dark current d
    n = e + sqrt(e + r^2) g              with shot noise and read noise r; g is standard normal
    DN = clip(round(n / gain + black + column offset))

Three shortcuts, all tested: shot noise is Gaussian with the Poisson's variance; the normal numbers come from a pool
drawn once, read from a random place for each frame; and where the camera's electronics averages b x b pixels, cutting
the mean to whole numbers, what enters the above are the pixels' means, with 1 / b of the noise.
"""

import numpy as np
import torch
from numpy.typing import NDArray

from sim.draws import stream
from sim.spectrum import mean_of_squares
from sim.world_file import WorldFile

Floats = NDArray[np.float32]
Frame = NDArray[np.uint16]
_BLOCK_ROWS = 180  # of 540 pixels: they stay in a core's cache


class Sensor:
    """One camera's pixels, with their own gains and offsets, and its noise.

    Parameters
    ----------
    world
        The world.
    seed
        Its pixels' own, and the noise's.
    binning
        How many pixels, both axes, the camera averages to one of a frame: 1, 2 or 4.
    """

    def __init__(self, world: WorldFile, seed: int, binning: int = 1) -> None:
        camera, effects = world.camera, world.effects
        pixels = stream(seed, "sensor")
        shape = camera.shape
        gains, darks = pixels.standard_normal(shape), pixels.standard_normal(shape)
        columns = pixels.standard_normal(shape[1])
        gain_spread = effects.pixel_gain.spread if effects.pixel_gain.on else 0.0
        light = (world.source.white_e_per_ms * _vignetting(world) * (1 + gain_spread * gains)).astype(np.float32)
        dark = effects.dark_current
        current = np.maximum(0.0, dark.e_per_s / 1e3 * (1 + dark.spread * darks)) if dark.on else np.zeros(shape)
        _heat(current, world, seed)
        offset = effects.column_offset.rms_dn if effects.column_offset.on else 0.0
        black = (camera.black_dn + offset * columns).astype(np.float32)
        self._world = world
        self._light_e_per_ms = mean_of_squares(light, binning)
        self._stray_e_per_ms = mean_of_squares(light * _stray(world, seed), binning)
        self._dark_e_per_ms = mean_of_squares(current.astype(np.float32), binning)
        self._shape = self._light_e_per_ms.shape
        # the conversion to whole numbers cuts: this rounds each pixel, and cuts the mean of several
        self._black_dn = mean_of_squares(np.tile(black, (binning, 1)), binning) + np.float32(0.5 / binning**2)
        self._read_variance = effects.read_noise.rms_e**2 if effects.read_noise.on else 0.0
        self._shot = effects.shot_noise.on
        self._averaged = 1 / binning
        self._places = stream(seed, "noise")
        self._pool = self._places.standard_normal(3 * shape[0] * shape[1], np.float32)

    def expose(
        self,
        light: Floats | None = None,
        lit_ms: float | Floats = 0.0,
        exposure_ms: float = 0.0,
        mean_radiance: float = 0.0,
    ) -> Frame:
        """Take one frame: grey levels, (H, W), in 16 bits, aligned as the file says.

        Parameters
        ----------
        light
            Light on the sensor in units of white, (H, W); None: no light at all.
        lit_ms
            How long the light reached the sensor during the exposure, counted at the source's nominal power; for all
            rows alike, or for each, (H,).
        exposure_ms
            The exposure.
        mean_radiance
            Mean of the displayed picture, 0 to 1; it is what the stray light follows.
        """
        stray = self._world.effects.stray_light
        veil = stray.veil * mean_radiance if stray.on else 0.0
        lit_ms = lit_ms * self._power() if light is not None else 0.0
        is_lit = light is not None and bool(np.any(np.asarray(lit_ms) > 0))
        row_ms = None if np.ndim(lit_ms) == 0 else np.asarray(lit_ms, np.float32)[:, None]
        blooming, frame = self._world.effects.blooming, np.empty(self._shape, np.uint16)
        place = int(self._places.integers(0, self._pool.size - frame.size))
        normals = self._pool[place : place + frame.size].reshape(frame.shape)
        rows = len(frame) if blooming.on else _BLOCK_ROWS
        for part in (slice(top, top + rows) for top in range(0, len(frame), rows)):
            lit = float(lit_ms) if row_ms is None else torch.tensor(row_ms[part])
            electrons = self._electrons(part, light if is_lit else None, lit, exposure_ms, veil)
            if blooming.on:
                bloom(electrons, self._world.camera.full_well_e, blooming.share)
            frame[part] = self._read(electrons, normals[part])
        return self._aligned(frame)

    def _electrons(
        self, rows: slice, light: Floats | None, lit_ms: float | torch.Tensor, exposure_ms: float, veil: float
    ) -> Floats:
        dark = torch.from_numpy(self._dark_e_per_ms[rows])
        if light is None:
            return np.asarray((dark * exposure_ms).numpy())
        seen = torch.from_numpy(light[rows])
        arrived = torch.addcmul(
            torch.from_numpy(self._stray_e_per_ms[rows]),
            seen + veil if veil else seen,
            torch.from_numpy(self._light_e_per_ms[rows]),
        )
        return np.asarray(arrived.mul_(lit_ms).add_(dark, alpha=exposure_ms).numpy())

    def _aligned(self, frame: Frame) -> Frame:
        camera = self._world.camera
        if camera.alignment == "left":
            frame <<= np.uint16(16 - camera.bit_depth)
        return frame

    def _read(self, electrons: Floats, normals: Floats) -> NDArray[np.uint16]:
        camera = self._world.camera
        seen = torch.from_numpy(electrons).clamp_(0.0, camera.full_well_e)
        noise = (seen + self._read_variance) if self._shot else torch.full_like(seen, self._read_variance)
        seen.addcmul_(noise.sqrt_(), torch.from_numpy(normals), value=self._averaged)
        levels = torch.add(torch.from_numpy(self._black_dn), seen, alpha=1 / camera.gain_e_per_dn)
        return levels.clamp_(0.0, 2**camera.bit_depth - 1).numpy().astype(np.uint16)

    def _power(self) -> float:
        noise = self._world.effects.light_noise
        return max(0.0, 1.0 + noise.rms * self._places.standard_normal()) if noise.on else 1.0


def _heat(current_e_per_ms: NDArray[np.float64], world: WorldFile, seed: int) -> None:
    """Give some pixels more dark current, in place."""
    hot = world.effects.hot_pixels
    if hot.on:
        chance = stream(seed, "hot_pixels")
        pixels = chance.permutation(current_e_per_ms.size)[: round(hot.share * current_e_per_ms.size)]
        current_e_per_ms.flat[pixels] += chance.exponential(hot.e_per_s / 1e3, pixels.size)


def bloom(electrons: Floats, full_well_e: float, share: float) -> None:
    """Let a share of what is beyond the full well run over to the next pixels of its column that have room, in place.

    Half of it goes up and half down; what runs over the sensor's edge is lost, and so is what is not shared.
    """
    over = electrons - np.float32(full_well_e)
    columns = np.flatnonzero((over > 0).any(axis=0))
    if not columns.size:
        return
    spilt = np.maximum(over[:, columns], 0.0) * np.float32(share / 2)
    filled = np.minimum(electrons[:, columns], np.float32(full_well_e))
    for rows in (range(len(filled)), range(len(filled) - 1, -1, -1)):
        running = np.zeros(columns.size, np.float32)
        for row in rows:
            taken = np.minimum(running, np.float32(full_well_e) - filled[row])
            filled[row] += taken
            running = running - taken + spilt[row]
    electrons[:, columns] = filled


def _vignetting(world: WorldFile) -> NDArray[np.float64]:
    down, right = _from_centre(world.camera.shape)
    vignetting = world.effects.vignetting
    return 1 - (vignetting.sensor_corner if vignetting.on else 0.0) * (down**2 + right**2) / 2


def _stray(world: WorldFile, seed: int) -> Floats:
    down, right = _from_centre(world.camera.shape)
    stray = world.effects.stray_light
    if not stray.on:
        return np.zeros(world.camera.shape, np.float32)
    direction = stream(seed, "stray_light").uniform(0.0, 2.0 * np.pi)
    slope = 1 + stray.slope * (np.cos(direction) * down + np.sin(direction) * right)
    return np.asarray(stray.pedestal * slope, np.float32)


def _from_centre(shape: tuple[int, int]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    down, right = (np.linspace(-1.0, 1.0, side) for side in shape)
    return down[:, None], right[None, :]
