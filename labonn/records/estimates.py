"""What designs were estimated to reach before they were trained: the latest of each, beside its report."""

import json
from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from labonn.config import Frozen, explain
from labonn.errors import RecordError
from labonn.records.disk import json_bytes, legal_name, utc_now, write_atomically


class KeptEstimate(Frozen):
    """An estimate of a design's accuracy on its test images, in simulation; per cent."""

    schema_: Literal[1] = Field(1, alias="schema")
    design: str
    design_hash: str
    """Of what was estimated: a file of that name may say something else by now."""
    made_utc: datetime
    accuracy: float
    low: float
    high: float
    confidence: float
    earlier_designs: int
    """Trained before in this laboratory, which corrected it."""


def estimate_report(lab_dir: Path, design: str) -> Path:
    """Give the file of the report of a design's latest estimate, whether it is there or not."""
    return _path(lab_dir, design, "html")


def latest_estimate(lab_dir: Path, design: str) -> KeptEstimate | None:
    """Read a design's latest estimate; None where there was none.

    Raises
    ------
    RecordError
        If it is there and cannot be read.
    """
    path = _path(lab_dir, design, "json")
    try:
        return KeptEstimate.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RecordError(f"{path}: cannot be read: {error.strerror or error}") from error
    except ValidationError as error:
        raise RecordError(f"{explain(error, str(path))}\nremove the file, and estimate the design again") from error
    except ValueError as error:
        raise RecordError(f"{path}: is damaged: {error}; remove it, and estimate the design again") from error


def keep_estimate(
    lab_dir: Path,
    design: str,
    design_hash: str,
    *,
    accuracy: float,
    low: float,
    high: float,
    confidence: float,
    earlier_designs: int,
) -> Path:
    """Make an estimate the latest of its design, and give its file.

    Raises
    ------
    RecordError
        If the disk refuses; the one before stands then.
    """
    path = _path(lab_dir, design, "json")
    kept = KeptEstimate(
        schema_=1, design=design, design_hash=design_hash, made_utc=utc_now(), accuracy=accuracy, low=low, high=high,
        confidence=confidence, earlier_designs=earlier_designs,
    )  # fmt: skip
    write_atomically(path, json_bytes(kept.model_dump(by_alias=True)))
    return path


def _path(lab_dir: Path, design: str, kind: str) -> Path:
    return lab_dir.absolute() / "designs" / f"{legal_name(design, 'the design')}-estimate.{kind}"
