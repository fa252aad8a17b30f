"""What a run would do and how long it would take, found out without touching anything."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from labonn.errors import RecordError
from labonn.protocol.script import Script, load_script
from labonn.protocol.settings import make_parameters
from labonn.records import RunRecord, read_run, release_in_use
from labonn.records.catalogue import Catalogue
from labonn.records.disk import plain

if TYPE_CHECKING:
    from labonn.instruments import BenchConfig

_MOST_RUNS = 20
_NO_STEP = ("total", "paused")


@dataclass(frozen=True)
class Estimate:
    """How long a run may take, from earlier runs of the protocol on the bench that came to their end."""

    seconds: float
    """Median, without pauses."""
    shortest_s: float
    longest_s: float
    runs: int
    same_parameters: bool
    """Whether those runs had the same parameters; else there were none with the same."""
    steps: dict[str, float]
    """Seconds of each step of the latest of them."""


@dataclass(frozen=True)
class Plan:
    """What a run would do."""

    script: Script
    parameters: BaseModel
    bench_config: "BenchConfig"
    release: str | None
    """That is in use on the bench."""
    estimate: Estimate | None
    remark: str | None
    """Why there is no estimate, if there is none."""


def plan_protocol(
    script: str | Path, bench_path: Path, settings: Mapping[str, str] | None = None, lab_dir: Path | None = None
) -> Plan:
    """Check everything that can be checked without opening the bench or recording a run, and estimate the time.

    Parameters
    ----------
    script, bench_path, settings
        As for `run_protocol`.
    lab_dir
        The laboratory whose earlier runs say how long it takes; none is needed.

    Raises
    ------
    ConfigError
        If the script, a setting, the bench file or a table in it is wrong.
    """
    from labonn.instruments import rehearse

    loaded = load_script(script)
    parameters = make_parameters(loaded.parameters, settings or {})
    config = rehearse(bench_path)
    found, release, remark = None, None, "no laboratory is named"
    if lab_dir is not None:
        release = release_in_use(lab_dir, config.name)
        try:
            found = estimate(lab_dir, loaded.name, config.name, parameters)
            remark = f"no run of {loaded.name} on {config.name} has come to its end in {lab_dir} yet"
        except RecordError as error:
            remark = str(error)
    return Plan(loaded, parameters, config, release, found, None if found else remark)


def estimate(lab_dir: Path, protocol: str, bench: str, parameters: BaseModel) -> Estimate | None:
    """Say how long a run may take; None where no earlier one says anything.

    Raises
    ------
    RecordError
        If the catalogue, or the record of an earlier run, cannot be read.
    """
    ended = _ended(lab_dir, protocol, bench)
    wanted = plain(parameters)
    same = [record for record in ended if record.parameters == wanted]
    chosen = same or ended
    if not chosen:
        return None
    took = [_without_pauses(record.seconds) for record in chosen]
    steps = {name: seconds for name, seconds in chosen[0].seconds.items() if name not in _NO_STEP}
    return Estimate(median(took), min(took), max(took), len(took), bool(same), steps)


def _ended(lab_dir: Path, protocol: str, bench: str) -> list[RunRecord]:
    """Records of the latest runs that came to their end, the latest first: those that were refused did, too."""
    runs = lab_dir.absolute() / "runs"
    if not runs.is_dir():
        return []
    with Catalogue(lab_dir) as catalogue:
        catalogue.catch_up()
        lines = [
            line
            for status in ("done", "refused")
            for line in catalogue.find(protocol=protocol, bench=bench, status=status, limit=_MOST_RUNS)[0]
        ]
    lines = sorted(lines, key=lambda line: line.id, reverse=True)[:_MOST_RUNS]
    return [read_run(runs / line.id) for line in lines]


def _without_pauses(seconds: Mapping[str, Any]) -> float:
    return float(seconds["total"]) - float(seconds.get("paused", 0.0))
