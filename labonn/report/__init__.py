"""Reports: figures from arrays, and pages that hold them. Opens nothing, measures nothing."""

from labonn.report.checks import readable_checks, readable_instruments
from labonn.report.page import Page, flatten, show

__all__ = ["Page", "flatten", "readable_checks", "readable_instruments", "show"]
