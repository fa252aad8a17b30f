"""A U-Net, the teacher of images of which each pixel has a class."""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from labonn.errors import ConfigError

HALVED = 3


class UNet(nn.Module):
    """Down to an eighth of the image and up again, each scale's features joined to those that come from below.

    Source: Ronneberger, Fischer, Brox, "U-Net: convolutional networks for biomedical image segmentation", MICCAI 2015,
    with four scales instead of five, zero padding, and normalised batches (Ioffe, Szegedy, ICML 2015).
    """

    def __init__(self, colours: int, width: int) -> None:
        super().__init__()
        widths = [width * 2**place for place in range(HALVED + 1)]
        inputs = [colours, *widths[:-1]]
        self.down = nn.ModuleList(_pair(inner, outer) for inner, outer in zip(inputs, widths, strict=True))
        self.up = nn.ModuleList(nn.ConvTranspose2d(below, own, 2, stride=2) for own, below in pairwise(widths))
        self.join = nn.ModuleList(_pair(2 * own, own) for own in widths[:-1])

    def forward(self, images: Tensor) -> Tensor:
        """Features (N, width, H, W) of images (N, C, H, W)."""
        features, seen = images, []
        for place, convolve in enumerate(self.down):
            features = convolve(features if place == 0 else functional.max_pool2d(features, 2))
            seen.append(features)
        for place in reversed(range(HALVED)):
            features = self.join[place](torch.cat([self.up[place](features), seen[place]], dim=1))
        return features


def make_unet(image_shape: tuple[int, int, int], classes: int, *, width: int) -> nn.Sequential:
    """Build a U-Net of 15 convolutions and 3 up-convolutions; logits (N, classes, H, W).

    Parameters
    ----------
    image_shape
        (C, H, W); height and width are multiples of 8.
    classes
        Number of logits of a pixel.
    width
        Channels of the first scale; 64 in the source.

    Raises
    ------
    ConfigError
        If the images cannot be halved three times.
    """
    colours, height, width_px = image_shape
    if height % 2**HALVED or width_px % 2**HALVED:
        raise ConfigError(
            f'[teacher] kind = "unet" needs images of multiples of {2**HALVED}, not {height} x {width_px}'
        )
    return nn.Sequential(UNet(colours, width), nn.Conv2d(width, classes, 1))


def _pair(inner: int, outer: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before in (inner, outer):
        layers += [nn.Conv2d(before, outer, 3, padding=1, bias=False), nn.BatchNorm2d(outer), nn.ReLU()]
    return nn.Sequential(*layers)
