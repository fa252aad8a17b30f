"""Where the wings meet: the optical twin, re-matching the backend to real optics, and the gate."""

from labonn.compensation.answers import answers_of
from labonn.compensation.attribution import Attribution, Cost, attribute
from labonn.compensation.control_chart import ControlLimit, control_limit
from labonn.compensation.departures import Departures, FocusSeries, dissect
from labonn.compensation.drift import Drift, Outlook
from labonn.compensation.expectation import Expectation
from labonn.compensation.gate import Answers, Decision, Gate, Verdict, decide
from labonn.compensation.material import Captured, Lecture, Material
from labonn.compensation.methods import CANDIDATES, CANDIDATES_OF_PIXELS, Method, check_methods, match_kernels
from labonn.compensation.movement import require_still
from labonn.compensation.rematch import rematch
from labonn.compensation.twin import Twin
from labonn.compensation.twin_colour import AnyTwin, ColourTwin, twin_of
from labonn.compensation.twin_fit import fit_twin

__all__ = [
    "CANDIDATES",
    "CANDIDATES_OF_PIXELS",
    "Answers",
    "AnyTwin",
    "Attribution",
    "Captured",
    "ColourTwin",
    "ControlLimit",
    "Cost",
    "Decision",
    "Departures",
    "Drift",
    "Expectation",
    "FocusSeries",
    "Gate",
    "Lecture",
    "Material",
    "Method",
    "Outlook",
    "Twin",
    "Verdict",
    "answers_of",
    "attribute",
    "check_methods",
    "control_limit",
    "decide",
    "dissect",
    "fit_twin",
    "match_kernels",
    "rematch",
    "require_still",
    "twin_of",
]
