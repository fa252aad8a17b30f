"""What the sensor makes of the light: a curve for each tile, straight unless the captures say otherwise."""

from dataclasses import dataclass

import torch
from torch import Tensor

from labonn.compensation.twin_regression import some_readings

KNOTS = 65
BEYOND = 1.5  # of the brightest fitted light: there the curve goes on as a straight line
LEAST_SLOPE = 0.05  # a sensor never answers more light with less


@dataclass(frozen=True)
class Sensor:
    r"""reading = light + top (square (light / top)^2 + cube (light / top)^3), tile by tile.

    Attributes
    ----------
    top
        (T,) the brightest light that was fitted, in the student's units.
    square, cube
        (T,) zero for a straight line.
    """

    top: Tensor
    square: Tensor
    cube: Tensor

    @property
    def straight(self) -> bool:
        """Whether it does nothing."""
        return not bool(self.square.any() or self.cube.any())

    def read(self, light: Tensor) -> Tensor:
        """The reading of light (N, T, H, W)."""
        return light if self.straight else self._along(light, *self._curve())

    def light(self, reading: Tensor) -> Tensor:
        """The light of a reading (N, T, H, W): the curve the other way."""
        x, y = self._curve()
        return reading if self.straight else self._along(reading, y, x)

    def _curve(self) -> tuple[Tensor, Tensor]:
        """Knots of light and reading, (T, KNOTS); both rise."""
        x = torch.linspace(-0.2, BEYOND, KNOTS).repeat(len(self.top), 1)
        inside = x.clamp(0.0, 1.0)
        slope = 1 + 2 * self.square[:, None] * inside + 3 * self.cube[:, None] * inside**2
        rise = (slope[:, 1:] + slope[:, :-1]) / 2
        steps = rise.clamp_min(LEAST_SLOPE) * (x[:, 1:] - x[:, :-1])
        y = torch.cat([x[:, :1], x[:, :1] + steps.cumsum(dim=1)], dim=1)
        return x * self.top[:, None], y * self.top[:, None]

    @staticmethod
    def _along(values: Tensor, x: Tensor, y: Tensor) -> Tensor:
        """Read the curves (T, KNOTS) at values (N, T, H, W), linearly, and beyond their ends too."""
        flat = values.transpose(0, 1).flatten(1).contiguous()
        at = torch.searchsorted(x.contiguous(), flat).clamp(1, x.shape[1] - 1)
        x0, x1, y0, y1 = (table.gather(1, place) for table, place in ((x, at - 1), (x, at), (y, at - 1), (y, at)))
        read = y0 + (flat - x0) * (y1 - y0) / (x1 - x0)
        return read.reshape(values.shape[1], values.shape[0], *values.shape[2:]).transpose(0, 1).contiguous()


def straight(tiles: int) -> Sensor:
    """A sensor that shows light as it is."""
    return Sensor(torch.ones(tiles), torch.zeros(tiles), torch.zeros(tiles))


def fit_sensor(light: Tensor, readings: Tensor) -> Sensor:
    """Fit each tile's curve to light that was predicted (N, T, H, W) and what was read, by least squares."""
    x, y = (some_readings(values).double() for values in (light, readings))
    top = torch.quantile(x, 0.999, dim=1).clamp_min(1e-6)
    scaled = (x / top[:, None]).clamp(0, 1)
    powers = torch.stack([torch.ones_like(x), x / top[:, None], scaled**2, scaled**3], dim=2)
    solution = torch.linalg.lstsq(powers, (y / top[:, None])[..., None]).solution[..., 0]
    slope = solution[:, 1:2]
    square, cube = (solution[:, 2:] / slope).float().T
    return Sensor(top.float(), square.contiguous(), cube.contiguous())
