"""The release gate: nothing is released that may be worse."""

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

CONFIDENCE = 0.95
MARGIN_POINTS = 0.5
FEWEST_VALIDATION_CAPTURES = 30


@dataclass(frozen=True)
class Verdict:
    """What the validation captures say of a new backend against the current one.

    Attributes
    ----------
    released
        Whether the new one may be released.
    gain_points
        Mean gain in accuracy, in points (per cent of the captures).
    lower_bound_points
        The gain is at least this, at the stated confidence.
    captures
        How many were compared.
    reason
        A sentence for the operator.
    """

    released: bool
    gain_points: float
    lower_bound_points: float
    captures: int
    reason: str


def judge(current_right: NDArray[np.bool_], new_right: NDArray[np.bool_]) -> Verdict:
    r"""Compare two backends on the same captures, image by image.

    With b captures that only the new one gets right and c that only the current one does, among n: the adjusted Wald
    interval of the paired difference, (b - c) / (n + 2) - z sqrt(b' + c' - (b' - c')^2 / (n + 2)) / (n + 2) with b' =
    b + 1/2 and c' = c + 1/2. Released if the mean gain is positive and its one-sided lower bound is above minus the
    margin.

    Parameters
    ----------
    current_right, new_right
        (n,) bool, whether each validation capture is classified as labelled.

    Source: Agresti, Min, "Simple improved confidence intervals for comparing matched proportions", Statistics in
    Medicine 24 (2005), section 2.
    """
    n = len(current_right)
    gained, lost = int((new_right & ~current_right).sum()), int((current_right & ~new_right).sum())
    if n < FEWEST_VALIDATION_CAPTURES:
        reason = f"{n} validation captures are too few to judge by; at least {FEWEST_VALIDATION_CAPTURES} are needed"
        return Verdict(False, float("nan"), float("nan"), n, reason)
    gain = (gained - lost) / n
    more, less, total = gained + 0.5, lost + 0.5, n + 2
    spread = sqrt(more + less - (more - less) ** 2 / total) / total
    lower = (more - less) / total - float(norm.ppf(CONFIDENCE)) * spread
    released = gain > 0 and lower > -MARGIN_POINTS / 100
    counts = f"{gained} of {n} captures gained, {lost} lost: {100 * gain:+.1f} points, at least {100 * lower:+.1f}"
    wanted = f"asked for a gain, and at {CONFIDENCE:.0%} confidence no loss beyond {MARGIN_POINTS} points"
    return Verdict(released, 100 * gain, 100 * lower, n, f"{counts}; {wanted}")
