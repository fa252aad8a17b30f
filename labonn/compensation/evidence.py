"""Evidence from paired captures, which may be looked at as often as one likes."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

BETS: Final = 32
_SEARCH_STEPS: Final = 40


def evidence(gained: int, lost: int, captures: int, bound: float) -> float:
    r"""Evidence that a mean gain is above a bound: the capital of somebody who bets that it is.

    Each capture gives d = 1 (only the new backend is right), -1 (only the current one) or 0. Whoever stakes the share
    lambda of a capital of 1 on d > bound has, after n captures,

        C(lambda) = (1 + lambda (1 - bound))^gained (1 - lambda (1 + bound))^lost (1 - lambda bound)^(n - gained - lost)

    and here the mean over lambda, evenly spread over (0, 1 / (1 + bound)). If the true mean is the bound or less, the
    capital is not expected to grow at any capture, so the chance that it *ever* reaches 1 / alpha is alpha at most,
    whoever looks, and however often (Ville's inequality). It needs no large numbers and no plan of looks.

    Parameters
    ----------
    gained, lost, captures
        How many captures have d = 1, d = -1, and how many there are; they are a random sample.
    bound
        In (-1, 1), as a share of the captures.

    Source: Waudby-Smith, Ramdas, "Estimating means of bounded random variables by betting", J. R. Stat. Soc. B 86
    (2024), sections 4.1 and B.1; Ville, "Étude critique de la notion de collectif" (1939).
    """
    stakes: NDArray[np.float64] = (np.arange(BETS) + 0.5) / BETS / (1 + bound)
    logarithms = (
        gained * np.log1p(stakes * (1 - bound))
        + lost * np.log1p(-stakes * (1 + bound))
        + (captures - gained - lost) * np.log1p(-stakes * bound)
    )
    return float(np.exp(min(np.logaddexp.reduce(logarithms) - np.log(BETS), 700.0)))


def lower_bound(gained: int, lost: int, captures: int, error_rate: float) -> float:
    """The largest bound that the evidence puts the mean gain above, at an error rate for all looks together."""
    low, high = -1.0, 1.0
    for _ in range(_SEARCH_STEPS):
        middle = (low + high) / 2
        if evidence(gained, lost, captures, middle) >= 1 / error_rate:
            low = middle
        else:
            high = middle
    return low
