"""The command that lists runs; it imports little, because it is to answer at once."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from labonn.cli.answer import Answer, aligned
from labonn.errors import ConfigError
from labonn.records.catalogue import Catalogue, RunLine

_STATUSES = ("running", "done", "failed", "refused", "aborted", "lost", "unreadable")
_REASON_LETTERS = 60


def list_command(
    lab: Path, since: str | None, until: str | None, wanted: Mapping[str, str | None], most: int
) -> Answer:
    """List runs, the latest first."""
    status = wanted["status"]
    if status is not None and status not in _STATUSES:
        raise ConfigError(f"--status {status}: there is no such status; there are: {', '.join(_STATUSES)}")
    first, end = _moment("--since", since), _moment("--until", until)
    if not (lab / "runs").is_dir():
        raise ConfigError(f"{lab.absolute()}: has no runs; name the laboratory's folder with --lab")
    with Catalogue(lab) as catalogue:
        catalogue.catch_up()
        lines, count = catalogue.find(since=first, until=end, limit=most or None, **wanted)

    said = _columns(lines) if lines else ["no runs fit" if since or until or any(wanted.values()) else "no runs"]
    if count > len(lines):
        said.append(f"{len(lines)} of {count} runs; --most {count} shows all")
    return Answer({"runs": [asdict(line) for line in lines], "count": count}, "\n".join(said))


def _moment(option: str, text: str | None) -> str | None:
    """Give the beginning of the ids of runs of a moment, which may be a day."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"{option} {text}: is no date; write 2026-11-26, or 2026-11-26T14:30, in UTC") from None
    moment = moment.astimezone(UTC) if moment.tzinfo else moment
    return f"{moment:%Y%m%dT%H%M%S}"


def _columns(lines: list[RunLine]) -> list[str]:
    """Align what there is to say, a line a run."""
    rows = [("run", "bench", "status", "seconds", "")]
    for line in lines:
        said = line.release or line.reason or ""
        said = said.partition("\n")[0]
        said = said if len(said) <= _REASON_LETTERS else f"{said[: _REASON_LETTERS - 3]}..."
        rows.append(
            (line.id, line.bench or "", line.status, "" if line.seconds is None else f"{line.seconds:.0f}", said)
        )
    return aligned(rows)
