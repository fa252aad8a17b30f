"""Which parts a twin has, and how much its prior weighs: what left-out captures justify, simplest first."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from labonn.compensation.twin_basis import Basis, Part
from labonn.compensation.twin_prior import Expectation, prior_precision
from labonn.compensation.twin_regression import Folds

# Tried for the prior's weight, relative to the mean diagonal of a part's features in one capture.
RIDGES: dict[Part, tuple[float, ...]] = {
    "kernel": (1e-4, 1e-3, 1e-2, 1e-1, 1.0),
    "halo": (1e-4, 1e-2),
    "background": (1e-3, 1e-2, 1e-1),
    "far": (1e-2, 1e-1, 1.0),
    "field": (1e-1, 1.0, 10.0),
    "field2": (1.0, 10.0, 100.0),
    "mix": (1e-2, 1e-1, 1.0, 10.0),
}
FINE = (0.3, 1.0, 3.0)  # times the kernel's, once all parts are known


@dataclass(frozen=True)
class Selection:
    """The parts that were kept.

    Attributes
    ----------
    basis
        Of the parts kept.
    folds
        The captures' moments in it.
    precision
        (F,) of the prior.
    prior
        (F, T) its mean.
    ridge
        Of each part.
    error
        Left-out residual of each tile, sum of squares, (T,).
    gains
        What each part took of the residual when it was tried, kept or not, as a fraction.
    """

    basis: Basis
    folds: Folds
    precision: Tensor
    prior: Tensor
    ridge: dict[Part, float]
    error: Tensor
    gains: dict[Part, float]

    @property
    def total(self) -> float:
        """The residual that decides."""
        return float(self.error.sum())


def select(wide: Basis, folds: Folds, expected: Expectation, worth: float) -> Selection:
    """Begin with kernel and offset, and keep each further part that takes `worth` of the left-out residual away.

    Parameters
    ----------
    wide
        The basis of every part that may be chosen; `folds` are its moments.
    folds
        The captures.
    expected
        The prior's kernels.
    worth
        A fraction.
    """
    gains: dict[Part, float] = {}

    def tried(ridge: dict[Part, float]) -> Selection:
        return _with(wide, folds, expected, ridge, gains)

    best = min((tried({"kernel": r, "offset": 0.0}) for r in RIDGES["kernel"]), key=lambda s: s.total)
    for part in wide.parts:
        if part in best.ridge or not wide.size(part):
            continue
        widest = min((tried({**best.ridge, part: r}) for r in RIDGES[part]), key=lambda s: s.total)
        gains[part] = 1 - widest.total / max(best.total, 1e-30)
        if gains[part] > worth:
            best = widest
    finer = [tried({**best.ridge, "kernel": factor * best.ridge["kernel"]}) for factor in FINE]
    return min(finer, key=lambda s: s.total)


def _with(
    wide: Basis, folds: Folds, expected: Expectation, ridge: dict[Part, float], gains: dict[Part, float]
) -> Selection:
    parts = tuple(part for part in wide.parts if part in ridge)
    chosen = torch.cat([torch.arange(wide.features)[wide.places[part]] for part in parts])
    basis, mine = replace(wide, parts=parts), folds.of_features(chosen)
    precision = prior_precision(basis, mine.whole, ridge)
    prior = expected.mean(basis)
    return Selection(basis, mine, precision, prior, ridge, mine.error(precision, prior), gains)
