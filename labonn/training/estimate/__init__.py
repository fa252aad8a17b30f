"""What a design will reach, before it is trained: kernel regression, corrected by what was measured before."""

from labonn.training.estimate.correction import Correction, Interval, Known
from labonn.training.estimate.earlier import earlier_designs
from labonn.training.estimate.estimating import Estimate, estimate_design
from labonn.training.estimate.predictors import Predictors, Settings, predict, predictors_of

__all__ = [
    "Correction",
    "Estimate",
    "Interval",
    "Known",
    "Predictors",
    "Settings",
    "earlier_designs",
    "estimate_design",
    "predict",
    "predictors_of",
]
