"""The benches of a laboratory that have a schedule, by the files that their runs were begun with."""

import json
import logging
from pathlib import Path

from labonn.errors import ConfigError, LabonnError
from labonn.instruments.bench_config import BenchConfig, read_bench
from labonn.records.catalogue import Catalogue

logger = logging.getLogger(__name__)


def scheduled_benches(lab_dir: Path, named: list[Path]) -> list[Path]:
    """Give the bench files that are named; where none is, those of this laboratory that have a ``[schedule]``.

    Raises
    ------
    ConfigError
        If there is none.
    RecordError
        If the catalogue cannot be read.
    """
    if named:
        return named
    found = [path for name in _released_on(lab_dir) if (path := _bench_file(lab_dir, name)) is not None]
    if not found:
        raise ConfigError(
            f"{lab_dir.absolute()}: no bench that something is released on has a [schedule] in its file; name bench"
            " files, or the laboratory's folder with --lab"
        )
    return found


def _released_on(lab_dir: Path) -> list[str]:
    folder = lab_dir / "releases" / "current"
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith(".")) if folder.is_dir() else []


def _bench_file(lab_dir: Path, name: str) -> Path | None:
    """Give the file of a bench's latest run, if it still is that bench's and has a schedule."""
    with Catalogue(lab_dir) as catalogue:
        catalogue.catch_up()
        lines, _ = catalogue.find(bench=name, limit=1)
    for line in lines:
        try:
            record = json.loads((lab_dir / "runs" / line.id / "run.json").read_text(encoding="utf-8"))
            path = Path(record["bench_file"])
            config: BenchConfig = read_bench(path)
        except (OSError, ValueError, KeyError, TypeError, LabonnError) as error:
            logger.warning("bench %r: its file cannot be read, and it is left out: %s", name, error)
            return None
        return path if config.name == name and config.schedule is not None else None
    return None
