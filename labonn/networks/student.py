"""The student: optics in front, electronics behind."""

import torch
from torch import Tensor, nn

from labonn.design import Design
from labonn.errors import ConfigError
from labonn.networks.backend import make_backend
from labonn.optics import Frontend


class Student(nn.Module):
    """Frontend and backend in a row; logits (N, classes), or of each pixel, of images (N, C, H, W)."""

    def __init__(
        self,
        design: Design,
        image_shape: tuple[int, int, int],
        classes: int,
        *,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        colours, height, width = image_shape
        if colours != len(design.optic.wavelengths_nm):
            raise ConfigError(
                f"design {design.name!r}: images of {colours} colours, but [optic] wavelengths_nm has "
                f"{len(design.optic.wavelengths_nm)}: one wavelength a colour"
            )
        self.frontend = Frontend(design.optic, design.sensor, generator=generator)
        self.backend = make_backend(design.backend, (design.optic.maps, height, width), classes)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, classes), or (N, classes, H, W), of images (N, C, H, W) in [0, 1]."""
        logits: Tensor = self.backend(self.frontend(images))
        return logits
