"""How many parameters a design's student has, and what its parts compute for one image."""

from dataclasses import dataclass
from itertools import pairwise
from math import prod

from labonn.design.design import Design
from labonn.errors import ConfigError


@dataclass(frozen=True)
class Operations:
    """What is computed for one image."""

    optical: int
    """Multiply-accumulates of the convolutions that light does: kernels x taps^2 x colours x pixels."""
    digital: int | None
    """Multiply-accumulates of the backend's layers; None for one whose layers the design does not fix."""
    elementwise: int
    """Other digital operations: signed subtraction, sum over colours, rectification, pooling."""


def operations(design: Design) -> Operations:
    """Count operations for one image, as a convolution with zero padding and dense layers do them."""
    pixels, optic, backend = prod(design.image_shape), design.optic, design.backend
    colours = len(optic.wavelengths_nm)
    optical = optic.kernels * optic.taps**2 * colours * pixels
    subtracted = 0 if optic.kind == "lens" else optic.kernels * colours * pixels
    summed = (optic.kernels * colours - optic.maps) * pixels
    read = optic.maps * pixels  # rectified; and added up, where pooled
    elementwise = subtracted + summed + read * (2 if backend.pool > 1 else 1) + sum(backend.widths)
    if backend.kind != "mlp":
        return Operations(optical, None, elementwise)
    return Operations(optical, sum(a * b for a, b in pairwise(_widths(design))), elementwise)


def parameters(design: Design) -> int | None:
    """Count the student's parameters: both halves of its trained kernels in each colour, and its backend.

    None for a backend whose layers the design does not fix.
    """
    if design.backend.kind != "mlp":
        return None
    optic = design.optic
    taps = optic.sub_apertures * len(optic.wavelengths_nm) * optic.taps**2 if optic.kind == "trained" else 0
    return taps + sum((a + 1) * b for a, b in pairwise(_widths(design)))


def check_parameters(design: Design) -> None:
    """Refuse a student that is larger than its design allows.

    Raises
    ------
    ConfigError
        If it is.
    """
    counted, most = parameters(design), design.max_parameters
    if counted is not None and most is not None and counted > most:
        raise ConfigError(
            f"the student has {counted:,} parameters, and max_parameters = {most:,}:"
            " fewer or narrower hidden layers, more pooling, or fewer kernels"
        )


def _widths(design: Design) -> list[int]:
    pooled = prod(side // design.backend.pool for side in design.image_shape)
    return [design.optic.maps * pooled, *design.backend.widths, design.classes]
