r"""Incoherent imaging of the display through all sub-apertures at once.

The scene is the same for every sub-aperture, so the sensor's picture is one convolution of the scene with the sum of
all PSFs, each at its tile's centre:

    I = S * K,   K(x) = sum_s PSF_s(x - c_s)

which holds every overlap and crosstalk between tiles. K's transform is kept; a new picture costs one forward and one
inverse transform. Both skip the frequencies that the sub-apertures' diffraction limit empties (about half of an axis).
"""

import numpy as np
from numpy.typing import NDArray
from scipy import fft, sparse

from sim.geometry import Geometry
from sim.psf import Psfs, cutoff_per_um, sampler
from sim.world_file import WorldFile

Floats = NDArray[np.float32]
Transfer = NDArray[np.complex64]


class Imager:
    """The way from a displayed picture to the light on the sensor, for one geometry.

    Light is in units of white: a uniform white scene through a sub-aperture without losses gives 1 in every pixel.
    """

    def __init__(self, world: WorldFile, geometry: Geometry) -> None:
        self._world = world
        self._geometry = geometry
        self._scene_of, self._reach = _scene_map(world, geometry)
        self._radiance = _radiance(world)
        height, width = world.camera.shape
        self._size = int(fft.next_fast_len(max(height, width) + 2 * self._reach, real=True))
        kept = int(np.ceil(self._size * world.camera.pixel_um * cutoff_per_um(world))) + 2
        self._kept = min(kept, self._size // 2 + 1)

    def scene(self, mixture: list[tuple[float, NDArray[np.uint8]]]) -> Floats:
        """Radiance on the camera's grid, about the middle of a tile, of a weighted mixture of displayed pictures."""
        radiance = sum((np.float32(weight) * self._radiance[picture] for weight, picture in mixture), np.float32(0))
        side = 2 * self._reach + 1
        return np.asarray(self._scene_of @ np.ravel(radiance), np.float32).reshape(side, side)

    def mean_radiance(self, mixture: list[tuple[float, NDArray[np.uint8]]]) -> float:
        """Mean of the displayed picture, 0 to 1."""
        return float(sum(weight * self._radiance[picture].mean(dtype=np.float64) for weight, picture in mixture))

    def transfer(self, psfs: Psfs) -> Transfer:
        """Transform of K, for `image`."""
        camera, reach = self._world.camera, self._reach
        blur = self._world.effects.blur
        rows, columns = (np.arange(-reach, side + reach) for side in camera.shape)
        whole = np.zeros((rows.size, columns.size), np.float32)
        half_px = psfs.power.shape[-1] * psfs.spacing_um / camera.pixel_um / 2
        for power, centre in zip(psfs.power, self._geometry.centres_px, strict=True):
            parts, matrices = [], []
            for along, middle in zip((rows, columns), centre, strict=True):
                start, stop = np.searchsorted(along, (middle - half_px, middle + half_px))
                positions_um = (along[start:stop] - middle) * camera.pixel_um
                parts.append(slice(int(start), int(stop)))
                matrices.append(sampler(psfs, positions_um, camera.pixel_um, blur.sigma_um if blur.on else 0.0))
            whole[parts[0], parts[1]] += matrices[0] @ power @ matrices[1].T
        wrapped = np.zeros((self._size, self._size), np.float32)
        wrapped[: rows.size, : columns.size] = whole
        # K starts at -reach, and the scene's own middle lies at +reach
        wrapped = np.roll(wrapped, (-2 * reach, -2 * reach), axis=(0, 1))
        spectrum = fft.rfft(wrapped, axis=1)[:, : self._kept]
        return np.asarray(fft.fft(spectrum, axis=0), np.complex64)

    def image(self, scene: Floats, transfer: Transfer) -> Floats:
        """Light on the sensor, (H, W); a fresh array."""
        height, width = self._world.camera.shape
        spectrum = fft.rfft(scene, self._size, axis=1)[:, : self._kept]
        spectrum = fft.fft(spectrum, self._size, axis=0, overwrite_x=True)
        spectrum *= transfer
        rows = fft.ifft(spectrum, axis=0, overwrite_x=True)[:height]
        return np.asarray(fft.irfft(rows, self._size, axis=1)[:, :width], np.float32)


def _radiance(world: WorldFile) -> Floats:
    gamma = world.effects.display_gamma
    level = np.arange(256) / 255
    return (level**gamma.gamma if gamma.on else level).astype(np.float32)


def _scene_map(world: WorldFile, geometry: Geometry) -> tuple[sparse.csr_array, int]:
    """Map displayed pixels to the camera's grid, sparse: a display pixel's light goes to the four nearest pixels."""
    height, width = world.display.shape
    row, column = np.divmod(np.arange(height * width), width)
    offsets = np.stack([row, column], axis=1) - np.array(geometry.display_centre)
    at = offsets @ geometry.matrix.T
    reach = int(np.ceil(np.abs(at).max())) + 1
    side = 2 * reach + 1
    area = abs(np.linalg.det(geometry.matrix))
    light = area * _falloff(world, at)
    corner = np.floor(at).astype(np.int64)
    part = at - corner
    weights, targets = [], []
    for down in (0, 1):
        for right in (0, 1):
            share = np.abs(1 - down - part[:, 0]) * np.abs(1 - right - part[:, 1])
            weights.append(light * share)
            targets.append((corner[:, 0] + down + reach) * side + corner[:, 1] + right + reach)
    pixels = np.tile(np.arange(height * width), 4)
    entries = (np.concatenate(weights).astype(np.float32), (np.concatenate(targets), pixels))
    return sparse.coo_array(entries, shape=(side * side, height * width)).tocsr(), reach


def _falloff(world: WorldFile, at_px: NDArray[np.float64]) -> NDArray[np.float64]:
    vignetting = world.effects.vignetting
    if not vignetting.on:
        return np.ones(len(at_px))
    corner_px = world.camera.tile_pitch_um / world.camera.pixel_um / np.sqrt(2)
    return np.asarray(1 - vignetting.tile_corner * np.minimum(1.0, (at_px**2).sum(axis=1) / corner_px**2))
