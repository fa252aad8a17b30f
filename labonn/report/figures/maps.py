"""Figures of feature maps: one image, seen by several models and by the bench."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from labonn.report.figures.canvas import INK, NEGATIVE_SIGN, SMALL
from labonn.report.figures.grid import Grid

_MEASURED = "captured"
LARGEST = 16  # maps that are drawn


def feature_maps(rows: Mapping[str, NDArray[Any]]) -> Figure:
    """Draw the signed feature maps of one image, and how the captured ones differ from the others.

    Parameters
    ----------
    rows
        Name ("simulated", "captured", "twin") -> (K, H, W); of many kernels the first 16 are drawn. All of one kernel
        share one scale, differences included, with zero in white. Differences are taken from "captured", or from the
        last row where none is called so; below each stands its root mean square in per cent of the captured map's.
    """
    measured = _MEASURED if _MEASURED in rows else list(rows)[-1]
    shown = {name: np.asarray(maps, dtype=float)[:LARGEST] for name, maps in rows.items()}
    base = shown[measured]
    differences = {
        f"{measured}\n{NEGATIVE_SIGN} {name}": base - maps for name, maps in shown.items() if name != measured
    }
    spread = [max(float(np.abs(maps[k]).max()) for maps in shown.values()) or 1.0 for k in range(len(base))]
    columns = len(base)
    lines = [*shown.items(), *differences.items()]
    differ = [name in differences for name, _ in lines]
    grid = Grid(base.shape[1:], columns, width_in=1.1, above=[line == 0 for line in range(len(lines))], below=differ)
    image = None
    for line, (name, maps) in enumerate(lines):
        grid.name_row(line, name)
        for k in range(columns):
            above = "" if line else f"kernel {k}"
            below = f"{_relative_percent(maps[k], base[k]):.0f} %" if differ[line] else ""
            image = grid.draw(line, k, maps[k] / spread[k], above=above, below=below, cmap="RdBu_r", vmin=-1, vmax=1)
    caption = (
        f"each {base.shape[1]} x {base.shape[2]} taps; below a difference: its rms in per cent of the {measured} map's"
    )
    grid.figure.supxlabel(caption, size=SMALL, color=INK)
    if image is not None:
        grid.add_bar(image, "feature, in units of the kernel's largest", ticks=[-1, 0, 1])
    return grid.figure


def _relative_percent(difference: NDArray[Any], base: NDArray[Any]) -> float:
    norm = float(np.sqrt(np.mean(base**2)))
    return 100.0 * float(np.sqrt(np.mean(difference**2))) / norm if norm > 0 else 0.0
