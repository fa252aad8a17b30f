"""What a release expects of the bench: the optical twin's predictions, and captures of a few reference images."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from labonn.compensation.twin import Twin
from labonn.compensation.twin_basis import ALL_PARTS, Basis
from labonn.compensation.twin_noise import Noise
from labonn.compensation.twin_sensor import Sensor
from labonn.errors import RecordError


@dataclass(frozen=True)
class Expectation:
    """What an optical twin says of images, without what only its fit and a re-matching need.

    Attributes
    ----------
    basis, weights, display_gamma, sensor, noise
        Of the `Twin`.
    images
        (n, 1, H, W) the reference images.
    then
        (n, T, H, W) what was captured of them.
    """

    basis: Basis
    weights: Tensor
    display_gamma: float
    sensor: Sensor
    noise: Noise
    images: Tensor
    then: Tensor

    @classmethod
    def of(cls, twin: Twin, images: Tensor, then: Tensor) -> "Expectation":
        """Take a twin's, with captures (n, T, H, W) of reference images (n, 1, H, W)."""
        return cls(twin.basis, twin.weights, twin.display_gamma, twin.sensor, twin.noise, images, then)

    def tiles(self, images: Tensor) -> Tensor:
        """Predict the optical maps (N, T, H, W) of images (N, 1, H, W), without noise."""
        light = images.clamp_min(0) ** self.display_gamma
        return self.sensor.read(self.basis.predict(light, self.weights))

    def as_arrays(self) -> dict[str, Tensor]:
        """Give it as named arrays, for a file."""
        return {
            "parts": torch.tensor([ALL_PARTS.index(part) for part in self.basis.parts]),
            "image_shape": torch.tensor(self.basis.image_shape),
            "weights": self.weights,
            "display_gamma": torch.tensor(self.display_gamma, dtype=torch.float64),
            "sensor": torch.stack([self.sensor.top, self.sensor.square, self.sensor.cube]),
            "noise": torch.stack([self.noise.dark, self.noise.slope]),
            "images": self.images,
            "then": self.then,
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Any]) -> "Expectation":
        """Take what `as_arrays` gave.

        Raises
        ------
        RecordError
            If an array is missing.
        """
        try:
            found = {name: torch.as_tensor(array) for name, array in arrays.items()}
            height, width = (int(side) for side in found["image_shape"])
            parts = tuple(ALL_PARTS[int(place)] for place in found["parts"])
            return cls(
                Basis(parts, (height, width)),
                found["weights"],
                float(found["display_gamma"]),
                Sensor(*found["sensor"]),
                Noise(*found["noise"]),
                found["images"],
                found["then"],
            )
        except KeyError as error:
            raise RecordError(f"what a release expects has no {error}") from error
