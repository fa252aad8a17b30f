"""What a calibration was made for, and where that is no longer so."""

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import numpy as np

from labonn.capture.before import Pattern
from labonn.design import Layout
from labonn.instruments import Bench

_CAMERA = ("camera", "frame", "roi", "binning", "bit_depth")
_TILES = (*_CAMERA, "optic", "tiles", "exposure_ms")
DEPENDS_ON: dict[str, tuple[str, ...]] = {
    "exposure": (*_CAMERA, "optic", "light_mw"),
    "dark": (*_CAMERA, "exposure_ms"),
    "colour": (*_TILES, "display", "filters"),
    "flat": _TILES,
    "geometry": _TILES,
    "tile-gain": _TILES,
    "psf": _TILES,
    "phase-table": ("slm", "wavelength_nm"),
    "settling": (*_CAMERA, "display"),
    "photon-transfer": _CAMERA,
    "maps": (*_CAMERA, "optic", "tiles", "pattern"),
}
"""Kind of calibration -> what it holds for alone, by the names of `conditions`."""


def conditions(
    bench: Bench, layout: Layout, image_shape: tuple[int, int], pattern: Pattern | None = None
) -> dict[str, Any]:
    """Say how a bench is set up now, ready for JSON.

    Parameters
    ----------
    bench
        An open bench.
    layout
        Which sub-aperture makes which tile.
    image_shape
        Taps of an image, (h, w).
    pattern
        What captures are made with: the levels that its phase becomes count, with the table that is in use; where the
        optic is fixed, the maps that are expected of it.
    """
    geometry, optic = bench.config.geometry, bench.config.optic
    centres_um = layout.tile_centres_um(geometry.tile_pitch_um).round(3).tolist()
    colours = [bench.camera.filters, bench.display.planes]
    where = [geometry.model_dump(mode="json"), centres_um, list(image_shape)]
    return {
        **camera_conditions(bench),
        "optic": None if optic is None else optic.serial_number,
        "light_mw": None if bench.light is None else bench.light.working_power_mw,
        "display": bench.display.identify(),
        "slm": bench.slm.identify() if bench.has_slm else None,
        "wavelength_nm": geometry.wavelength_nm,
        "tiles": hash_of([*where, colours] if any(colours) else where),
        "filters": colours if bench.camera.filters else None,
        "pattern": None if pattern is None else hash_of(_of_pattern(pattern, bench)),
    }


def _of_pattern(pattern: Pattern, bench: Bench) -> str:
    told = bench.slm.levels_of(pattern.phase_rad) if pattern.phase_rad is not None else pattern.predicted_tiles
    return sha256(np.ascontiguousarray(told).tobytes()).hexdigest()


def camera_conditions(bench: Bench) -> dict[str, Any]:
    """Say which camera there is, and how it is read out."""
    camera = bench.camera
    return {
        "camera": camera.identify(),
        "frame": list(camera.shape),
        "roi": None if camera.roi is None else list(camera.roi),
        "binning": camera.binning,
        "bit_depth": camera.bit_depth,
    }


def made_for(kind: str, now: Mapping[str, Any]) -> dict[str, Any]:
    """Pick what a kind of calibration depends on."""
    return {name: now[name] for name in DEPENDS_ON[kind] if name in now}


def hash_of(value: Any) -> str:
    """Hash what JSON can hold: the same for the same content."""
    return sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()[:16]


def misfit(made: Mapping[str, Any], now: Mapping[str, Any]) -> str | None:
    """Say which conditions differ; None where none does."""
    differ = [name for name in now if made.get(name) != now[name]]
    if not differ:
        return None
    return "; ".join(f"it was made for {name} = {made.get(name)!r}, and here it is {now[name]!r}" for name in differ)
