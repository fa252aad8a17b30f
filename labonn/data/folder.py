"""Where data sets are, and what is kept of them."""

import os
from pathlib import Path

import platformdirs


def data_folder() -> Path:
    """Where data sets are: ``LABONN_DATA``, else the user's data folder."""
    named = os.environ.get("LABONN_DATA")
    return Path(named) if named else Path(platformdirs.user_data_dir("labonn", appauthor=False)) / "data"


def cache_folder() -> Path:
    """Where what can be made again from data sets is kept: the user's cache."""
    return Path(platformdirs.user_cache_dir("labonn", appauthor=False)) / "data"
