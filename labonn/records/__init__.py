"""What a laboratory keeps: runs with their frames and logs, models, releases. All of it files, nothing unpickled."""

from labonn.records.calibrations import (
    StoredCalibration,
    calibration_history,
    current_calibrations,
    keep_calibration,
)
from labonn.records.checks import LastGood, last_good_check, save_good_check
from labonn.records.frame_reading import frame_counts, kept_names, read_frames, read_kept
from labonn.records.frames import FrameFile
from labonn.records.logs import logging_to
from labonn.records.lost import close_lost_runs
from labonn.records.models import ModelCard, StoredModel, load_model, newest_model, save_model
from labonn.records.recorder import Recorder
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
    "LastGood",
    "ModelCard",
    "Recorder",
    "Release",
    "Run",
    "RunRecord",
    "Status",
    "StoredCalibration",
    "StoredModel",
    "Weights",
    "calibration_history",
    "close_lost_runs",
    "current_calibrations",
    "current_release",
    "find_run",
    "frame_counts",
    "keep_calibration",
    "kept_names",
    "last_good_check",
    "list_releases",
    "load_model",
    "logging_to",
    "make_release",
    "newest_model",
    "read_frames",
    "read_kept",
    "read_release",
    "read_run",
    "read_weights",
    "save_good_check",
    "save_model",
    "set_current_release",
    "write_weights",
]
