"""Data sets by name, read in their publishers' own layout."""

from labonn.data.datasets import DataSet, Split, load

__all__ = ["DataSet", "Split", "load"]
