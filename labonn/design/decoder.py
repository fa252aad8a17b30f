"""The layers of an up-convolutional backend, as numbers: what is built of them is counted by them."""

from dataclasses import dataclass
from math import prod

from labonn.design.design import Design


@dataclass(frozen=True)
class Level:
    """One scale of the backend; the first is the maps' own, each further one has half its height and width."""

    maps: int
    """Of the optics, read at this scale: its own, and those of all finer scales, pooled."""
    width: int
    """Channels of its layers."""


@dataclass(frozen=True)
class Convolution:
    """A layer, as it is counted."""

    inputs: int
    outputs: int
    taps: int
    pixels: int
    """Positions at which all its taps are multiplied."""
    rectified: bool = True

    @property
    def parameters(self) -> int:
        """Weights and biases."""
        return (self.inputs * self.taps**2 + 1) * self.outputs

    @property
    def macs(self) -> int:
        """Multiply-accumulates for one image."""
        return self.inputs * self.taps**2 * self.outputs * self.pixels


def levels(scales: tuple[int, ...], widths: tuple[int, ...], maps: int) -> tuple[Level, ...]:
    """The scales of a backend, the finest first.

    Parameters
    ----------
    scales
        Maps of each scale; empty where all of them are of the finest.
    widths
        Channels at each scale; there may be more of them than scales of maps.
    maps
        All maps.
    """
    read, found = 0, []
    for place, width in enumerate(widths):
        read = maps if not scales else read + (scales[place] if place < len(scales) else 0)
        found.append(Level(read, width))
    return tuple(found)


def convolutions(design: Design) -> tuple[Convolution, ...]:
    """Every layer of a design's backend, in the order in which they are computed."""
    pixels, widths, classes = prod(design.image_shape), design.backend.widths, design.classes
    if not widths:
        return (Convolution(design.optic.maps, classes, 1, pixels, rectified=False),)
    *finer, deepest = levels(design.backend.scales, widths, design.optic.maps)
    at = pixels // 4 ** len(finer)
    layers = [Convolution(deepest.maps, deepest.width, 3, at), Convolution(deepest.width, deepest.width, 3, at)]
    width = deepest.width
    for level in reversed(finer):
        layers.append(Convolution(width, level.width, 2, at, rectified=False))
        at *= 4
        layers.append(Convolution(level.width + level.maps, level.width, 3, at))
        width = level.width
    return (*layers, Convolution(width, classes, 1, pixels, rectified=False))
