"""Benchmarks: each is a command, `python -m tests.benchmarks.NAME`, and writes a section of docs/results.md."""

from labonn.cli.processor import prepare_process

prepare_process()  # as the command line does, before torch is imported
