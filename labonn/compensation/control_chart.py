r"""A control chart of predicted losses, whose false-alarm rate is set for a whole month of watches.

A watch alarms where its predicted loss x is above

    limit = centre + t sigma sqrt(1 + 1/B),   t = quantile 1 - a of Student's t with B - 1 degrees of freedom
    a = 1 - (1 - A)^(1/n)

with A the chance of any false alarm in n watches of a bench that stands still (Sidak). Centre and sigma are those of B
simulated watches of such a bench, so that the limit is a prediction interval for one more. Once there have been enough
watches, sigma is not taken smaller than what they show themselves, from the median difference between one and the next:

    sigma = median |x_i - x_(i-1)| / 0.954

which a slow drift hardly changes and a standard deviation would take for noise; nor does a knock, which is two large
differences, widen it. Watches of one release share the noise of its reference captures, so they are no independent
draws; the bound holds for such ones as well.

Source: Montgomery, "Introduction to Statistical Quality Control", section 6.4 (individuals chart; the median moving
range of normal draws is 0.954 sigma); Sidak, "Rectangular confidence regions for the means of multivariate normal
distributions", JASA 62 (1967).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
from scipy import stats

ENOUGH_WATCHES = 20
_D4 = 0.954


@dataclass(frozen=True)
class ControlLimit:
    """What chance alone does not pass.

    Attributes
    ----------
    centre_points, sigma_points
        Mean and standard deviation of a watch of a bench that stands still, in points.
    limit_points
        A predicted loss above it is an alarm.
    """

    centre_points: float
    sigma_points: float
    limit_points: float


def control_limit(
    still: Sequence[float], earlier: Sequence[float], *, false_alarms: float, watches: int, resolution_points: float
) -> ControlLimit:
    """Set the limit of a chart.

    Parameters
    ----------
    still
        (B,) predicted losses of simulated watches of a bench that stands still, points.
    earlier
        Those of real ones of the same release, in the order in which they were made.
    false_alarms
        Chance of any false alarm over all watches together, in (0, 1).
    watches
        How many there are in the time that `false_alarms` is for.
    resolution_points
        What one image is worth: sigma is never taken smaller than half of it.
    """
    count = len(still)
    sigma = max(float(np.std(still, ddof=1)), resolution_points / 2)
    if len(earlier) >= ENOUGH_WATCHES:
        sigma = max(sigma, float(np.median(np.abs(np.diff(earlier)))) / _D4)
    per_watch = -np.expm1(np.log1p(-false_alarms) / watches)
    reach = float(stats.t.isf(per_watch, count - 1)) * sqrt(1 + 1 / count)
    centre = float(np.mean(still))
    return ControlLimit(centre, sigma, centre + reach * sigma)
