"""How many parameters a design's student has, and what its parts compute for one image."""

from dataclasses import dataclass
from itertools import pairwise
from math import prod

from labonn.design.decoder import convolutions
from labonn.design.design import Design
from labonn.errors import ConfigError


@dataclass(frozen=True)
class Operations:
    """What is computed for one image."""

    optical: int
    """Multiply-accumulates of the convolutions that light does: kernels x taps^2 x colours x pixels."""
    digital: int
    """Multiply-accumulates of the backend's layers."""
    elementwise: int
    """Other digital operations: signed subtraction, sum over colours, rectification, pooling."""


def operations(design: Design) -> Operations:
    """Count operations for one image, as convolutions with zero padding and dense layers do them."""
    pixels, optic, backend = prod(design.image_shape), design.optic, design.backend
    colours = len(optic.wavelengths_nm)
    optical = optic.kernels * optic.taps**2 * colours * pixels
    subtracted = 0 if optic.kind == "lens" else optic.kernels * colours * pixels
    summed = (optic.kernels * colours - optic.maps) * pixels
    read = optic.maps * pixels  # rectified
    if backend.kind == "upconv":
        layers = convolutions(design)
        pooled = sum(read // 4**halved for halved in range(len(backend.widths) - 1))  # added up, scale after scale
        behind = sum(layer.outputs * layer.pixels for layer in layers if layer.rectified)
        return Operations(optical, sum(layer.macs for layer in layers), subtracted + summed + read + pooled + behind)
    elementwise = subtracted + summed + read * (2 if backend.pool > 1 else 1) + sum(backend.widths)
    return Operations(optical, sum(a * b for a, b in pairwise(dense_widths(design))), elementwise)


def parameters(design: Design) -> int:
    """Count the student's parameters: both halves of its trained kernels in each colour, and its backend."""
    optic = design.optic
    taps = optic.sub_apertures * len(optic.wavelengths_nm) * optic.taps**2 if optic.kind == "trained" else 0
    if design.backend.kind == "upconv":
        return taps + sum(layer.parameters for layer in convolutions(design))
    return taps + sum((a + 1) * b for a, b in pairwise(dense_widths(design)))


def check_parameters(design: Design) -> None:
    """Refuse a student that is larger than its design allows.

    Raises
    ------
    ConfigError
        If it is.
    """
    counted, most = parameters(design), design.max_parameters
    if most is not None and counted > most:
        raise ConfigError(
            f"the student has {counted:,} parameters, and max_parameters = {most:,}:"
            " fewer or narrower hidden layers, more pooling, or fewer kernels"
        )


def dense_widths(design: Design) -> list[int]:
    """Widths of what a fully connected backend passes on: pooled maps, hidden layers, classes."""
    pooled = prod(side // design.backend.pool for side in design.image_shape)
    return [design.optic.maps * pooled, *design.backend.widths, design.classes]
