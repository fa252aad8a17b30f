"""Many designs, trainings or simulated fabrications: what is searched, who computes it, what is kept of it."""

from labonn.sweeps.driving import Swept, run_sweep
from labonn.sweeps.sweep import Sweep, read_sweep
from labonn.sweeps.trial import Order, Outcome

__all__ = ["Order", "Outcome", "Sweep", "Swept", "read_sweep", "run_sweep"]
