"""All that light meets in one world, with what is costly kept until something that it depends on changes."""

import threading
from collections import OrderedDict
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from sim.draws import Draws, draw
from sim.geometry import Geometry, lay
from sim.imaging import Imager, Transfer
from sim.psf import Psfs, compute_psfs, sampler
from sim.pupil import Levels, Pupils, make_pupils
from sim.world_file import WorldFile

_KEPT_PATTERNS = 4
# what each part is made from; a change of anything else leaves it as it is
_PUPIL_EFFECTS = (
    "phase_table",
    "fringing",
    "zero_order",
    "aberrations",
    "phase_screen",
    "bandwidth",
    "beam",
    "tile_gain",
)
_IMAGER_EFFECTS = ("bandwidth", "blur", "misalignment", "tile_shift", "vignetting", "display_gamma")


def content_key(pixels: NDArray[np.uint8]) -> str:
    """Name a picture or pattern by its content."""
    return blake2b(np.ascontiguousarray(pixels).data, digest_size=16).hexdigest()


class Optics:
    """One world's optical path; safe to use from several threads."""

    def __init__(self, world: WorldFile, seed: int) -> None:
        self._lock = threading.RLock()
        self._set(world, seed)
        self._pupils: Pupils | None = None
        self._imager: Imager | None = None
        self._psfs: OrderedDict[str, Psfs] = OrderedDict()
        self._transfers: OrderedDict[str, Transfer] = OrderedDict()

    def _set(self, world: WorldFile, seed: int) -> None:
        self.world = world
        self.draws: Draws = draw(seed, world.lenslets.count)
        self.geometry: Geometry = lay(world, self.draws)

    def change(self, world: WorldFile, seed: int) -> None:
        """Put another world file, or another seed, behind the same bench; make anew only what depends on the change."""
        with self._lock:
            old, reseeded = self.world, seed != self.draws.seed
            self._set(world, seed)
            if reseeded or _differ(old, world, _PUPIL_EFFECTS):
                self._pupils = None
                self._psfs.clear()
                self._transfers.clear()
            if reseeded or _differ(old, world, _IMAGER_EFFECTS):
                self._imager = None
                self._transfers.clear()

    @property
    def imager(self) -> Imager:
        """The way from a displayed picture to the sensor."""
        with self._lock:
            if self._imager is None:
                self._imager = Imager(self.world, self.geometry)
            return self._imager

    def psfs(self, levels: Levels, key: str = "") -> Psfs:
        """Return a pattern's PSFs; about 4 s on one core where they are not known yet."""
        with self._lock:
            key = key or content_key(levels)
            if key not in self._psfs:
                self._pupils = self._pupils or make_pupils(self.world, self.draws)
                self._psfs[key] = compute_psfs(self._pupils, levels)
                while len(self._psfs) > 2:  # 38 MB each, and only tests look at them
                    self._psfs.popitem(last=False)
            return self._psfs[key]

    def transfer(self, levels: Levels, key: str = "") -> Transfer:
        """Return what `Imager.image` needs to know of a pattern; `key` names its content, where known."""
        with self._lock:
            key = key or content_key(levels)
            if key not in self._transfers:
                self._transfers[key] = self.imager.transfer(self.psfs(levels, key))
                while len(self._transfers) > _KEPT_PATTERNS:
                    self._transfers.popitem(last=False)
            self._transfers.move_to_end(key)
            return self._transfers[key]

    def psf(self, levels: Levels, tile: int, pixel_um: float, side: int) -> NDArray[np.float32]:
        """Return the PSF of one sub-aperture in `side` x `side` pixels about its axis, with the display's blur."""
        psfs, blur = self.psfs(levels), self.world.effects.blur
        positions_um = np.asarray((np.arange(side) - (side - 1) / 2) * pixel_um, np.float64)
        matrix = sampler(psfs, positions_um, pixel_um, blur.sigma_um if blur.on else 0.0)
        return np.asarray(matrix @ psfs.power[tile] @ matrix.T, np.float32)


def _differ(old: WorldFile, new: WorldFile, effects: tuple[str, ...]) -> bool:
    parts = ("slm", "lenslets", "source", "display", "camera")
    return any(getattr(old, part) != getattr(new, part) for part in parts) or any(
        getattr(old.effects, effect) != getattr(new.effects, effect) for effect in effects
    )
