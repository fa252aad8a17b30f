"""What a laboratory keeps: runs with their frames and logs, models, releases. All of it files, nothing unpickled."""

from labonn.records.frames import FrameFile, frame_counts, read_frames
from labonn.records.logs import logging_to
from labonn.records.models import ModelCard, StoredModel, load_model, newest_model, save_model
from labonn.records.releases import (
    Release,
    current_release,
    list_releases,
    make_release,
    read_release,
    set_current_release,
)
from labonn.records.runs import Run, RunRecord, Status, find_run, read_run
from labonn.records.weights import Weights, read_weights, write_weights

__all__ = [
    "FrameFile",
    "ModelCard",
    "Release",
    "Run",
    "RunRecord",
    "Status",
    "StoredModel",
    "Weights",
    "current_release",
    "find_run",
    "frame_counts",
    "list_releases",
    "load_model",
    "logging_to",
    "make_release",
    "newest_model",
    "read_frames",
    "read_release",
    "read_run",
    "read_weights",
    "save_model",
    "set_current_release",
    "write_weights",
]
