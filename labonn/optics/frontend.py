"""The optical frontend as the student knows it: non-negative kernel pairs, in colour, and an honest sensor."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from labonn.design import Optic, Sensor

START_SUM = 3.0  # of a kernel, so that the maps of a sparse image begin near one
START_SUM_OF_A_COLOUR = 16.0  # photographs are grey at large: their maps are small differences of large tiles


def signed_maps(tiles: Tensor) -> Tensor:
    """Subtract each negative half from its positive one: tiles (N, 2K, ..., H, W) -> maps (N, K, ..., H, W).

    The one tile of a plain lens has no negative half, and is its own map.
    """
    if tiles.shape[1] == 1:
        return tiles
    return tiles[:, 0::2] - tiles[:, 1::2]


def joined(each: list[Tensor], *, summed: bool) -> Tensor:
    """Join each colour's maps (N, K, H, W): summed, (N, K, H, W), or apart, colour by colour, (N, C K, H, W)."""
    return torch.stack(each).sum(dim=0) if summed else torch.cat(each, dim=1)


class Frontend(nn.Module):
    r"""Incoherent convolution of the scene by pairs of non-negative kernels.

    tile_s = image \star w_s with w_s >= 0, 'same' size, dark outside the image; feature map k = tile_2k - tile_2k+1.
    Where there are several colours, each has kernels of its own, and a camera that tells the colours apart; what is
    read is the sum of a kernel's maps over the colours, or each of them, as the optic says.
    Both halves of a pair gather the same light, so that a plain background cancels in the map, unless the optic leaves
    its pairs free. A plain lens is one tile, the image itself; random kernels are drawn and stay as they are.
    The light of one sub-aperture is bounded, so what the sensor sees is image \star w_s / sum(w_s), in each colour a
    number in [0, 1] for images in [0, 1], and never more than the part of the full well that the sensor is exposed to;
    the sum is a gain applied digitally, and amplifies the noise. In training mode the sensor's noise is drawn anew at
    each call: var = (u F + r^2 + q^2 / 12) / (n F^2) for a reading u = tile_s / sum(w_s), with F the electrons of a
    white pixel, r the read noise, q the electrons of one step of the camera's numbers, and n the pixels that a tap
    sums.

    Source: Wirth-Singh et al., "Compressed meta-optical encoder for image classification", Adv. Photonics Nexus 4
    (2025), for pairs of PSFs; EMVA 1288 release 4.0, eq. 9, for the noise.
    """

    def __init__(self, optic: Optic, sensor: Sensor, *, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.taps = optic.taps
        self.tiles = optic.sub_apertures
        self.colours = len(optic.wavelengths_nm)
        self.summed = optic.colours == "summed"
        self.sensor = sensor
        self._optic = optic
        shape: tuple[int, ...] = (self.tiles, self.taps, self.taps)
        sum_of_one = START_SUM
        if self.colours > 1:
            shape = (self.tiles, self.colours, self.taps, self.taps)
            sum_of_one = START_SUM_OF_A_COLOUR
        if optic.kind == "lens":
            start = torch.ones(shape)
        else:
            start = torch.rand(shape, generator=generator) * 2 * sum_of_one / optic.taps**2
        self.free_taps = nn.Parameter(start, requires_grad=optic.kind == "trained")

    def kernels(self) -> Tensor:
        """The non-negative kernels, (T, taps, taps), in colour (T, C, taps, taps); the halves of a pair are balanced.

        Balanced halves have the same sum: over all colours where these are summed, else in each colour.
        """
        taps = self.free_taps.abs()  # not a square: taps that fade would become denormal numbers, which are slow
        if self.tiles == 1 or self._optic.pairs == "free":
            return taps
        each_colour = self.colours == 1 or not self.summed
        sums = taps.sum(dim=(-2, -1) if each_colour else (-3, -2, -1), keepdim=True).clamp_min(1e-12)
        pair_mean = (sums[0::2] + sums[1::2]) / 2
        return taps * (pair_mean.repeat_interleave(2, dim=0) / sums)

    def psfs(self) -> Tensor:
        """What light makes of a point: kernels turned by 180 degrees, in each colour of unit sum or dark.

        Light convolves and the network correlates, hence the turn. In the shape of `kernels`.
        """
        kernels = self.kernels().flip(-2, -1)
        return kernels / kernels.sum(dim=(-2, -1), keepdim=True).clamp_min(1e-12)

    def ideal_tiles(self, images: Tensor) -> Tensor:
        """What noiseless optics show of images (N, C, H, W) in [0, 1]: (N, T, H, W), in colour (N, T, C, H, W)."""
        kernels = self.kernels()
        if self.colours == 1:
            return self._convolve(images, kernels[:, None])
        tiles = self._by_colour(images, kernels)
        return tiles.reshape(len(images), self.colours, self.tiles, *images.shape[2:]).transpose(1, 2)

    def maps_of(self, tiles: Tensor) -> Tensor:
        """Feature maps (N, M, H, W), as `forward` gives them, of tiles as `ideal_tiles` does."""
        maps = signed_maps(tiles)
        return maps if self.colours == 1 else joined(list(maps.unbind(dim=2)), summed=self.summed)

    def forward(self, images: Tensor) -> Tensor:
        """Feature maps (N, M, H, W) of images (N, C, H, W); noisy in training mode.

        M is K, or where the colours stay apart C K, colour by colour. Under `torch.autocast`, too, they are float32:
        in half precision, rounding would be as large as the sensor's noise.
        """
        with torch.autocast(images.device.type, enabled=False):
            kernels = self.kernels()
            maps = self._read(images, _signed(kernels))  # subtracting first: half the work, the same maps
            return maps + self._noise(images, kernels) if self.training else maps

    @torch.no_grad()
    def _noise(self, images: Tensor, kernels: Tensor) -> Tensor:
        """Draw what the sensor adds to the signed maps of these images, (N, M, H, W)."""
        gain = kernels.sum(dim=(-2, -1), keepdim=True)
        white_e = self.sensor.fill * self.sensor.full_well_e
        dark_e2 = self.sensor.read_noise_e**2 + self.sensor.step_e**2 / 12
        scale = 1 / (self.sensor.pixels_per_tap * white_e**2)
        shot = kernels * (gain * white_e * scale)
        dark = _added(gain.square() * dark_e2 * scale)
        if self.colours > 1:
            dark = dark.transpose(0, 1).flatten() if not self.summed else dark.sum(dim=1)
        variance = self._read(images, _added(shot)).add_(dark.reshape(-1, 1, 1))
        return variance.sqrt_().mul_(torch.randn_like(variance))

    def _read(self, images: Tensor, kernels: Tensor) -> Tensor:
        """Convolve with kernels (K, [C,] taps, taps), and sum over the colours or keep them apart: (N, M, H, W)."""
        if self.colours == 1:
            return self._convolve(images, kernels[:, None])
        if not self.summed:
            return self._by_colour(images, kernels)
        return self._convolve(images, kernels)

    def _by_colour(self, images: Tensor, kernels: Tensor) -> Tensor:
        """Each kernel (K, C, taps, taps) in each colour by itself: (N, C K, H, W), colour by colour."""
        apart = kernels.transpose(0, 1).flatten(0, 1)[:, None]
        return functional.conv2d(images, apart, padding=self.taps // 2, groups=self.colours)

    def _convolve(self, images: Tensor, kernels: Tensor) -> Tensor:
        return functional.conv2d(images, kernels, padding=self.taps // 2)


def _signed(kernels: Tensor) -> Tensor:
    return kernels if len(kernels) == 1 else kernels[0::2] - kernels[1::2]


def _added(kernels: Tensor) -> Tensor:
    return kernels if len(kernels) == 1 else kernels[0::2] + kernels[1::2]
