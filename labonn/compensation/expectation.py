"""What a release expects of the bench: the optical twin's predictions, and captures of a few reference images."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from labonn.compensation.twin import Twin
from labonn.compensation.twin_basis import ALL_PARTS, Basis
from labonn.compensation.twin_colour import AnyTwin, images_for, parts_of
from labonn.compensation.twin_noise import Noise
from labonn.compensation.twin_sensor import Sensor
from labonn.errors import RecordError


@dataclass(frozen=True)
class Predictor:
    """What the optical twin of one colour says of images, without what only its fit and a re-matching need."""

    basis: Basis
    weights: Tensor
    display_gamma: float
    sensor: Sensor
    noise: Noise

    @classmethod
    def of(cls, twin: Twin) -> "Predictor":
        """Take a twin's."""
        return cls(twin.basis, twin.weights, twin.display_gamma, twin.sensor, twin.noise)

    def tiles(self, images: Tensor) -> Tensor:
        """Predict the optical maps (N, T, H, W) of images (N, C, H, W), its own colour first, without noise."""
        light = images.clamp_min(0) ** self.display_gamma
        return self.sensor.read(self.basis.predict(light, self.weights))

    def as_arrays(self) -> dict[str, Tensor]:
        """Give it as named arrays, for a file."""
        return {
            "parts": torch.tensor([ALL_PARTS.index(part) for part in self.basis.parts]),
            "image_shape": torch.tensor(self.basis.image_shape),
            "others": torch.tensor(self.basis.others),
            "weights": self.weights,
            "display_gamma": torch.tensor(self.display_gamma, dtype=torch.float64),
            "sensor": torch.stack([self.sensor.top, self.sensor.square, self.sensor.cube]),
            "noise": torch.stack([self.noise.dark, self.noise.slope]),
        }

    @classmethod
    def from_arrays(cls, found: Mapping[str, Tensor]) -> "Predictor":
        """Take what `as_arrays` gave."""
        height, width = (int(side) for side in found["image_shape"])
        parts = tuple(ALL_PARTS[int(place)] for place in found["parts"])
        return cls(
            Basis(parts, (height, width), int(found.get("others", 0))),
            found["weights"],
            float(found["display_gamma"]),
            Sensor(*found["sensor"]),
            Noise(*found["noise"]),
        )


@dataclass(frozen=True)
class Expectation:
    """What an optical twin says of images, and what was captured of some.

    Attributes
    ----------
    colours
        A predictor for each; on a grey bench one.
    images
        (n, C, H, W) the reference images.
    then
        (n, T, [C,] H, W) what was captured of them.
    """

    colours: tuple[Predictor, ...]
    images: Tensor
    then: Tensor

    @classmethod
    def of(cls, twin: AnyTwin, images: Tensor, then: Tensor) -> "Expectation":
        """Take a twin's, with captures (n, T, [C,] H, W) of reference images (n, C, H, W)."""
        return cls(tuple(Predictor.of(part) for part in parts_of(twin)), images, then)

    def tiles(self, images: Tensor) -> Tensor:
        """Predict the optical maps (N, T, [C,] H, W) of images (N, C, H, W), without noise."""
        each = [one.tiles(images_for(one.basis, images, c)) for c, one in enumerate(self.colours)]
        return each[0] if len(each) == 1 else torch.stack(each, dim=2)

    def noise_of(self, tiles: Tensor) -> Tensor:
        """Standard deviation of the noise of one capture of tiles (N, T, [C,] H, W)."""
        if len(self.colours) == 1:
            return self.colours[0].noise.std(tiles)
        return torch.stack([one.noise.std(tiles[:, :, c]) for c, one in enumerate(self.colours)], dim=2)

    def as_arrays(self) -> dict[str, Tensor]:
        """Give it as named arrays, for a file; those of further colours have a number behind their names."""
        named = {
            _name(name, colour): array
            for colour, one in enumerate(self.colours)
            for name, array in one.as_arrays().items()
        }
        return {**named, "images": self.images, "then": self.then}

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
            images, then = found["images"], found["then"]
            count = then.shape[2] if then.ndim == 5 else 1
            names = Predictor.__dataclass_fields__.keys() - {"basis"} | {"parts", "image_shape", "others"}
            each = [{name: found[_name(name, c)] for name in names if _name(name, c) in found} for c in range(count)]
            return cls(tuple(Predictor.from_arrays(one) for one in each), images, then)
        except KeyError as error:
            raise RecordError(f"what a release expects has no {error}") from error


def _name(array: str, colour: int) -> str:
    return f"{array}-{colour}" if colour else array
