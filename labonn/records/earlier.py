"""Earlier runs that ended before everything was captured, and whose captures one of the same kind may take over."""

import logging
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby
from pathlib import Path

from labonn.errors import ConfigError, RecordError
from labonn.records.frame_reading import frame_counts, read_frames
from labonn.records.runs import FRAMES, CapturedWith, RunRecord, find_run, read_run

logger = logging.getLogger(__name__)

MOST_AGE_H = 12.0
"""Since the last capture; who names a run may continue an older one."""
_LONGEST_RUN = timedelta(days=7)  # names of runs begun before are not looked at
TAKEN = "taken_unix_s"


@dataclass(frozen=True)
class EarlierRun:
    """A run with captures that can be taken over."""

    folder: Path
    record: RunRecord
    counts: dict[str, int]
    """Group -> acknowledged captures, of the groups that can be taken over, in the order of capturing."""
    last_capture_unix_s: float

    @property
    def captured_with(self) -> CapturedWith:
        """What its captures hold for."""
        assert self.record.captured_with is not None
        return self.record.captured_with

    @property
    def frames(self) -> Path:
        """Its file of frames."""
        return self.folder / FRAMES


@dataclass(frozen=True)
class Found:
    """What there is to continue."""

    runs: tuple[EarlierRun, ...] = ()
    """The run to continue, and those before it that were captured with the same calibration, the latest first."""
    remark: str | None = None
    """What the operator should know where there is none."""


def runs_to_continue(lab_dir: Path, record: RunRecord) -> Found:
    """Find the lost runs that a run would repeat: the same script, parameters, bench and optic.

    The search goes back in time. It ends at a run of the same kind that was done, refused or aborted: that one was
    closed by somebody's will. One that failed is passed over.

    Parameters
    ----------
    lab_dir
        The laboratory's folder.
    record
        Of the run that begins.
    """
    runs: list[EarlierRun] = []
    remark = None
    for earlier in _same_before(lab_dir, record):
        if earlier.status in ("done", "refused"):
            break
        run = _with_captures(lab_dir.absolute() / "runs" / earlier.id, earlier)
        if earlier.status == "aborted":
            if run is not None and not runs:
                remark = f"run {earlier.id} was aborted with {_many(run)}; --continue {earlier.id} goes on with them"
            break
        if earlier.status != "lost" or run is None:
            continue
        age_h = (time.time() - run.last_capture_unix_s) / 3600
        if not runs and not -1 < age_h <= MOST_AGE_H:
            said = f"{age_h:.0f} h ago, more than the {MOST_AGE_H:g} h that are bridged unasked"
            said = said if age_h > 0 else "later than now, as this computer's clock says"
            remark = (
                f"run {earlier.id} was lost with {_many(run)}, the last of them {said};"
                f" --continue {earlier.id} goes on with them"
            )
            break
        if not runs or run.captured_with.calibration_sha256 == runs[0].captured_with.calibration_sha256:
            runs.append(run)
    if runs:
        remark = f"run {runs[0].record.id} was lost with {_many(runs[0])}: it is continued, if the bench is as it was"
    return Found(tuple(runs), remark)


def run_to_continue(lab_dir: Path, name: str, record: RunRecord) -> Found:
    """Give the run that somebody wants to be continued, however long ago it ended and whether lost, aborted or failed.

    Raises
    ------
    ConfigError
        If it cannot be: it was done, it was of another kind, or it has no captures.
    RecordError
        If there is no such run.
    """
    folder = find_run(lab_dir, name)
    earlier = read_run(folder)
    wrong = f"--continue {name}: run {earlier.id}"
    if earlier.status not in ("lost", "aborted", "failed"):
        raise ConfigError(f"{wrong} is {earlier.status}; only one that was lost, aborted or failed can be continued")
    if differences := _differences(earlier, record):
        raise ConfigError(f"{wrong} differs from this one in {'; '.join(differences)}")
    run = _with_captures(folder, earlier)
    if run is None:
        raise ConfigError(f"{wrong} has no captures that could be taken over; run anew without --continue")
    runs = [run]
    for before in earlier.continues:
        other = lab_dir.absolute() / "runs" / before
        found = _with_captures(other, read_run(other)) if other.is_dir() else None
        if found and found.captured_with.calibration_sha256 == run.captured_with.calibration_sha256:
            runs.append(found)
    return Found(tuple(runs))


def _same_before(lab_dir: Path, record: RunRecord) -> Iterator[RunRecord]:
    """Give the records of runs of the same kind, the latest first."""
    since = f"{record.start_utc - timedelta(hours=MOST_AGE_H) - _LONGEST_RUN:%Y%m%dT%H%M%SZ}"
    runs = lab_dir.absolute() / "runs"
    names = [path.name for path in runs.iterdir()] if runs.is_dir() else []
    same = sorted(name for name in names if since <= name and name != record.id and name[17:-5] == record.protocol)
    for _, of_a_second in groupby(reversed(same), key=lambda name: name[:16]):
        for earlier in sorted(_readable(runs, of_a_second), key=lambda one: one.start_utc, reverse=True):
            if earlier.status != "running" and not _differences(earlier, record):
                yield earlier


def _readable(runs: Path, names: Iterable[str]) -> Iterator[RunRecord]:
    for name in names:
        try:
            yield read_run(runs / name)
        except RecordError as error:
            logger.warning("%s", error)


def _differences(earlier: RunRecord, record: RunRecord) -> list[str]:
    """Say in what two runs are not of the same kind."""
    found = []
    for what, then, now in (
        ("its protocol", earlier.protocol, record.protocol),
        ("its script, which was changed", earlier.script_sha256, record.script_sha256),
        ("its bench", earlier.bench, record.bench),
        ("its optic", (earlier.optic or {}).get("serial_number"), (record.optic or {}).get("serial_number")),
    ):
        if then != now:
            found.append(what if "script" in what else f"{what} ({then}, now {now})")
    for key in sorted(earlier.parameters.keys() | record.parameters.keys()):
        then, now = earlier.parameters.get(key), record.parameters.get(key)
        if then != now:
            found.append(f"{key} ({then}, now {now})")
    return found


def _with_captures(folder: Path, record: RunRecord) -> EarlierRun | None:
    """Look for captures of a run that can be taken over."""
    if record.captured_with is None or not any(folder.glob(f"{FRAMES}*")):  # it ended before its first frame
        return None
    frames = folder / FRAMES
    try:
        every = frame_counts(frames)
        counts = {name: every[name] for name in record.captured_with.groups if name in every}
        last = [
            float(read_frames(frames, name, [TAKEN], start=count - 1)[TAKEN][0])
            for name, count in counts.items()
            if count
        ]
    except RecordError as error:
        logger.warning("run %s cannot be continued: %s", record.id, error)
        return None
    return EarlierRun(folder, record, counts, max(last)) if last else None


def _many(run: EarlierRun) -> str:
    count = sum(run.counts.values())
    last = datetime.fromtimestamp(run.last_capture_unix_s, UTC)
    return f"{count} capture{'s' if count > 1 else ''} (until {last:%Y-%m-%d %H:%M} UTC)"
