"""Benchmarks: each is a command, `python -m tests.benchmarks.NAME`, and writes a section of docs/results.md."""

import os

from labonn.cli.entry import WAIT_WITHOUT_SPINNING

for name, value in WAIT_WITHOUT_SPINNING.items():  # before torch is imported, as the command line does
    os.environ.setdefault(name, value)
