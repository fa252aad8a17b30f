"""Pictures for the input display: an image, or a plain field."""

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from labonn.errors import ConfigError
from labonn.instruments import Bench

T = TypeVar("T", bound=np.generic)


def levels_of_scene(image: NDArray[np.floating[Any]], bench: Bench) -> NDArray[np.uint8]:
    """Levels of the display that an image is sent as: those of `scene_of`, sooner."""
    return _enlarged(bench.display.levels_of_part(image), bench)


def scene_of(image: NDArray[np.floating[Any]], bench: Bench) -> NDArray[np.float32]:
    """Put an image in the middle of the display, each of its pixels as a square of display pixels, black around it.

    Parameters
    ----------
    image
        (h, w) in [0, 1].
    bench
        Says how large the display is and how many of its pixels make one of the image.

    Raises
    ------
    ConfigError
        If the image does not fit the display.
    """
    return _enlarged(np.asarray(image, np.float32), bench)


def _enlarged(image: NDArray[T], bench: Bench) -> NDArray[T]:
    scale = bench.config.geometry.display_px_per_tap
    height, width = bench.display.shape
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


def plain_scene(brightness: float, bench: Bench) -> NDArray[np.float32]:
    """Fill the whole display with one brightness in [0, 1]."""
    return np.full(bench.display.shape, brightness, np.float32)
