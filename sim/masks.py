"""The phase masks of a fixed optic, as a file: what its maker was told to make.

`.npz`: `levels`, uint8 (T, n, n), a step of the surface for each pixel of each sub-aperture; `waves_per_level`, the
phase of one step in waves at the optic's nominal wavelength.
"""

from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from sim.errors import SimulationError


def read_masks(path: Path, tiles: int, aperture_px: int) -> NDArray[np.float64]:
    """Read phase in waves, (tiles, aperture_px, aperture_px).

    Raises
    ------
    SimulationError
        If the file cannot be read, or holds masks of another number or size.
    """
    try:
        with np.load(path) as content:
            levels, step = content["levels"], float(content["waves_per_level"])
    except (OSError, KeyError, ValueError, BadZipFile) as error:
        raise SimulationError(f"{path}: cannot be read as masks: {error}") from error
    if levels.shape != (tiles, aperture_px, aperture_px):
        raise SimulationError(f"{path}: masks of {levels.shape}; this world needs {(tiles, aperture_px, aperture_px)}")
    return np.asarray(levels * step, np.float64)


def write_masks(path: Path, waves: NDArray[np.float64], levels_per_wave: int) -> None:
    """Write phase in waves, (tiles, n, n), as steps: `levels_per_wave` of them, whole waves taken out where it can."""
    levels = np.round(waves * levels_per_wave)
    levels -= levels.min(axis=(1, 2), keepdims=True)
    if levels.max() > 255:
        raise SimulationError(f"a mask of {levels.max() / levels_per_wave:g} waves needs more than 255 steps")
    np.savez_compressed(path, levels=levels.astype(np.uint8), waves_per_level=1.0 / levels_per_wave)
