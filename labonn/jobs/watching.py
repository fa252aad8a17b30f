"""The watch for drift, when its hour has come: the protocol ``watch_drift``."""

from collections.abc import Callable, Mapping
from datetime import datetime
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING

from labonn.instruments.bench_config import read_bench
from labonn.instruments.leaving import Leaving
from labonn.instruments.lock import reserved
from labonn.instruments.schedule import Schedule
from labonn.jobs.due import look_for_watch
from labonn.jobs.history import WATCH, read_history
from labonn.jobs.message import Message
from labonn.jobs.tell import tell
from labonn.records.disk import utc_now

if TYPE_CHECKING:
    from labonn.protocol import Outcome

_MONTH_H = 720

Watch = Callable[[Path, Path, Mapping[str, str]], "Outcome"]
"""Bench file, laboratory's folder and settings -> how the run ended."""


def watch_if_due(
    bench_path: Path,
    lab_dir: Path,
    *,
    clock: Callable[[], datetime] = utc_now,
    watch: Watch | None = None,
) -> "Outcome | None":
    """Watch a bench for drift, if its schedule says that this is due; None where it is not.

    Raises
    ------
    BenchInUse
        If it is due and another process holds the bench.
    ConfigError
        If the bench file is wrong.
    RecordError
        If the laboratory's records cannot be read.
    """
    config = read_bench(bench_path)
    schedule = config.schedule
    if schedule is None or not look_for_watch(schedule, read_history(lab_dir, config.name), clock()).due:
        return None
    with Leaving().active(), reserved(config.name):
        history = read_history(lab_dir, config.name)
        if not look_for_watch(schedule, history, clock()).due:
            return None
        outcome = (watch or _run)(bench_path, lab_dir, watch_settings(schedule))
    if outcome.status == "failed" and not history.watch_failed:  # told once, not every hour
        facts = {"run": outcome.run_folder.name, "reason": outcome.error, "lab": str(lab_dir.absolute())}
        tell(schedule, lab_dir, Message("watch", config.name, clock(), facts))
    return outcome


def watch_settings(schedule: Schedule) -> dict[str, str]:
    """Give the settings of ``watch_drift``, as ``--set`` takes them."""
    if schedule.drift is None:
        return {}
    return {
        "tolerated_loss_points": f"{schedule.drift.tolerated_loss_points:g}",
        "watches_a_month": str(ceil(_MONTH_H / schedule.drift.watch_every_h)),  # false alarms are counted over all
    }


def _run(bench_path: Path, lab_dir: Path, settings: Mapping[str, str]) -> "Outcome":
    from labonn.protocol.runtime import run_protocol

    return run_protocol(WATCH, bench_path, lab_dir, settings)
