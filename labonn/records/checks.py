"""The last good check of each bench: what the next one is compared with. One JSON file a bench, replaced as a whole."""

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from labonn.config import Frozen, explain
from labonn.errors import RecordError
from labonn.records.disk import json_bytes, legal_name, utc_now, write_atomically


class LastGood(Frozen):
    """What a bench measured when everything about it was well."""

    schema_: Literal[1] = Field(1, alias="schema")
    bench: str
    run: str
    made_utc: datetime
    values: dict[str, float | str]  # name of a check -> what it measured, or the identity that it read


def last_good_check(lab_dir: Path, bench: str) -> LastGood | None:
    """Read the last good check of a bench; None where there was none yet.

    Raises
    ------
    RecordError
        If it is there and cannot be read.
    """
    path = _path(lab_dir, bench)
    try:
        return LastGood.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RecordError(f"{path}: cannot be read: {error.strerror or error}") from error
    except ValidationError as error:
        raise RecordError(f"{explain(error, str(path))}\nremove the file to begin anew") from error
    except ValueError as error:
        raise RecordError(f"{path}: is damaged: {error}; remove it to begin anew") from error


def save_good_check(lab_dir: Path, bench: str, run: str, values: Mapping[str, float | str]) -> Path:
    """Make a check the last good one of its bench, and give its file.

    Raises
    ------
    RecordError
        If the disk refuses; the one before stands then.
    """
    path = _path(lab_dir, bench)
    check = LastGood(schema_=1, bench=bench, run=run, made_utc=utc_now(), values=dict(values))
    write_atomically(path, json_bytes(check.model_dump(by_alias=True)))
    return path


def _path(lab_dir: Path, bench: str) -> Path:
    return lab_dir.absolute() / "checks" / f"{legal_name(bench, 'the bench')}.json"
