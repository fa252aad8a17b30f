"""An optical twin as one matrix: for predicting images by the ten thousand."""

from dataclasses import dataclass

import torch
from torch import Tensor

from labonn.compensation.twin import Twin


@dataclass(frozen=True)
class DenseTwin:
    r"""tiles = sensor(light M + b): what comes before the sensor's curve is linear in the light, so one matrix has it.

    A product with it takes 784 x 784 multiply-adds a map of 28 x 28, whatever the twin is a sum of; its convolutions
    take as many from two or three parts on, and run several times slower, as they have a single channel.

    Attributes
    ----------
    twin
        The one that it is made of.
    matrix
        (H W, M H W), from the light of an image to M maps: the signed ones if the sensor is straight, all tiles if not.
    offset
        (M H W,)
    """

    twin: Twin
    matrix: Tensor
    offset: Tensor

    @classmethod
    def of(cls, twin: Twin, image_shape: tuple[int, int]) -> "DenseTwin":
        """Ask a twin for its answers to each pixel alone, and to darkness."""
        height, width = image_shape
        weights = twin.weights[:, 0::2] - twin.weights[:, 1::2] if twin.sensor.straight else twin.weights
        pixels = torch.eye(height * width).reshape(-1, 1, height, width)
        dark = twin.basis.predict(torch.zeros(1, 1, height, width), weights).flatten(1)
        return cls(twin, twin.basis.predict(pixels, weights).flatten(1) - dark, dark[0])

    def maps(self, images: Tensor) -> Tensor:
        """Predict the signed maps (N, K, H, W) of images (N, 1, H, W), without noise, as `Twin.maps` does."""
        light = self.twin.light(images).flatten(1)
        lit = light.amax(dim=0) > 0  # what is dark in all of them needs no multiplying
        maps = torch.addmm(self.offset, light[:, lit], self.matrix[lit]).unflatten(1, (-1, *images.shape[2:]))
        if self.twin.sensor.straight:
            return maps
        tiles = self.twin.sensor.read(maps)
        return tiles[:, 0::2] - tiles[:, 1::2]
