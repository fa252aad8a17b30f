r"""Ridge regression of all tiles on the same features at once, judged by captures that were left out.

    w_t = argmin sum_n |y_tn - X_n w|^2 + sum_f p_f (w_f - m_tf)^2

All tiles share X^T X. It is kept for each fold of the captures, so that every choice of features and of the prior's
weights p is judged on left-out captures by small linear systems, without a look at a pixel:
|y - X w|^2 = y^T y - 2 w^T X^T y + w^T X^T X w.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

MOST_PIXELS = 2048  # of a capture: more say hardly more of some hundred features
MOST_READINGS = 20_000  # of a tile, in all captures: more say hardly more of a curve
JITTER = 1e-6  # of the diagonal: what features that the captures do not tell apart need, in single precision


@dataclass(frozen=True)
class Moments:
    """Sums over some captures, float64.

    Attributes
    ----------
    gram
        X^T X, (F, F).
    target
        X^T y, (F, T).
    power
        y^T y, (T,).
    captures
        How many.
    readings
        How many of each tile, over all captures.
    """

    gram: Tensor
    target: Tensor
    power: Tensor
    captures: int
    readings: int

    @classmethod
    def of(cls, rows: Iterable[Tensor], tiles: Tensor) -> "Moments":
        """Sum over captures: features (F, n) one capture after the other, readings (N, T, n); streamed."""
        gram = target = None
        power = torch.zeros(tiles.shape[1], dtype=torch.float64)
        for features, tile in zip(rows, tiles, strict=True):
            if gram is None:
                gram = torch.zeros(len(features), len(features), dtype=torch.float64)
                target = torch.zeros(len(features), tiles.shape[1], dtype=torch.float64)
            gram += (features @ features.T).double()
            target += (features @ tile.T).double()
            power += tile.double().square().sum(dim=1)
        if gram is None or target is None:
            raise ValueError("moments of no captures")
        return cls(gram, target, power, len(tiles), len(tiles) * tiles.shape[2])

    def __add__(self, other: "Moments") -> "Moments":
        """Both captures together."""
        return Moments(
            self.gram + other.gram,
            self.target + other.target,
            self.power + other.power,
            self.captures + other.captures,
            self.readings + other.readings,
        )

    def __sub__(self, other: "Moments") -> "Moments":
        """What is left without some of them."""
        return Moments(
            self.gram - other.gram,
            self.target - other.target,
            self.power - other.power,
            self.captures - other.captures,
            self.readings - other.readings,
        )

    def of_features(self, chosen: Tensor) -> "Moments":
        """The same with some of the features only."""
        return Moments(self.gram[chosen][:, chosen], self.target[chosen], self.power, self.captures, self.readings)

    def factor(self, precision: Tensor) -> Tensor:
        """Lower Cholesky factor of X^T X + diag(precision), (F, F)."""
        own = self.gram.diagonal()
        jitter = JITTER * own.clamp_min(1e-6 * own.mean())
        factor: Tensor = torch.linalg.cholesky(self.gram + torch.diag(precision + jitter))
        return factor

    def solve(self, precision: Tensor, prior: Tensor) -> Tensor:
        """The weights (F, T), with the prior's precision (F,) and mean (F, T)."""
        return torch.cholesky_solve(self.target + precision[:, None] * prior, self.factor(precision))

    def error(self, weights: Tensor) -> Tensor:
        """Sum of squared residuals of these captures under some weights, (T,)."""
        fitted = (weights * (self.gram @ weights)).sum(dim=0)
        return (self.power - 2 * (weights * self.target).sum(dim=0) + fitted).clamp_min(0)


@dataclass(frozen=True)
class Folds:
    """The moments of each part of the captures; each part is predicted from the others."""

    parts: tuple[Moments, ...]

    @property
    def whole(self) -> Moments:
        """All captures together."""
        whole = self.parts[0]
        for part in self.parts[1:]:
            whole = whole + part
        return whole

    def of_features(self, chosen: Tensor) -> "Folds":
        """The same with some of the features only."""
        return Folds(tuple(part.of_features(chosen) for part in self.parts))

    def held_out(self, precision: Tensor, prior: Tensor) -> list[Tensor]:
        """The weights (F, T) that predict each part, fitted to all the others."""
        whole = self.whole
        return [(whole - part).solve(precision, prior) for part in self.parts]

    def error(self, precision: Tensor, prior: Tensor) -> Tensor:
        """Sum of squared residuals of all captures, each predicted from the others, (T,)."""
        errors = [p.error(w) for p, w in zip(self.parts, self.held_out(precision, prior), strict=True)]
        return torch.stack(errors).sum(dim=0)


def some_readings(tiles: Tensor) -> Tensor:
    """Evenly chosen readings of tiles (N, T, H, W), tile by tile, (T, n): `MOST_READINGS` or a few more, at most."""
    readings = tiles.transpose(0, 1).flatten(1)
    return readings[:, :: max(1, readings.shape[1] // MOST_READINGS)]
