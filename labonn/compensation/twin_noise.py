"""What the twin cannot predict, as a noise that grows with the light; measured on captures that were left out."""

from dataclasses import dataclass

import torch
from torch import Tensor

from labonn.compensation.twin_regression import some_readings

BINS = 24


@dataclass(frozen=True)
class Noise:
    """variance = dark + slope * max(tile, 0), tile by tile, in the student's units.

    Attributes
    ----------
    dark
        (T,) variance without light.
    slope
        (T,) what light adds: shot noise, and what grows with the signal.
    """

    dark: Tensor
    slope: Tensor

    def std(self, tiles: Tensor) -> Tensor:
        """Standard deviation of each reading of tiles (N, T, H, W)."""
        dark, slope = (value[:, None, None] for value in (self.dark, self.slope))
        return (dark + slope * tiles.clamp_min(0)).sqrt()


def fit_noise(predicted: Tensor, residual: Tensor) -> Noise:
    """Fit the line to the mean square of the residual in equal parts of the predicted light; both (N, T, H, W)."""
    dark, slope = [], []
    for light, left in zip(some_readings(predicted), some_readings(residual), strict=True):
        order = light.clamp_min(0).sort()
        squares = left[order.indices].double().square()
        parts = torch.tensor_split(torch.arange(len(squares)), min(BINS, len(squares)))
        x = torch.stack([order.values[part].double().mean() for part in parts])
        y = torch.stack([squares[part].mean() for part in parts])
        intercept, rise = _line(x, y)
        dark.append(intercept)
        slope.append(rise)
    return Noise(torch.stack(dark).float(), torch.stack(slope).float())


def _line(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """The least-squares line whose intercept and slope are not negative; points weigh as their values allow."""
    weight = 1 / y.clamp_min(1e-3 * float(y.mean()) + 1e-30).square()
    total = weight.sum()
    x_mean, y_mean = (weight * x).sum() / total, (weight * y).sum() / total
    spread = (weight * (x - x_mean).square()).sum()
    slope = ((weight * (x - x_mean) * (y - y_mean)).sum() / spread.clamp_min(1e-30)).clamp_min(0)
    intercept = y_mean - slope * x_mean
    if intercept < 0:
        slope = (weight * x * y).sum() / (weight * x * x).sum().clamp_min(1e-30)
    return intercept.clamp_min(0), slope
