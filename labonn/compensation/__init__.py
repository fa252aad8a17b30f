"""Where the wings meet: the optical twin, re-matching the backend to real optics, and the gate."""

from labonn.compensation.gate import Verdict, judge
from labonn.compensation.rematch import Method, rematch
from labonn.compensation.twin import Twin, fit_twin

__all__ = ["Method", "Twin", "Verdict", "fit_twin", "judge", "rematch"]
