"""What a measurement is handed, and what it gives."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labonn.design import Layout

Say = Callable[[str], None]


@dataclass(frozen=True)
class Pattern:
    """A student's phase pattern, and images by which the light behind it is measured."""

    phase_rad: NDArray[np.float32] | None
    """(H, W) of the SLM; None where the optic is fixed."""
    probe_images: NDArray[np.float32]
    """(N, h, w) in [0, 1], in colour (N, C, h, w)."""
    predicted_tiles: NDArray[np.float32]
    """The student's optical maps of them, (N, T, h, w), in colour (N, T, C, h, w)."""

    def __post_init__(self) -> None:
        shape, images = self.predicted_tiles.shape, self.probe_images.shape
        if len(shape) not in (4, 5) or (shape[0], *shape[2:]) != images:
            raise ValueError(f"predicted_tiles of shape {shape} do not fit the probe images: {images}")


@dataclass(frozen=True)
class Before:
    """What is known when a measurement begins."""

    layout: Layout
    image_shape: tuple[int, int]
    values: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Kind -> its values."""
    arrays: Mapping[str, Mapping[str, NDArray[Any]]] = field(default_factory=dict)
    """Kind -> its arrays."""
    pattern: Pattern | None = None
    """What `maps` are measured for."""

    @property
    def exposure_ms(self) -> float:
        """Exposure for a white display under a flat phase."""
        return float(self.values["exposure"]["exposure_ms"])

    @property
    def affine(self) -> NDArray[np.float64]:
        """Calibrated geometry, (T, 2, 3), in colour (T, C, 2, 3)."""
        return np.asarray(self.arrays["geometry"]["affine"], np.float64)


@dataclass(frozen=True)
class Measured:
    """What a measurement gives."""

    values: dict[str, Any]
    arrays: dict[str, NDArray[Any]] = field(default_factory=dict)
    fit_error: float | None = None
    fit_error_of: str = ""
