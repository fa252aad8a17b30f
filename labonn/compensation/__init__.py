"""Where the wings meet: the optical twin, re-matching the backend to real optics, and the gate."""

from labonn.compensation.attribution import Attribution, Cost, attribute
from labonn.compensation.departures import Departures, FocusSeries, dissect
from labonn.compensation.gate import Verdict, judge
from labonn.compensation.rematch import Captured, Lecture, Method, check_methods, rematch, steps_of
from labonn.compensation.twin import Twin
from labonn.compensation.twin_fit import fit_twin

__all__ = [
    "Attribution",
    "Captured",
    "Cost",
    "Departures",
    "FocusSeries",
    "Lecture",
    "Method",
    "Twin",
    "Verdict",
    "attribute",
    "check_methods",
    "dissect",
    "fit_twin",
    "judge",
    "rematch",
    "steps_of",
]
