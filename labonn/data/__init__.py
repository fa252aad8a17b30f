"""Data sets by name, read in their publishers' own layout."""

from labonn.data.catalogue import load
from labonn.data.datasets import DataSet, Split

__all__ = ["DataSet", "Split", "load"]
