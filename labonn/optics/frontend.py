"""The optical frontend as the student knows it: non-negative kernel pairs and an honest sensor."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from labonn.design import Optic, Sensor
from labonn.errors import ConfigError

START_SUM = 3.0  # of a kernel, so that the maps of a sparse image begin near one


def signed_maps(tiles: Tensor) -> Tensor:
    """Subtract each negative half from its positive one: tiles (N, 2K, H, W) -> feature maps (N, K, H, W)."""
    return tiles[:, 0::2] - tiles[:, 1::2]


class Frontend(nn.Module):
    r"""Incoherent convolution of the scene by pairs of non-negative kernels.

    tile_s = image \star w_s with w_s >= 0, 'same' size, dark outside the image; feature map k = tile_2k - tile_2k+1.
    Both halves of a pair gather the same light, so that a plain background cancels in the map.
    The light of one sub-aperture is bounded, so what the sensor sees is image \star w_s / sum(w_s), a number in [0, 1]
    for images in [0, 1]; the sum is a gain applied digitally, and amplifies the noise. In training mode the
    sensor's noise is drawn anew at each call: var = (u F + r^2) / (n F^2) for a reading u = tile_s / sum(w_s), with F
    the electrons of a white pixel, r the read noise and n the pixels that a tap sums.

    Source: Wirth-Singh et al., "Compressed meta-optical encoder for image classification", Adv. Photonics Nexus 4
    (2025), for pairs of PSFs; EMVA 1288 release 4.0, eq. 9, for the noise.
    """

    def __init__(self, optic: Optic, sensor: Sensor, *, generator: torch.Generator | None = None) -> None:
        super().__init__()
        if optic.kind != "trained" or len(optic.wavelengths_nm) > 1:
            raise ConfigError(
                f"optic: kind = {optic.kind!r} with {len(optic.wavelengths_nm)} wavelengths: a student is built for"
                " trained kernels at one wavelength"
            )
        self.taps = optic.taps
        self.tiles = 2 * optic.kernels
        self.sensor = sensor
        start = torch.rand(self.tiles, optic.taps, optic.taps, generator=generator)
        self.free_taps = nn.Parameter(start * 2 * START_SUM / optic.taps**2)

    def kernels(self) -> Tensor:
        """The non-negative kernels, (2K, taps, taps); the two halves of a pair have the same sum."""
        taps = self.free_taps.abs()  # not a square: taps that fade would become denormal numbers, which are slow
        sums = taps.sum(dim=(1, 2)).clamp_min(1e-12)
        pair_mean = (sums[0::2] + sums[1::2]) / 2
        return taps * (pair_mean.repeat_interleave(2) / sums)[:, None, None]

    def ideal_tiles(self, images: Tensor) -> Tensor:
        """What noiseless optics would show: images (N, 1, H, W) in [0, 1] -> (N, 2K, H, W), non-negative."""
        return self._convolve(images, self.kernels())

    def forward(self, images: Tensor) -> Tensor:
        """Feature maps (N, K, H, W) of images (N, 1, H, W); noisy in training mode."""
        kernels = self.kernels()
        maps = self._convolve(images, kernels[0::2] - kernels[1::2])  # subtracting first: half the work, the same maps
        return maps + self._noise(images, kernels) if self.training else maps

    @torch.no_grad()
    def _noise(self, images: Tensor, kernels: Tensor) -> Tensor:
        """Draw what the sensor adds to the signed maps of these images, (N, K, H, W)."""
        gain = kernels.sum(dim=(1, 2))
        white_e, read_e = self.sensor.fill * self.sensor.full_well_e, self.sensor.read_noise_e
        scale = 1 / (self.sensor.pixels_per_tap * white_e**2)
        shot = kernels * (gain * white_e * scale)[:, None, None]
        read = gain.square() * read_e**2 * scale
        variance = self._convolve(images, shot[0::2] + shot[1::2]).add_((read[0::2] + read[1::2])[:, None, None])
        return variance.sqrt_().mul_(torch.randn_like(variance))

    def _convolve(self, images: Tensor, kernels: Tensor) -> Tensor:
        return functional.conv2d(images, kernels[:, None], padding=self.taps // 2)
