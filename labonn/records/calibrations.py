"""Calibrations that are kept: each made once, sealed, never lost; a bench's current ones are one small file."""

import json
from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from labonn.errors import RecordError
from labonn.records.arrays import read_arrays, write_arrays
from labonn.records.disk import json_bytes, legal_name, new_id, plain, utc_now, write_atomically
from labonn.records.sealed import Card, read_card, seal, sealed_names
from labonn.records.weights import Weights

_CARD = "calibration.json"
_ARRAYS = "arrays.h5"
_CURRENT = "current.json"


class StoredCalibration(Card):
    """One calibration of one kind, of one bench."""

    schema_: Literal[1] = Field(alias="schema")
    bench: str
    kind: str
    run: str
    """The run that made it."""
    good: bool
    reason: str | None = None
    """Why it failed."""
    fit_error: float | None = None
    fit_error_of: str = ""
    """What the fit error is of, with its unit."""
    made_with: dict[str, str] = Field(default_factory=dict)
    """Kind -> id of the calibrations that it was made with."""
    made_for: dict[str, Any] = Field(default_factory=dict)
    """What it holds for alone: camera, read-out, exposure, optic, pattern, by name."""
    made_for_sha256: str | None = None
    """Of `made_for`: the same for two that are made for the same."""
    values: dict[str, Any] = Field(default_factory=dict)
    folder: Path = Field(exclude=True, default=Path())

    @property
    def made(self) -> datetime:
        """When it was made."""
        return datetime.fromisoformat(self.made_utc)

    def arrays(self) -> Weights:
        """Read its arrays."""
        return read_arrays(self.folder / _ARRAYS) if _ARRAYS in self.files else {}


def keep_calibration(
    lab_dir: Path,
    *,
    bench: str,
    kind: str,
    run: str,
    made_with: Mapping[str, str],
    made_for: Mapping[str, Any] | None = None,
    values: Mapping[str, Any],
    arrays: Mapping[str, Any] | None = None,
    fit_error: float | None = None,
    fit_error_of: str = "",
    failure: str | None = None,
) -> StoredCalibration:
    """Keep a calibration, and let it be the bench's current one of its kind unless it failed.

    Returns
    -------
    What was kept. A failed one is kept too, so that its history says so; the one before it stays current.

    Raises
    ------
    RecordError
        If the disk refuses.
    """
    now = utc_now()
    parent = _parent(lab_dir, bench)
    name = new_id(kind, now)
    card = {
        "schema": 1,
        "id": name,
        "made_utc": now.isoformat(),
        "bench": bench,
        "kind": kind,
        "run": run,
        "good": failure is None,
        "reason": failure,
        "fit_error": plain(fit_error),
        "fit_error_of": fit_error_of,
        "made_with": dict(made_with),
        "made_for": plain(dict(made_for or {})),
        "made_for_sha256": sha256(json_bytes(plain(dict(made_for or {})))).hexdigest(),
        "values": plain(dict(values)),
    }

    def fill(folder: Path) -> None:
        if arrays:
            write_arrays(folder / _ARRAYS, arrays)

    seal(parent / name, _CARD, card, fill)
    if failure is None:
        current = {**_current_ids(parent), kind: name}
        write_atomically(parent / _CURRENT, json_bytes({"schema": 1, "current": current}))
    return _read(parent / name)


def current_calibrations(lab_dir: Path, bench: str) -> dict[str, StoredCalibration]:
    """Give a bench's current calibrations, by kind.

    Raises
    ------
    RecordError
        If one is missing or damaged.
    """
    parent = _parent(lab_dir, bench)
    return {kind: _read(parent / name) for kind, name in _current_ids(parent).items()}


def calibration_history(lab_dir: Path, bench: str, kind: str | None = None) -> list[StoredCalibration]:
    """Give every calibration of a bench, of one kind or of all, oldest first."""
    parent = _parent(lab_dir, bench)
    every = [_read(parent / name, verify=False) for name in sealed_names(parent, _CARD)]
    return [one for one in every if kind is None or one.kind == kind]


def _parent(lab_dir: Path, bench: str) -> Path:
    return lab_dir.absolute() / "calibrations" / legal_name(bench, "the bench")


def _read(folder: Path, *, verify: bool = True) -> StoredCalibration:
    card = read_card(folder, _CARD, StoredCalibration, verify=verify)
    return card.model_copy(update={"folder": folder})


def _current_ids(parent: Path) -> dict[str, str]:
    path = parent / _CURRENT
    try:
        current = json.loads(path.read_text(encoding="utf-8"))["current"]
        return {str(kind): str(name) for kind, name in current.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RecordError(f"{path}: cannot be read: {error}") from error
