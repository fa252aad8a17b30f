"""What a laboratory keeps: runs with their frames and logs, models, releases. All of it files, nothing unpickled.

Each name is imported from its module when it is first asked for: ``labonn runs list`` must not wait for numpy, HDF5
and pydantic.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from labonn.records.calibrations import (
        StoredCalibration,
        calibration_history,
        current_calibrations,
        keep_calibration,
    )
    from labonn.records.checks import LastGood, last_good_check, save_good_check
    from labonn.records.estimates import KeptEstimate, estimate_report, keep_estimate, latest_estimate
    from labonn.records.frame_reading import frame_counts, kept_names, read_frames, read_kept
    from labonn.records.frames import FrameFile
    from labonn.records.in_use import release_in_use
    from labonn.records.logs import logging_to
    from labonn.records.lost import close_lost_runs
    from labonn.records.models import ModelCard, StoredModel, load_model, newest_model, read_model, save_model
    from labonn.records.recorder import Recorder
    from labonn.records.releases import (
        Release,
        current_release,
        last_good_release,
        list_releases,
        make_release,
        read_release,
        set_current_release,
    )
    from labonn.records.runs import Run, RunRecord, Status, find_run, read_run
    from labonn.records.watches import Watch, latest_watch, watches_of
    from labonn.records.weights import Weights, read_weights, write_weights

_HOMES = {
    "FrameFile": "frames",
    "KeptEstimate": "estimates",
    "LastGood": "checks",
    "ModelCard": "models",
    "Recorder": "recorder",
    "Release": "releases",
    "Run": "runs",
    "RunRecord": "runs",
    "Status": "runs",
    "StoredCalibration": "calibrations",
    "StoredModel": "models",
    "Watch": "watches",
    "Weights": "weights",
    "calibration_history": "calibrations",
    "close_lost_runs": "lost",
    "current_calibrations": "calibrations",
    "current_release": "releases",
    "estimate_report": "estimates",
    "find_run": "runs",
    "frame_counts": "frame_reading",
    "keep_calibration": "calibrations",
    "keep_estimate": "estimates",
    "kept_names": "frame_reading",
    "last_good_check": "checks",
    "last_good_release": "releases",
    "latest_estimate": "estimates",
    "latest_watch": "watches",
    "list_releases": "releases",
    "load_model": "models",
    "logging_to": "logs",
    "make_release": "releases",
    "newest_model": "models",
    "read_frames": "frame_reading",
    "read_kept": "frame_reading",
    "read_model": "models",
    "read_release": "releases",
    "read_run": "runs",
    "read_weights": "weights",
    "release_in_use": "in_use",
    "save_good_check": "checks",
    "save_model": "models",
    "set_current_release": "releases",
    "watches_of": "watches",
    "write_weights": "weights",
}

__all__ = [
    "FrameFile",
    "KeptEstimate",
    "LastGood",
    "ModelCard",
    "Recorder",
    "Release",
    "Run",
    "RunRecord",
    "Status",
    "StoredCalibration",
    "StoredModel",
    "Watch",
    "Weights",
    "calibration_history",
    "close_lost_runs",
    "current_calibrations",
    "current_release",
    "estimate_report",
    "find_run",
    "frame_counts",
    "keep_calibration",
    "keep_estimate",
    "kept_names",
    "last_good_check",
    "last_good_release",
    "latest_estimate",
    "latest_watch",
    "list_releases",
    "load_model",
    "logging_to",
    "make_release",
    "newest_model",
    "read_frames",
    "read_kept",
    "read_model",
    "read_release",
    "read_run",
    "read_weights",
    "release_in_use",
    "save_good_check",
    "save_model",
    "set_current_release",
    "watches_of",
    "write_weights",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
