"""All that light meets in one world, with what is costly kept until something that it depends on changes."""

import threading
from collections import OrderedDict
from dataclasses import dataclass, replace
from hashlib import sha1
from math import floor

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sim.draws import Draws, draw
from sim.drift import UNMOVED, Moved
from sim.geometry import Geometry, lay
from sim.imaging import FIELD, Imager, crosstalk
from sim.psf import Psfs, blur_um, compute_psfs, sampler, source_points_um, spectrum
from sim.pupil import PLAIN, Levels, Pupils, Variant, make_pupils
from sim.spectrum import Transfer
from sim.world_file import WorldFile

_KEPT_PATTERNS = 4
# what each part is made from; a change of anything else leaves it as it is
_PUPIL_EFFECTS = (
    "phase_table",
    "fringing",
    "zero_order",
    "slm_dead_pixels",
    "slm_flicker",
    "aberrations",
    "phase_screen",
    "fabrication",
    "field_dependence",
    "bandwidth",
    "chromatic",
    "quantum_efficiency",
    "measured_psf",
    "beam",
    "tile_gain",
    "thermal_drift",
)
_IMAGER_EFFECTS = (
    "bandwidth",
    "blur",
    "partial_coherence",
    "misalignment",
    "shear",
    "tile_shift",
    "vignetting",
    "ghosts",
    "field_dependence",
    "display_gamma",
    "display_grid",
    "display_dead_pixels",
)


@dataclass(frozen=True)
class Moment:
    """How things stand in the mean of one exposure."""

    moved: Moved = UNMOVED
    flicker: tuple[float, float] = (0.0, 0.0)
    """How much of it the liquid crystal's phase is at its least, and at its greatest; see `sim.flicker`."""


STILL = Moment()
_Key = tuple[str, int, Variant]


def content_key(pixels: NDArray[np.uint8]) -> str:
    """Name a picture or pattern by its content."""
    return sha1(np.ascontiguousarray(pixels).data, usedforsecurity=False).hexdigest()


class Optics:
    """One world's optical path; safe to use from several threads."""

    def __init__(self, world: WorldFile, seed: int) -> None:
        self._lock = threading.RLock()
        self._set(world, seed)
        self._pupils: Pupils | None = None
        self._imager: Imager | None = None
        self._psfs: OrderedDict[_Key, Psfs] = OrderedDict()
        self._transfers: OrderedDict[_Key, Transfer] = OrderedDict()
        self._over_field: OrderedDict[tuple[str, int], Transfer] = OrderedDict()
        self._changes: OrderedDict[tuple[str, int, Moment], Transfer | None] = OrderedDict()

    def _set(self, world: WorldFile, seed: int) -> None:
        self.world = world
        self.draws: Draws = draw(seed, world.lenslets.count)
        self.geometry: Geometry = lay(world, self.draws)
        fields = 1 + (len(FIELD) if world.effects.field_dependence.on else 1)
        moving = 2 * world.effects.slm_flicker.on + 3 * (world.effects.thermal_drift.on or world.effects.knock.on)
        self._kept = _KEPT_PATTERNS * len(world.source.lines_nm) * (fields + moving)

    def follow(self, world: WorldFile, seed: int) -> None:
        """Put another world file, or another seed, behind the same bench; make anew only what depends on the change."""
        with self._lock:
            old, reseeded = self.world, seed != self.draws.seed
            self._set(world, seed)
            if reseeded or _differ(old, world, _PUPIL_EFFECTS):
                self._pupils = None
                self._psfs.clear()
                self._forget_transfers()
            if reseeded or _differ(old, world, _IMAGER_EFFECTS):
                self._imager = None
                self._forget_transfers()

    def _forget_transfers(self) -> None:
        for kept in (self._transfers, self._over_field, self._changes):
            kept.clear()

    @property
    def imager(self) -> Imager:
        """The way from a displayed picture to the sensor."""
        with self._lock:
            if self._imager is None:
                self._imager = Imager(self.world, self.geometry, self.draws.seed)
            return self._imager

    def psfs(self, levels: Levels, key: str = "", channel: int = 0, variant: Variant = PLAIN) -> Psfs:
        """Return a pattern's PSFs; about 4 s on one core where they are not known yet."""
        with self._lock:
            known = (key or content_key(levels), channel, variant)
            if known not in self._psfs:
                self._pupils = self._pupils or make_pupils(self.world, self.draws)
                self._psfs[known] = compute_psfs(self._pupils, levels, variant, channel)
                while len(self._psfs) > 2:  # 38 MB each, and only tests look at them
                    self._psfs.popitem(last=False)
            return self._psfs[known]

    def transfer(self, levels: Levels, key: str = "", channel: int = 0) -> Transfer:
        """Return what `Imager.image` needs to know of a pattern; `key` names its content, where known."""
        key = key or content_key(levels)
        if not self.world.effects.field_dependence.on:
            return self._transfer(levels, key, channel, PLAIN)
        with self._lock:
            if (key, channel) not in self._over_field:
                fields = [self._transfer(levels, key, channel, Variant(field=field)) for field in FIELD]
                self._over_field[key, channel] = np.stack(fields)
                while len(self._over_field) > _KEPT_PATTERNS * len(self.world.source.lines_nm):
                    self._over_field.popitem(last=False)
            return self._over_field[key, channel]

    def change(self, levels: Levels, key: str, channel: int, moment: Moment) -> Transfer | None:
        """Return what focus and flicker add to the transfer at some moment; linear between the focus steps.

        It is computed for the middle of the field, and taken as the same all over it.
        """
        if moment == STILL:
            return None
        known = (key, channel, moment)
        with self._lock:
            if known not in self._changes:
                self._changes[known] = self._changed(levels, key, channel, moment)
                while len(self._changes) > _KEPT_PATTERNS * len(self.world.source.lines_nm):
                    self._changes.popitem(last=False)
            return self._changes[known]

    def prepare(self, levels: Levels, moment: Moment) -> None:
        """Compute what a pattern needs from this moment on, so that no exposure has to wait for it."""
        key = content_key(levels)
        for channel in range(len(self.world.source.lines_nm)):
            self.transfer(levels, key, channel)
            self.change(levels, key, channel, moment)

    def psf(self, levels: Levels, tile: int, pixel_um: float, side: int, channel: int = 0) -> NDArray[np.float32]:
        """Return the PSF of one sub-aperture in `side` x `side` pixels about its axis, with the display's blur."""
        psfs = self.psfs(levels, channel=channel)
        positions_um = np.asarray((np.arange(side) - (side - 1) / 2) * pixel_um, np.float64)
        matrix = sampler(psfs, positions_um, pixel_um, blur_um(self.world), source_points_um(self.world))
        return np.asarray(matrix @ psfs.power[tile] @ matrix.T, np.float32)

    def crosstalk(self, levels: Levels, channel: int = 0) -> NDArray[np.float64]:
        """Return which share of each sub-aperture's light falls on each tile, (T, T); see `sim.imaging.crosstalk`."""
        return crosstalk(self.psfs(levels, channel=channel), self.geometry, self.world)

    def _transfer(self, levels: Levels, key: str, channel: int, variant: Variant) -> Transfer:
        with self._lock:
            known = (key, channel, variant)
            if known not in self._transfers:
                self._transfers[known] = self._computed(levels, key, channel, variant)
                while len(self._transfers) > self._kept:
                    self._transfers.popitem(last=False)
            self._transfers.move_to_end(known)
            return self._transfers[known]

    def _computed(self, levels: Levels, key: str, channel: int, variant: Variant) -> Transfer:
        """From the PSFs; what makes a variant of a source with a spectrum another is computed in the line's middle."""
        narrow = variant.one_line or len(spectrum(self.world, channel)) == 1
        if variant == PLAIN or narrow:
            return self.imager.transfer(self.psfs(levels, key, channel, variant))
        other = self.imager.transfer(self.psfs(levels, key, channel, replace(variant, one_line=True)))
        alone = self._transfer(levels, key, channel, replace(PLAIN, one_line=True))
        return np.asarray(self._transfer(levels, key, channel, PLAIN) + (other - alone))

    def _changed(self, levels: Levels, key: str, channel: int, moment: Moment) -> Transfer | None:
        shares: dict[Variant, float] = {}
        step_um, depth = self.world.effects.thermal_drift.focus_step_um, self.world.effects.slm_flicker.depth
        steps = moment.moved.focus_um / step_um
        if steps:
            low = floor(steps)
            shares[Variant(focus_um=low * step_um)] = low + 1 - steps
            shares[Variant(focus_um=(low + 1) * step_um)] = steps - low
        for sign, weight in zip((-1, 1), moment.flicker, strict=True):
            if weight:
                shares[Variant(phase_scale=1 + sign * depth)] = weight
        if not shares:
            return None
        shares[PLAIN] = shares.get(PLAIN, 0.0) - sum(shares.values())
        change: Tensor | None = None
        for variant, share in shares.items():
            if share:
                added = torch.from_numpy(self._transfer(levels, key, channel, variant))
                change = added * share if change is None else change.add_(added, alpha=share)
        return None if change is None else np.asarray(change.numpy())


def _differ(old: WorldFile, new: WorldFile, effects: tuple[str, ...]) -> bool:
    parts = ("slm", "optic", "lenslets", "source", "display", "camera")
    return any(getattr(old, part) != getattr(new, part) for part in parts) or any(
        getattr(old.effects, effect) != getattr(new.effects, effect) for effect in effects
    )
