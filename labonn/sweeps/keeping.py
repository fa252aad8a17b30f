"""What a sweep leaves in the laboratory: each trial as soon as it is done, and all of them as a Parquet file."""

import json
import os
import shutil
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from labonn.errors import ConfigError, RecordError
from labonn.records.disk import json_bytes, write_atomically
from labonn.sweeps.sweep import ReadSweep
from labonn.sweeps.trial import Outcome

SCHEMA = 1
_DIGEST, _SCHEMA = b"labonn.sweep", b"labonn.schema"


class Kept:
    """The folder ``sweeps/NAME`` of a laboratory.

    ``trials.jsonl`` is what a crash leaves whole but for its last line; ``results.parquet`` is written from it.

    Raises
    ------
    ConfigError
        If another sweep's results are there, or pyarrow is not installed.
    RecordError
        If the disk refuses, or a line is damaged.
    """

    def __init__(self, lab: Path, read: ReadSweep, *, fresh: bool = False) -> None:
        _pyarrow()  # before hours of trials
        self.folder = lab.absolute() / "sweeps" / read.sweep.name
        self._digest, self._trials = read.digest, self.folder / "trials.jsonl"
        try:
            if fresh and self.folder.exists():
                shutil.rmtree(self.folder)
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RecordError(f"{self.folder}: {error.strerror or error}") from error
        about = self.folder / "sweep.json"
        if about.is_file():
            self._compare(about)
        else:
            described = {"schema": SCHEMA, "digest": read.digest, "sweep": read.sweep.model_dump(by_alias=True)}
            write_atomically(about, json_bytes(described | {"design": read.design.model_dump(by_alias=True)}))

    def _compare(self, about: Path) -> None:
        try:
            found = json.loads(about.read_text(encoding="utf-8"))["digest"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RecordError(
                f"{about}: is damaged ({error}): begin anew with --fresh, or remove the folder"
            ) from error
        if found != self._digest:
            raise ConfigError(
                f"{self.folder}: holds the results of another sweep of this name (its file or its design was changed"
                " since): give this one another name, or begin anew with --fresh"
            )

    def outcomes(self) -> dict[int, Outcome]:
        """Trials that are done, refused or failed, by their numbers; a line that a crash cut is forgotten."""
        found: dict[int, Outcome] = {}
        if not self._trials.is_file():
            return found
        text = self._trials.read_text(encoding="utf-8")
        whole, cut = text[: text.rfind("\n") + 1], text[text.rfind("\n") + 1 :]
        if cut:
            write_atomically(self._trials, whole.encode("utf-8"))
        for number, line in enumerate(whole.splitlines(), 1):
            try:
                outcome = Outcome(**json.loads(line))
            except (ValueError, TypeError) as error:
                raise RecordError(f"{self._trials}: line {number} is damaged ({error}): remove the line") from error
            found[outcome.number] = outcome
        return found

    def forget(self, outcomes: Iterable[Outcome]) -> None:
        """Keep only these."""
        lines = "".join(_line(outcome) for outcome in outcomes)
        write_atomically(self._trials, lines.encode("utf-8"))

    def add(self, outcome: Outcome) -> None:
        """Keep a trial; when this returns, it is on the disk."""
        try:
            with self._trials.open("a", encoding="utf-8", newline="\n") as file:
                file.write(_line(outcome))
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise RecordError(f"{self._trials}: cannot be written: {error.strerror or error}") from error

    def write_results(self, outcomes: Iterable[Outcome]) -> Path:
        """Write all trials as a Parquet file: a row a trial, keys and figures as columns ``key.`` and ``figure.``."""
        ordered = sorted(outcomes, key=lambda outcome: outcome.number)
        columns: dict[str, list[object]] = {
            name: [getattr(outcome, name) for outcome in ordered] for name in ("number", "status", "error", "seconds")
        }
        for key in dict.fromkeys(key for outcome in ordered for key in outcome.settings):
            values = [outcome.settings.get(key) for outcome in ordered]
            # Parquet's columns have one type; what mixes numbers, words and lists is written as JSON.
            one = len({type(value) for value in values if value is not None}) <= 1
            plain = one and not any(isinstance(value, (list, dict)) for value in values)
            columns[f"key.{key}"] = list(values) if plain else [json.dumps(value) for value in values]
        for name in dict.fromkeys(name for outcome in ordered for name in outcome.figures):
            columns[f"figure.{name}"] = [outcome.figures.get(name) for outcome in ordered]
        pa = _pyarrow()
        table = pa.table(columns).replace_schema_metadata(
            {_DIGEST: self._digest.encode(), _SCHEMA: str(SCHEMA).encode()}
        )
        sink = pa.BufferOutputStream()
        pa.parquet.write_table(table, sink)
        path = self.folder / "results.parquet"
        write_atomically(path, sink.getvalue().to_pybytes())
        return path


def _pyarrow() -> Any:
    try:
        import pyarrow.parquet
    except ModuleNotFoundError as error:
        raise ConfigError("a sweep needs pyarrow, which is not installed: pip install 'labonn[sweeps]'") from error
    return pyarrow


def read_results(path: Path, digest: str | None = None) -> list[dict[str, object]]:
    """Read a Parquet file of results, a row a trial.

    Raises
    ------
    ConfigError
        If it is none of ours, or of another sweep than the one of this digest.
    """
    pa = _pyarrow()
    try:
        table = pa.parquet.read_table(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise ConfigError(f"{path}: cannot be read as Parquet: {error}") from error
    known = table.schema.metadata or {}
    if known.get(_SCHEMA) != str(SCHEMA).encode():
        raise ConfigError(f"{path}: holds no results of a sweep that this version of labonn knows")
    if digest is not None and known.get(_DIGEST) != digest.encode():
        raise ConfigError(f"{path}: holds the results of another sweep")
    rows: list[dict[str, object]] = table.to_pylist()
    return rows


def _line(outcome: Outcome) -> str:
    return json.dumps(asdict(outcome), ensure_ascii=False) + "\n"
