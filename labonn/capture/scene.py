"""Pictures for the input display: an image, or a plain field; grey, or in colour."""

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from labonn.errors import ConfigError
from labonn.instruments import COLOURS, Bench

T = TypeVar("T", bound=np.generic)


def levels_of_scene(image: NDArray[np.floating[Any]], bench: Bench) -> NDArray[np.uint8]:
    """Levels of the display that an image is sent as: those of `scene_of`, sooner."""
    return _enlarged(bench.display.levels_of_part(image), bench)


def scene_of(image: NDArray[np.floating[Any]], bench: Bench) -> NDArray[np.float32]:
    """Put an image in the middle of the display, each of its pixels as a square of display pixels, black around it.

    Parameters
    ----------
    image
        (h, w) in [0, 1], on a colour display in white; or (C, h, w), in the order of `COLOURS`.
    bench
        Says how large the display is and how many of its pixels make one of the image.

    Raises
    ------
    ConfigError
        If the image does not fit the display, in size or in colours.
    """
    return _enlarged(np.asarray(image, np.float32), bench)


def shown_in(plane: NDArray[T], bench: Bench, colour: int | None = None) -> NDArray[T]:
    """Give the picture (H, W) of a plane (h, w): in one colour of a colour display, or in all of them alike: white."""
    planes = bench.display.planes
    if planes is None:
        return plane
    colours = np.zeros((len(planes), *plane.shape), plane.dtype)
    colours[slice(None) if colour is None else colour] = plane
    return bench.display.stacked(colours)


def plain_scene(brightness: float, bench: Bench, colour: int | None = None) -> NDArray[np.float32]:
    """Fill the whole display with one brightness in [0, 1], white or in one colour."""
    return shown_in(np.full(bench.display.plane_shape, brightness, np.float32), bench, colour)


def _enlarged(image: NDArray[T], bench: Bench) -> NDArray[T]:
    if image.ndim == 2:
        return shown_in(_plane(image, bench), bench)
    if bench.display.planes is None or len(image) != len(COLOURS):
        has = "shows grey" if bench.display.planes is None else f"has {len(COLOURS)} colours, {COLOURS}"
        raise ConfigError(
            f"an image of {len(image)} colours, {image.shape} (colours, height, width): the display of bench"
            f" {bench.name!r} {has}; choose another data set, or say planes in the display's table of the bench file"
        )
    return bench.display.stacked(np.stack([_plane(plane, bench) for plane in image]))


def _plane(image: NDArray[T], bench: Bench) -> NDArray[T]:
    scale = bench.config.geometry.display_px_per_tap
    height, width = bench.display.plane_shape
    rows, columns = image.shape[0] * scale, image.shape[1] * scale
    if rows > height or columns > width:
        raise ConfigError(
            f"an image of {image.shape[0]} x {image.shape[1]} at display_px_per_tap = {scale} needs {rows} x {columns}"
            f" px; the display of bench {bench.name!r} has {height} x {width}"
        )
    scene = np.zeros((height, width), image.dtype)
    top, left = (height - rows) // 2, (width - columns) // 2
    scene[top : top + rows, left : left + columns] = image.repeat(scale, axis=0).repeat(scale, axis=1)
    return scene
