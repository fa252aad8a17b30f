"""What the watches of a bench found: read by whoever decides whether a recalibration is due. Imports little."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from labonn.errors import RecordError
from labonn.records.catalogue import Catalogue

PROTOCOL = "watch_drift"
_RECORD = "run.json"
_OF_ONE_SECOND = 5


@dataclass(frozen=True)
class Watch:
    """One look at a bench, without labels."""

    run: str
    begun: datetime
    """UTC."""
    release: str
    """That was in use; a watch says nothing of a later one."""
    predicted_loss_points: float
    """Accuracy that the release is expected to have lost since it was made, in points."""
    control_limit_points: float
    """What chance alone does not pass, at the false-alarm rate of the whole period."""
    alarm: bool
    """Whether something has changed: the predicted loss is above the control limit."""
    due: bool
    """Whether to recalibrate: there is an alarm, and the predicted loss is above what is tolerated."""


def watches_of(lab_dir: Path, bench: str, *, release: str | None = None, most: int = 200) -> list[Watch]:
    """Give the latest watches of a bench that ended well, the latest first.

    Parameters
    ----------
    lab_dir
        The laboratory's folder.
    bench
        Its name.
    release
        Only those of this release.
    most
        How many of the bench's watches to look at.

    Raises
    ------
    RecordError
        If the catalogue cannot be read.
    """
    runs = lab_dir.absolute() / "runs"
    if not runs.is_dir():
        return []
    with Catalogue(lab_dir) as catalogue:
        catalogue.catch_up()
        lines, _ = catalogue.find(protocol=PROTOCOL, bench=bench, status="done", limit=most)
    found = [_read(runs / line.id / _RECORD) for line in lines]
    found.sort(key=lambda watch: watch.begun, reverse=True)  # names of runs tell no more than the second
    return [watch for watch in found if release in (None, watch.release)]


def latest_watch(lab_dir: Path, bench: str) -> Watch | None:
    """Give the latest watch of a bench that ended well, if there was any; see `watches_of`."""
    return next(iter(watches_of(lab_dir, bench, most=_OF_ONE_SECOND)), None)


def _read(path: Path) -> Watch:
    try:
        record = json.loads(path.read_bytes())
        return _watch(record, record["result"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RecordError(f"{path}: is not the record of a watch that ended well: {error!r}") from error


def _watch(record: Mapping[str, Any], result: Mapping[str, Any]) -> Watch:
    return Watch(
        run=str(record["id"]),
        begun=datetime.fromisoformat(record["start_utc"]).astimezone(UTC),
        release=str(result["of_release"]),
        predicted_loss_points=float(result["predicted_loss_points"]),
        control_limit_points=float(result["control_limit_points"]),
        alarm=bool(result["alarm"]),
        due=bool(result["due"]),
    )
