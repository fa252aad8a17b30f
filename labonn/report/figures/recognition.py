"""Figures of what a network makes of images: where it puts them, and which it finds hardest."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from labonn.report.figures.canvas import INK, SMALL, bare, sheet, tidy

COLUMNS = 8


def embedding(points: NDArray[Any], labels: NDArray[np.int64], classes: Sequence[str]) -> Figure:
    """Draw images as points, (N, 2), each class in a colour of its own, and their names beside them."""
    figure = sheet(6.4, 5.2)
    axes = figure.subplots()
    tidy(axes)
    colours = {"cmap": "tab10", "vmin": 0, "vmax": 9} if len(classes) <= 10 else {"cmap": "turbo"}
    drawn = axes.scatter(points[:, 0], points[:, 1], c=labels, s=3, alpha=0.5, **colours)
    there = np.unique(labels)
    handles = drawn.legend_elements(num=list(there), alpha=1.0)[0]
    names = [classes[label] for label in there]
    axes.legend(handles, names, loc="upper left", bbox_to_anchor=(1, 1), frameon=False, fontsize=SMALL)
    axes.set_xlabel("first principal component")
    axes.set_ylabel("second principal component")
    return figure


def overlays(
    images: NDArray[Any], answers: NDArray[np.bool_], masks: NDArray[np.bool_], titles: Sequence[str]
) -> Figure:
    """Draw images (n, 3, H, W) with what was answered and what is there, both (n, H, W): found, missed, not there."""
    grey = np.repeat(images.mean(axis=1, keepdims=True), 3, axis=1)
    tint = np.stack([masks & ~answers, masks & answers, answers & ~masks], axis=1)  # red, green, blue
    return hardest(np.clip(0.65 * grey + 0.35 * tint, 0, 1), titles, columns=4)


def hardest(images: NDArray[Any], titles: Sequence[str], *, columns: int = COLUMNS) -> Figure:
    """Draw images (n, C, H, W) in [0, 1], each with its title."""
    rows = -(-len(images) // columns)
    width_in, shape = 1.15 * COLUMNS / columns, images.shape[2] / images.shape[3]
    figure = sheet(width_in * columns, (width_in * shape + 0.25) * rows)
    for index, axes in enumerate(np.ravel(figure.subplots(rows, columns, squeeze=False))):
        bare(axes)
        if index >= len(images):
            axes.set_axis_off()
            continue
        picture = np.moveaxis(images[index], 0, -1)
        axes.imshow(picture[..., 0] if picture.shape[-1] == 1 else picture, cmap="gray", vmin=0, vmax=1)
        axes.set_title(titles[index], size=SMALL, color=INK, pad=2)
    return figure
