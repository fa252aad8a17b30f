"""Lines through what a twin's tiles show, over what the design expects of them: gains and backgrounds."""

import torch
from torch import Tensor
from torch.nn import functional

from labonn.compensation.twin import Twin
from labonn.compensation.twin_basis import Basis


class Lines:
    """Lines through a twin's light over the tiles that the design expects, by least squares: slopes and intercepts.

    A twin's light is linear in its weights, so that of many twins which differ in these alone the pictures are looked
    at once.

    Parameters
    ----------
    designed
        (T, taps, taps), the student's kernels.
    images
        (N, 1, H, W); in colour (N, C, H, W), the twin's own first.
    """

    def __init__(self, designed: Tensor, images: Tensor) -> None:
        self._images = images
        self._expected = functional.conv2d(images[:, :1], designed[:, None], padding=designed.shape[-1] // 2).flatten(2)
        self._middle = self._expected.mean(dim=(0, 2))
        self._spread = (self._expected - self._middle[:, None]).square().sum(dim=(0, 2)).clamp_min(1e-12)
        self._seen: dict[tuple[Basis, float], tuple[Tensor, Tensor]] = {}

    def of(self, twin: Twin) -> Tensor:
        """Slope and intercept of each tile, (2, T)."""
        key = twin.basis, twin.display_gamma
        if key not in self._seen:
            self._seen[key] = self._features_seen(twin.basis, twin.light(self._images))
        slopes, means = self._seen[key]
        slope = (slopes * twin.weights).sum(dim=0)
        return torch.stack([slope, means @ twin.weights - slope * self._middle])

    def _features_seen(self, basis: Basis, light: Tensor) -> tuple[Tensor, Tensor]:
        """The slope of each feature over each tile, (F, T), and its mean, (F,)."""
        together, mean = torch.zeros(basis.features, len(self._middle)), torch.zeros(basis.features)
        for rows, expected in zip(basis.rows(light), self._expected, strict=True):
            together += rows @ (expected - self._middle[:, None]).T
            mean += rows.mean(dim=1) / len(light)
        return together / self._spread, mean
