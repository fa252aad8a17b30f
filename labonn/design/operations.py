"""How many multiplications and additions a design's parts do for one image."""

from dataclasses import dataclass
from math import prod

from labonn.design.design import Design


@dataclass(frozen=True)
class Operations:
    """Multiply-accumulate operations for one image."""

    optical: int
    """Of the convolutions that light does: kernels x taps^2 x colours x pixels."""
    digital: int | None
    """Of the backend; None for one whose layers the design does not fix."""


def operations(design: Design) -> Operations:
    """Count multiply-accumulate operations, as a convolution with zero padding and dense layers do them."""
    height, width = design.image_shape
    optic = design.optic
    optical = optic.kernels * optic.taps**2 * len(optic.wavelengths_nm) * height * width
    if design.backend.kind != "mlp":
        return Operations(optical, None)
    pooled = prod(side // design.backend.pool for side in (height, width))
    digital = optic.kernels * pooled * design.backend.hidden + design.backend.hidden * design.classes
    return Operations(optical, digital)
