"""Reports: figures from arrays, and pages that hold them. Opens nothing, measures nothing."""

from labonn.report.checks import readable_checks, readable_instruments
from labonn.report.page import Page, flatten, png_of, show

__all__ = ["Page", "flatten", "png_of", "readable_checks", "readable_instruments", "show"]
