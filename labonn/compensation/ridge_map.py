"""What a backend's first layer becomes when it is solved for, not trained: a ridge regression on new features."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from labonn.errors import TrainingError

RIDGES = (1e-3, 1e-2, 1e-1, 1.0, 10.0)  # tried, relative to the mean eigenvalue of the features' Gram
RIDGE = 1e-3  # of a layer that is solved for on many images, likewise
MOST_FEATURES = 8192  # of a layer that is solved for: their Gram matrix takes 0.5 GB
_FOLDS = 4


@dataclass(frozen=True)
class RidgeMap:
    """simulated = captured @ matrix + offset, with matrix (F, F) and offset (F,)."""

    matrix: Tensor
    offset: Tensor


def fit_ridge_map(captured: Tensor, simulated: Tensor) -> RidgeMap:
    r"""Ridge regression of what the student expected on what was captured, towards leaving the features as they are.

    With X and Y the features of both, less their means: matrix = 1 + X^T (X X^T + lambda)^-1 (Y - X), in its dual form,
    because captures are fewer than features. lambda is the one that predicts best in four-fold cross-validation.

    Parameters
    ----------
    captured, simulated
        (n, F) features of the same images.
    """
    folds = torch.arange(len(captured)) % _FOLDS

    def error(ridge: float) -> float:
        total = 0.0
        for fold in range(min(_FOLDS, len(captured))):
            fitted = _solve(captured[folds != fold], simulated[folds != fold], ridge)
            left = captured[folds == fold] @ fitted.matrix + fitted.offset - simulated[folds == fold]
            total += float(left.square().sum())
        return total

    return _solve(captured, simulated, min(RIDGES, key=error) if len(captured) > 1 else RIDGES[-1])


def can_fold_in(layers: nn.Sequential) -> bool:
    """Whether a backend's first layer can read captured features by itself: a fully connected one can."""
    return isinstance(layers[0], nn.Linear)


def can_solve(layers: nn.Sequential) -> bool:
    """Whether a backend's first layer is one to be solved for: fully connected, of no more than MOST_FEATURES."""
    first = layers[0]
    return isinstance(first, nn.Linear) and first.in_features <= MOST_FEATURES


def fold_in(ridge_map: RidgeMap, layers: nn.Sequential) -> None:
    """Let a backend's first layer read captured features: W (X M + m) + b = (W M^T) X + (W m + b).

    Raises
    ------
    TrainingError
        If the first layer is not a fully connected one.
    """
    first = _fully_connected(layers)
    with torch.no_grad():
        weight = first.weight.clone()
        first.weight.copy_(weight @ ridge_map.matrix.T)
        first.bias.add_(weight @ ridge_map.offset)


@torch.no_grad()
def solve_first_layer(layers: nn.Sequential, pairs: Iterable[tuple[Tensor, Tensor]]) -> None:
    r"""Let a backend's first layer make of new features what it made of the old ones, as nearly as a line can.

    With x the new features and y = W f + b what the layer made of the old ones, less their means, over all images:
    W' = (sum y x^T) (sum x x^T + lambda)^-1, with lambda a thousandth of the mean eigenvalue: a tenth of that
    changed nothing where there are ten times as many images as features.

    Parameters
    ----------
    layers
        From the first that has parameters on; a fully connected one. It is changed in place.
    pairs
        New and old features of the same images, (n, F) both, in parts.

    Raises
    ------
    TrainingError
        If the first layer is not a fully connected one.
    """
    first = _fully_connected(layers)
    gram = torch.zeros(first.in_features + 1, first.in_features + 1, dtype=torch.float64)
    cross = torch.zeros(first.in_features + 1, first.out_features, dtype=torch.float64)
    for new, old in pairs:
        x = torch.cat([new, torch.ones(len(new), 1)], dim=1)
        gram += (x.T @ x).double()
        cross += (x.T @ first(old)).double()
    count, means = gram[-1, -1], gram[-1, :-1] / gram[-1, -1]
    centred = gram[:-1, :-1] - count * means[:, None] * means
    centred.diagonal().add_(RIDGE * centred.diagonal().mean().clamp_min(1e-12))
    weight = torch.linalg.solve(centred, cross[:-1] - means[:, None] * cross[-1])
    first.weight.copy_(weight.T)
    first.bias.copy_(cross[-1] / count - means @ weight)


def _fully_connected(layers: nn.Sequential) -> nn.Linear:
    first = layers[0]
    if not isinstance(first, nn.Linear):
        raise TrainingError(f"a first layer can be solved for if it is fully connected, and this one is {first}")
    return first


def _solve(captured: Tensor, simulated: Tensor, ridge: float) -> RidgeMap:
    x, y = captured.double(), simulated.double()
    x_mean, y_mean = x.mean(dim=0), y.mean(dim=0)
    x, y = x - x_mean, y - y_mean
    gram = x @ x.T
    weight = ridge * gram.diagonal().mean().clamp_min(1e-12)
    dual = torch.linalg.solve(gram + weight * torch.eye(len(x), dtype=x.dtype), y - x)
    matrix = torch.eye(x.shape[1], dtype=x.dtype) + x.T @ dual
    return RidgeMap(matrix.to(captured.dtype), (y_mean - x_mean @ matrix).to(captured.dtype))
