"""The optical twin: what the optics really compute, learned from a handful of captures."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from labonn.compensation.twin_basis import KERNEL_TAPS, Basis, Part
from labonn.compensation.twin_noise import Noise
from labonn.compensation.twin_sensor import Sensor
from labonn.compensation.twin_spectral import SpectralPredictor
from labonn.optics import signed_maps

CHUNK_IMAGES = 500
LARGEST_MATRIX_PIXELS = 1024
SPECTRAL_IMAGES = 16  # from so many on, kernels' transforms are worth being computed
NOISE_TAPS = 7  # the light that a reading's noise follows is looked at with kernels cut to this


@dataclass(frozen=True)
class Twin:
    r"""tile_s = sensor_s(kernel_s \star image^gamma + offset_s + ...) + noise; see `twin_basis` for what else there is.

    Attributes
    ----------
    basis
        What a tile is a sum of; the parts that left-out captures justified.
    weights
        (F, T) float32, in the student's units.
    display_gamma, display_gamma_se
        Exponent from an image's values to the display's light, and its standard error; 1 and 0 where the captures do
        not ask for another.
    sensor
        The curve from light to reading of each tile.
    level_rms
        Standard deviation of the light from frame to frame, over its mean; 0 where the captures do not show any.
    noise
        What is not predicted, as noise that grows with the light, on left-out captures.
    gain
        (T,) the light that a sub-aperture's kernel gathers over what the design says.
    held_out_r2
        (T,) part of the left-out captures' variance that the twin predicts.
    map_noise
        (K,) standard deviation of what the twin cannot predict of each signed map, on left-out captures.
    residual
        (T, H, W) root mean square of that, place by place.
    ridge
        Weight of the prior of each part, which predicted the left-out captures best.
    gains
        What each part took of the left-out residual when it was tried, as a fraction, kept or not.
    spread
        (F, F) lower triangular float32; a draw of the posterior departs by inverse(spread^T) times normal numbers.
    spread_scale
        (T,) times this.
    captures
        How many it was fitted to.
    """

    basis: Basis
    weights: Tensor
    display_gamma: float
    display_gamma_se: float
    sensor: Sensor
    level_rms: float
    noise: Noise
    gain: Tensor
    held_out_r2: Tensor
    map_noise: Tensor
    residual: Tensor
    ridge: Mapping[Part, float]
    gains: Mapping[Part, float]
    spread: Tensor
    spread_scale: Tensor
    captures: int

    @property
    def kernels(self) -> Tensor:
        """The kernels, (T, KERNEL_TAPS, KERNEL_TAPS), gain included; in the middle of the field where they change."""
        return self.basis.kernels(self.weights)[:, 0]

    @property
    def offset(self) -> Tensor:
        """What a tile shows of a dark image, in the mean, (T,)."""
        return self.weights[self.basis.places["offset"]][0]

    def light(self, images: Tensor) -> Tensor:
        """What the display makes of images (N, 1 + others, H, W), its own colour first."""
        return images.clamp_min(0) ** self.display_gamma

    def tiles(self, images: Tensor) -> Tensor:
        """Predict the optical maps (N, T, H, W) of images (N, 1, H, W), without noise."""
        return self.sensor.read(self.basis.predict(self.light(images), self.weights))

    def maps(self, images: Tensor) -> Tensor:
        """Predict the signed maps (N, K, H, W) of images (N, 1, H, W), without noise."""
        predict = self.mapping(len(images))
        return torch.cat([predict(chunk) for chunk in torch.split(images, CHUNK_IMAGES)])

    def mapping(self, count: int) -> Callable[[Tensor], Tensor]:
        """What predicts the signed maps of images, as `maps` does; made ready for so many of them, in any parts."""
        signed = signed_maps(self.weights)  # subtracting first: half the work, the same maps
        linear = self._predictor(signed if self.sensor.straight else self.weights, count)

        def predict(images: Tensor) -> Tensor:
            seen = linear(self.light(images))
            if self.sensor.straight:
                return seen
            return signed_maps(self.sensor.read(seen))

        return predict

    def _predictor(self, weights: Tensor, count: int) -> Callable[[Tensor], Tensor]:
        """What predicts from light (n, 1, H, W), made ready for many pictures: by one matrix, or by transforms.

        From all pixels to all readings, a matrix is more arithmetic than convolutions, and several times faster; where
        the processor multiplies numbers of 16 bits (bfloat16) faster still, it does: off by a thousandth of the maps, a
        twelfth of a capture's noise.
        """
        if self.is_spectral(count):
            spectral = SpectralPredictor([(self.basis, weights)])
            return lambda light: spectral([light])
        height, width = self.basis.image_shape
        pixels, mix = height * width, "mix" in self.basis.parts
        if count < pixels:
            return lambda light: self.basis.predict(light, weights)
        dark = self.basis.of_no_light(weights)
        points = torch.eye(pixels).reshape(pixels, 1, height, width)
        matrix = torch.cat(
            [self.basis.predict(some, weights) - dark for some in torch.split(points, CHUNK_IMAGES)]
        ).flatten(1)

        def predicted(light: Tensor) -> Tensor:
            with _in_16_bits():
                seen = torch.addmm(dark.flatten(), light[:, :1].flatten(1), matrix)
            seen = seen.reshape(-1, *dark.shape)
            return seen + self.basis.mixed(light, weights) if mix else seen

        return predicted

    def is_spectral(self, count: int) -> bool:
        """Whether so many pictures are predicted by transforms: many that are too large for a matrix."""
        height, width = self.basis.image_shape
        return count >= SPECTRAL_IMAGES and height * width > LARGEST_MATRIX_PIXELS

    def map_noise_of(self, images: Tensor) -> Tensor:
        """Standard deviation of the noise of each reading of the signed maps of images, (N, K, H, W)."""
        light, slope, dark = self.noise_of_light(images)
        return torch.addcmul(dark[:, None, None], light, slope[:, None, None]).sqrt_()

    def noise_of_light(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Light (N, 1, H, W) that the variance of signed maps' noise follows; its slope and what it begins at, (K,).

        It is the light of both halves, seen through one kernel for all tiles, their cut mean: cheap, and noise
        depends little on where exactly its light comes from.
        """
        margin = (KERNEL_TAPS - NOISE_TAPS) // 2
        cut = self.kernels[:, margin : margin + NOISE_TAPS, margin : margin + NOISE_TAPS].clamp_min(0)
        gathered = cut.sum(dim=(1, 2))
        mean = (cut.sum(dim=0) / gathered.sum().clamp_min(1e-12))[None, None]
        light = functional.conv2d(self.light(images[:, :1]), mean, padding=NOISE_TAPS // 2)
        slope, dark = self.noise.slope * gathered, self.noise.dark
        if len(slope) > 1:  # a plain lens has no second half
            slope, dark = (half[0::2] + half[1::2] for half in (slope, dark))
        return light, slope, dark

    def noisy(
        self,
        maps: Tensor,
        images: Tensor,
        generator: torch.Generator | None = None,
        *,
        normals: Tensor | None = None,
    ) -> Tensor:
        """Signed maps (N, K, H, W) as one more capture of the images would show them.

        The noise is drawn anew, or made of standard `normals` (N, K, H, W); the light's level is drawn anew.
        """
        return with_noise(maps, self.map_noise_of(images), self.level_rms, generator, normals)

    def sample(self, generator: torch.Generator | None = None) -> "Twin":
        """Another twin that the captures allow as well: its weights drawn from their posterior."""
        normal = torch.randn(self.weights.shape, generator=generator)
        departure = torch.linalg.solve_triangular(self.spread.T, normal, upper=True)
        return replace(self, weights=self.weights + departure * self.spread_scale)


def with_noise(
    maps: Tensor, deviation: Tensor, level_rms: float, generator: torch.Generator | None, normals: Tensor | None
) -> Tensor:
    """Maps (N, M, H, W) with noise of that standard deviation of each reading, and one level of light for each image.

    The noise is drawn anew, or made of standard `normals` of the maps' shape; the level is drawn anew.
    """
    drawn = torch.randn(maps.shape, generator=generator) if normals is None else normals
    noisy = torch.addcmul(maps, deviation, drawn)
    if level_rms:
        noisy.addcmul_(maps, level_rms * torch.randn(len(maps), 1, 1, 1, generator=generator))
    return noisy


@contextmanager
def _in_16_bits() -> Iterator[None]:
    """Let matrices of 32 bits be multiplied by units that round their factors to bfloat16, where there are any."""
    setting: Any = torch.backends.mkldnn.matmul  # type: ignore[attr-defined]  # unknown to its stubs
    before, setting.fp32_precision = setting.fp32_precision, "bf16"
    try:
        yield
    finally:
        setting.fp32_precision = before
