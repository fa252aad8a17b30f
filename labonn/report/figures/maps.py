"""Figures of feature maps: one image, seen by several models and by the bench."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from labonn.report.figures.canvas import INK, NEGATIVE_SIGN, NORMAL, SMALL, bare, sheet

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
    figure = sheet(1.1 + 1.15 * columns, 0.5 + 1.28 * len(lines))
    grid: NDArray[Any] = figure.subplots(len(lines), columns, squeeze=False)
    image = None
    for line, (name, maps) in enumerate(lines):
        for k, axes in enumerate(grid[line]):
            bare(axes)
            image = axes.imshow(maps[k] / spread[k], cmap="RdBu_r", vmin=-1, vmax=1, interpolation="nearest")
            if line == 0:
                axes.set_title(f"kernel {k}", size=NORMAL, color=INK)
            if name in differences:
                axes.set_xlabel(f"{_relative_percent(maps[k], base[k]):.0f} %", size=SMALL, color=INK)
        grid[line, 0].set_ylabel(name, size=NORMAL, color=INK)
    figure.supxlabel(
        f"each {base.shape[1]} x {base.shape[2]} taps; below a difference: its rms in per cent of the {measured} map's",
        size=SMALL,
        color=INK,
    )
    if image is not None:
        bar = figure.colorbar(image, ax=grid, location="right", aspect=40, pad=0.015, ticks=[-1, 0, 1])
        bar.ax.tick_params(labelsize=SMALL)
        bar.set_label("feature, in units of the kernel's largest", size=NORMAL)
    return figure


def _relative_percent(difference: NDArray[Any], base: NDArray[Any]) -> float:
    norm = float(np.sqrt(np.mean(base**2)))
    return 100.0 * float(np.sqrt(np.mean(difference**2))) / norm if norm > 0 else 0.0
