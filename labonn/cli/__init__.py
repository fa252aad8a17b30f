"""The command line."""

from labonn.cli.entry import main

__all__ = ["main"]
