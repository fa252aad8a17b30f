r"""Incoherent imaging of the display through all sub-apertures at once.

The scene is the same for every sub-aperture, so the sensor's picture is one convolution of the scene with the sum of
all PSFs, each at its tile's centre:

    I = S * K,   K(x) = sum_s PSF_s(x - c_s)

which holds every overlap and crosstalk between tiles. K's transform is kept; a new picture costs one forward and one
inverse transform. Both skip the frequencies that the sub-apertures' diffraction limit empties (half of each axis). What
a binned camera sees is computed on its own coarser grid; see `sim.spectrum`.

Where the PSFs differ over the field, they are linear between its centre and its corners, and so is the picture:

    I = sum_f (w_f S) * K_f,   sum_f w_f = 1

What changes from moment to moment, a K' that is the same all over the field and a shift, enters behind that sum:

    I(x) = I'(x - shift),   I' = sum_f (w_f S) * K_f + S * K'
"""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.ndimage import gaussian_filter, shift

from sim.draws import stream
from sim.geometry import Geometry
from sim.psf import Psfs, blur_um, cutoff_per_um, sampler, source_points_um
from sim.spectrum import Spectra, Transfer, mean_of_squares
from sim.world_file import WorldFile

Floats = NDArray[np.float32]
FIELD: tuple[tuple[float, float], ...] = ((0.0, 0.0), (-1.0, -1.0), (-1.0, 1.0), (1.0, -1.0), (1.0, 1.0))
"""Where in the field PSFs are computed, if they differ: 1 is the display's edge."""
_CELLS = 128  # along a tile's square
_KEPT_AVERAGED = 8


@dataclass(frozen=True)
class Channel:
    """One colour of the source, as it is displayed and as it is seen.

    Attributes
    ----------
    radiance
        As `Imager.radiance` gives it.
    transfer
        That of a pattern, or one for each of the field points.
    change
        What is added to the transfer, all over the field.
    """

    radiance: Floats
    transfer: Transfer
    change: Transfer | None = None


class Imager:
    """The way from a displayed picture to the light on the sensor, for one geometry.

    Light is in units of white: a uniform white scene through a sub-aperture without losses gives 1 in every pixel.
    """

    def __init__(self, world: WorldFile, geometry: Geometry, seed: int) -> None:
        self._world = world
        self._geometry = geometry
        pixels = _sources(world, geometry)
        self._reach = 2 * int(np.ceil((np.abs(pixels.at_px).max() + 1) / 2))  # even, so that it can be halved
        self._scene_of = [_scene_map(pixels, self._reach, binning) for binning in (1, 2)]
        self._field = _field_weights(world, geometry, self._reach)
        self._stuck = _dead_pixels(world, seed)
        self._radiance = _radiance(world)
        cutoff = world.camera.pixel_um * cutoff_per_um(world)
        self._spectra = Spectra.below(cutoff, world.camera.shape, self._reach)
        self._halved = self._spectra.halved()
        self._averaging = threading.Lock()
        self._averaged_of: OrderedDict[int, tuple[Transfer, Transfer]] = OrderedDict()  # by the first one's id

    def radiance(self, mixture: list[tuple[float, NDArray[np.uint8]]], channel: int = 0) -> Floats:
        """Radiance of the display's pixels, 0 to 1, of a weighted mixture of pictures."""
        height = self._world.display.shape[0]
        plane = slice(channel * height, (channel + 1) * height)
        parts = [self._radiance.take(picture[plane], mode="clip") for _, picture in mixture]  # "clip": checks nothing
        radiance = parts[0]
        if len(parts) > 1 or mixture[0][0] != 1.0:
            radiance = np.asarray(
                sum(np.float32(weight) * part for (weight, _), part in zip(mixture, parts, strict=True))
            )
        if self._stuck is not None:
            radiance.flat[self._stuck[0]] = self._stuck[1]
        return radiance

    def scene(self, radiance: Floats, binning: int = 1) -> Floats:
        """Radiance on the camera's grid (of 1, or of 2 x 2 pixels), about the middle of a tile."""
        side = 2 * self._reach // binning + 1
        return np.asarray(self._scene_of[binning - 1] @ radiance.ravel(), np.float32).reshape(side, side)

    def transfer(self, psfs: Psfs) -> Transfer:
        """Transform of K, for `image`."""
        camera, reach = self._world.camera, self._reach
        blurred_um, points_um = blur_um(self._world), source_points_um(self._world)
        rows, columns = (np.arange(-reach, side + reach) for side in camera.shape)
        whole = np.zeros((rows.size, columns.size), np.float32)
        half_px = psfs.power.shape[-1] * psfs.spacing_um / camera.pixel_um / 2
        for power, centre in zip(psfs.power, self._geometry.centres_px, strict=True):
            parts, matrices = [], []
            for along, middle in zip((rows, columns), centre, strict=True):
                start, stop = np.searchsorted(along, (middle - half_px, middle + half_px))
                positions_um = (along[start:stop] - middle) * camera.pixel_um
                parts.append(slice(int(start), int(stop)))
                matrices.append(sampler(psfs, positions_um, camera.pixel_um, blurred_um, points_um))
            whole[parts[0], parts[1]] += matrices[0] @ power @ matrices[1].T
        if self._world.effects.ghosts.on:
            whole += _ghost(whole, self._world)
        return self._spectra.of_kernel(whole)

    def image(
        self,
        radiance: Floats,
        transfer: Transfer,
        binning: int = 1,
        *,
        change: Transfer | None = None,
        shift_px: tuple[float, float] = (0.0, 0.0),
    ) -> Floats:
        """Light on the sensor of one channel alone, without filters; see `light`."""
        return self.light([Channel(radiance, transfer, change)], binning, shift_px=shift_px)

    def light(
        self,
        channels: Sequence[Channel],
        binning: int = 1,
        *,
        shift_px: tuple[float, float] = (0.0, 0.0),
        shares: Floats | None = None,
    ) -> Floats:
        """Light on the sensor, (H, W), or its means over squares of 1, 2 or 4 pixels; a fresh array.

        Parameters
        ----------
        channels
            The colours, whose light adds up.
        binning
            How many pixels, both axes, are averaged.
        shift_px
            How far everything on the sensor has moved (down, right), in its own pixels.
        shares
            Of the channels' light that pixels see at even and odd rows and columns, (2, 2, C); all of it, if not said.
        """
        # a mosaic stands before the sensor's own pixels, so there is nothing to be gained by binning before it
        step = min(binning, 2) if shares is None else 1
        spectra = self._spectra if step == 1 else self._halved
        pairs = [self._pairs(channel, step) for channel in channels]
        together = [pair for mine in pairs for pair in mine]
        found = [spectra.through(mine, at) for at, mine in enumerate([together] if shares is None else pairs)]
        if any(shift_px):
            found = [spectra.shifted(spectrum, (shift_px[0] / step, shift_px[1] / step)) for spectrum in found]
        seen = spectra.picture(found[0]) if shares is None else spectra.mosaic(found, shares)
        return mean_of_squares(seen, binning // step)

    def _pairs(self, channel: Channel, step: int) -> list[tuple[Floats, Transfer]]:
        """What a channel's picture is the sum of: scenes, and the transforms of what they are convolved with."""
        spectra = self._spectra if step == 1 else self._halved
        transfer, change = channel.transfer, channel.change
        parts = (transfer if step == 1 else self._averaged(transfer)).reshape(-1, *spectra.spectrum_shape)
        scene = self.scene(channel.radiance, step)
        scenes = [scene] if len(parts) == 1 else self._field[:, ::step, ::step] * scene
        pairs = list(zip(scenes, parts, strict=True))
        if change is not None:
            pairs.append((scene, (change if step == 1 else self._averaged(change)).reshape(spectra.spectrum_shape)))
        return pairs

    def _averaged(self, transfer: Transfer) -> Transfer:
        """The transfer for a binned camera, kept for the next picture through the same optics."""
        with self._averaging:
            if id(transfer) not in self._averaged_of:
                parts = [self._halved.averaged(part) for part in transfer.reshape(-1, *transfer.shape[-2:])]
                self._averaged_of[id(transfer)] = transfer, np.stack(parts)
                while len(self._averaged_of) > _KEPT_AVERAGED:
                    self._averaged_of.popitem(last=False)
            self._averaged_of.move_to_end(id(transfer))
            return self._averaged_of[id(transfer)][1]


def _radiance(world: WorldFile) -> Floats:
    gamma = world.effects.display_gamma
    level = np.arange(256) / 255
    return (level**gamma.gamma if gamma.on else level).astype(np.float32)


@dataclass(frozen=True)
class _Sources:
    """The display's pixels as they arrive: points that stand for them, each with its light."""

    pixel: NDArray[np.int64]
    at_px: NDArray[np.float64]  # (n, 2) from the middle of a tile
    light: NDArray[np.float64]
    pixels: int


def _sources(world: WorldFile, geometry: Geometry) -> _Sources:
    height, width = world.display.shape
    row, column = np.divmod(np.arange(height * width), width)
    offsets = np.stack([row, column], axis=1) - np.array(geometry.display_centre)
    within = _within_pixel(world)
    offsets = (offsets[None] + within[:, None]).reshape(-1, 2) if len(within) > 1 else offsets
    at_px = offsets @ geometry.matrix.T
    area = abs(np.linalg.det(geometry.matrix)) / len(within)
    grid = world.effects.display_grid
    area *= grid.fill_factor if grid.on else 1.0
    pixel = np.tile(np.arange(height * width), len(within))
    return _Sources(pixel, at_px, area * _falloff(world, at_px), height * width)


def _scene_map(sources: _Sources, reach: int, binning: int) -> sparse.csr_array:
    """Map displayed pixels to the camera's grid, sparse: a point's light goes to the four nearest pixels."""
    at, reach = sources.at_px / binning, reach // binning
    side = 2 * reach + 1
    corner = np.floor(at).astype(np.int64)
    part = at - corner
    weights, targets = [], []
    for down in (0, 1):
        for right in (0, 1):
            share = np.abs(1 - down - part[:, 0]) * np.abs(1 - right - part[:, 1])
            weights.append(sources.light * share)
            targets.append((corner[:, 0] + down + reach) * side + corner[:, 1] + right + reach)
    places = (np.concatenate(targets).astype(np.int32), np.tile(sources.pixel, 4).astype(np.int32))
    entries = (np.concatenate(weights).astype(np.float32), places)
    return sparse.coo_array(entries, shape=(side * side, sources.pixels)).tocsr()


def _falloff(world: WorldFile, at_px: NDArray[np.float64]) -> NDArray[np.float64]:
    vignetting = world.effects.vignetting
    if not vignetting.on:
        return np.ones(len(at_px))
    corner_px = world.camera.tile_pitch_um / world.camera.pixel_um / np.sqrt(2)
    return np.asarray(1 - vignetting.tile_corner * np.minimum(1.0, (at_px**2).sum(axis=1) / corner_px**2))


def _within_pixel(world: WorldFile) -> NDArray[np.float64]:
    """Points, (n, 2) in display pixels, that stand for a display pixel's area: at most half a camera pixel apart."""
    grid = world.effects.display_grid
    if not grid.on:
        return np.zeros((1, 2))
    side = float(np.sqrt(grid.fill_factor))
    count = int(np.ceil(2 * side * world.display.pixel_on_sensor_um / world.camera.pixel_um))
    along = ((np.arange(count) + 0.5) / count - 0.5) * side
    return np.stack(np.meshgrid(along, along, indexing="ij"), axis=-1).reshape(-1, 2)


def _field_weights(world: WorldFile, geometry: Geometry, reach: int) -> Floats:
    """How much of a scene's light, (5, side, side) on the camera's grid, belongs to each of `FIELD`; in all, 1."""
    along = np.arange(-reach, reach + 1, dtype=np.float64)
    down, right = np.meshgrid(along, along, indexing="ij")
    half_px = np.array(world.display.shape) / 2 * np.sqrt(abs(np.linalg.det(geometry.matrix)))
    down, right = np.clip(down / half_px[0], -1, 1), np.clip(right / half_px[1], -1, 1)
    far = np.maximum(np.abs(down), np.abs(right))
    weights = [1 - far]
    for corner_down, corner_right in FIELD[1:]:  # two corners share what the nearest edge has
        vertical, horizontal = np.abs(down) >= np.abs(right), np.abs(right) > np.abs(down)
        share = np.where(vertical & (np.sign(down) == corner_down), (far + corner_right * right) / 2, 0.0)
        share += np.where(horizontal & (np.sign(right) == corner_right), (far + corner_down * down) / 2, 0.0)
        weights.append(share)
    return np.asarray(weights, np.float32)


def _dead_pixels(world: WorldFile, seed: int) -> tuple[NDArray[np.int64], Floats] | None:
    dead = world.effects.display_dead_pixels
    if not dead.on:
        return None
    height, width = world.display.shape
    dark, white = (round(share * height * width) for share in (dead.dark, dead.white))
    order = stream(seed, "display_dead_pixels").permutation(height * width)[: dark + white]
    return order, np.repeat(np.array([0.0, 1.0], np.float32), (dark, white))


def _ghost(whole: Floats, world: WorldFile) -> Floats:
    ghosts = world.effects.ghosts
    copy = gaussian_filter(whole, ghosts.blur_px) if ghosts.blur_px > 0 else whole
    return np.asarray(ghosts.strength * shift(copy, ghosts.offset_px, order=1), np.float32)


def crosstalk(psfs: Psfs, geometry: Geometry, world: WorldFile) -> NDArray[np.float64]:
    """Which share of a sub-aperture's light, (T, T), of a point amid its tile, falls on each tile's square.

    Row: the sub-aperture; column: the tile. What is missing to 1 falls between and beyond the tiles.
    """
    pitch_um = world.camera.tile_pitch_um
    cell_um = pitch_um / _CELLS
    within_um = (np.arange(_CELLS) - (_CELLS - 1) / 2) * cell_um
    squares = np.empty((len(psfs.power), len(psfs.power)))
    for source, power in enumerate(psfs.power):
        away_um = (geometry.centres_px - geometry.centres_px[source]) * world.camera.pixel_um
        down, right = (
            np.stack([sampler(psfs, away + within_um, cell_um).sum(axis=0, dtype=np.float64) for away in along_um])
            for along_um in away_um.T
        )
        squares[source] = np.einsum("ti,ij,tj->t", down, power.astype(np.float64), right)
    return np.asarray(squares / psfs.power.sum(axis=(1, 2), dtype=np.float64)[:, None])
