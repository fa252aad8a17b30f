"""The student: optics in front, electronics behind."""

import torch
from torch import Tensor, nn

from labonn.design import Design
from labonn.errors import ConfigError
from labonn.networks.backend import make_backend, split_backend
from labonn.optics import Frontend

MOST_VALUES = 4_000_000  # of the maps of fixed optics that are computed at once: of 500 kernels, a batch's are 200 MB


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
        self.maps = design.optic.maps
        self.backend = make_backend(design.backend, (self.maps, height, width), classes)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, classes), or (N, classes, H, W), of images (N, C, H, W) in [0, 1]."""
        logits: Tensor = self.backend(self.frontend(images))
        return logits

    def taught(self, images: Tensor) -> tuple[nn.Module, Tensor]:
        """What a loss of images (N, C, H, W) is taken of: the layers that learn, and what they read.

        Where the optics learn, the backend and its maps. What fixed optics show, and what the backend's first layers
        make of it, is computed a few images at a time, and no gradient goes through it.
        """
        if any(taps.requires_grad for taps in self.frontend.parameters()):
            return self.backend, self.frontend(images)
        fixed, layers = split_backend(self.backend)
        few = max(1, MOST_VALUES // (self.maps * images[0, 0].numel()))
        with torch.no_grad():
            return layers, torch.cat([fixed(self.frontend(some)) for some in torch.split(images, few)])
