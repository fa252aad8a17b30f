"""Evidence from paired captures, which may be looked at as often as one likes."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

BETS: Final = 32
_SEARCH_STEPS: Final = 40
Doubles = NDArray[np.float64]


def evidence(gains: Doubles, bound: float, *, counts: NDArray[np.int64] | None = None) -> float:
    r"""Evidence that a mean gain is above a bound: the capital of somebody who bets that it is.

    Each capture has a gain d in [-1, 1]: of an image with a class 1 (only the new backend is right), -1 (only the
    current one) or 0; of a mask the difference of its overlaps (IoU). Whoever stakes the share lambda of a capital of 1
    on d > bound has, after n captures,

        C(lambda) = prod_i (1 + lambda (d_i - bound))

    and here the mean over lambda, evenly spread over (0, 1 / (1 + bound)). If the true mean is the bound or less, the
    capital is not expected to grow at any capture, so the chance that it *ever* reaches 1 / alpha is alpha at most,
    whoever looks, and however often (Ville's inequality). It needs no large numbers and no plan of looks.

    Parameters
    ----------
    gains
        (n,) of a random sample of captures.
    bound
        In (-1, 1).
    counts
        (n,) how often each gain was seen; once, if not given.

    Source: Waudby-Smith, Ramdas, "Estimating means of bounded random variables by betting", J. R. Stat. Soc. B 86
    (2024), sections 4.1 and B.1; Ville, "Étude critique de la notion de collectif" (1939).
    """
    stakes: Doubles = (np.arange(BETS) + 0.5) / BETS / (1 + bound)
    each = np.log1p(stakes[:, None] * (gains - bound))
    logarithms = each.sum(axis=1) if counts is None else each @ counts
    return float(np.exp(min(np.logaddexp.reduce(logarithms) - np.log(BETS), 700.0)))


def lower_bound(gains: Doubles, error_rate: float, *, counts: NDArray[np.int64] | None = None) -> float:
    """The largest bound that the evidence puts the mean gain above, at an error rate for all looks together."""
    low, high = -1.0, 1.0
    for _ in range(_SEARCH_STEPS):
        middle = (low + high) / 2
        if evidence(gains, middle, counts=counts) >= 1 / error_rate:
            low = middle
        else:
            high = middle
    return low
