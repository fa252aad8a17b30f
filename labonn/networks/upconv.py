"""The up-convolutional backend: it reads the optics' maps at several scales, and says of each pixel what it is."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from labonn.design import Backend
from labonn.design.decoder import Level, levels
from labonn.errors import ConfigError


class UpConvolutions(nn.Module):
    """From the coarsest scale to the finest: what is known so far, made twice as large, joined by the scale's own maps.

    Source: Ronneberger, Fischer, Brox, "U-Net", MICCAI 2015, fig. 1, its right half, with one convolution a scale; the
    left half is the optics'. Nothing is normalised, so that each image's answer depends on that image alone.
    """

    def __init__(self, scales: tuple[Level, ...]) -> None:
        super().__init__()
        self._maps = [level.maps for level in scales]
        *finer, deepest = scales
        self.deepest = nn.Sequential(
            *_rectified(deepest.maps, deepest.width), *_rectified(deepest.width, deepest.width)
        )
        coarser = [level.width for level in scales[1:]]
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(below, level.width, 2, stride=2) for level, below in zip(finer, coarser, strict=True)
        )
        self.join = nn.ModuleList(nn.Sequential(*_rectified(level.width + level.maps, level.width)) for level in finer)

    def forward(self, maps: Tensor) -> Tensor:
        """Features (N, F, H, W) of rectified maps (N, K, H, W)."""
        pooled = [maps]
        for _ in self._maps[1:]:
            pooled.append(functional.avg_pool2d(pooled[-1], 2))
        read = [part[:, :count] for part, count in zip(pooled, self._maps, strict=True)]
        features: Tensor = self.deepest(read[-1])
        for place in reversed(range(len(self.up))):
            features = self.join[place](torch.cat([self.up[place](features), read[place]], dim=1))
        return features


def make_upconv(backend: Backend, maps_shape: tuple[int, int, int], classes: int) -> nn.Sequential:
    """Rectify, up-convolutions, and a linear layer for each pixel: logits (N, classes, H, W).

    Parameters
    ----------
    backend
        Scales and widths; without widths, the last layer is the only one.
    maps_shape
        (K, H, W) of the feature maps.
    classes
        Number of logits of a pixel.

    Raises
    ------
    ConfigError
        If the maps cannot be halved as often as there are widths.
    """
    kernels, height, width = maps_shape
    if not backend.widths:
        return nn.Sequential(nn.ReLU(), nn.Conv2d(kernels, classes, 1))
    halved = 2 ** (len(backend.widths) - 1)
    if height % halved or width % halved:
        raise ConfigError(
            f"[backend] hidden has {len(backend.widths)} widths, one a scale, but maps of {height} x {width} cannot be"
            f" halved {len(backend.widths) - 1} times"
        )
    body = UpConvolutions(levels(backend.scales, backend.widths, kernels))
    return nn.Sequential(nn.ReLU(), body, nn.Conv2d(backend.widths[0], classes, 1))


def _rectified(inner: int, outer: int) -> list[nn.Module]:
    convolution = nn.Conv2d(inner, outer, 3, padding=1)
    nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")  # as large behind as before, layer after layer
    return [convolution, nn.ReLU()]
