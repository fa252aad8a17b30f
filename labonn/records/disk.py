"""Writing so that a crash leaves either what was there before or what should be there, never half of it."""

import hashlib
import json
import os
import re
import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from math import isfinite
from pathlib import Path
from typing import Any

from labonn.errors import RecordError

_RESERVED_ON_WINDOWS = frozenset(
    ["con", "prn", "aux", "nul", *(f"com{n}" for n in range(1, 10)), *(f"lpt{n}" for n in range(1, 10))]
)
_LEGAL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,79}")
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


def utc_now() -> datetime:
    """Read the wall clock, for people; what is measured uses a monotonic one."""
    return datetime.now(UTC)


def legal_name(name: str, what: str) -> str:
    """Give the name back if it can name a file or folder on every system.

    Raises
    ------
    RecordError
        If it is empty, too long, reserved on Windows, or has a character that some system refuses.
    """
    if not _LEGAL_NAME.fullmatch(name) or name.endswith(".") or name.split(".")[0].lower() in _RESERVED_ON_WINDOWS:
        raise RecordError(
            f"{what} {name!r} cannot name a file on every system: use up to 80 letters, digits, '-', '_' and '.', "
            "beginning with a letter or digit and not ending with '.', and no name that Windows reserves"
        )
    return name


def new_id(label: str, moment: datetime | None = None) -> str:
    """Make an identifier that sorts by time: ``20261123T124501Z-<label>-<4 letters>``."""
    letters = "".join(secrets.choice(_LETTERS) for _ in range(4))
    return f"{(moment or utc_now()):%Y%m%dT%H%M%SZ}-{legal_name(label, 'the label')}-{letters}"


def plain(value: Any) -> Any:
    """Turn a value into what JSON can hold: numbers of numpy, paths, moments, models; NaN and infinity become null."""
    if value is None or isinstance(value, (bool, str, int)):
        return value
    if isinstance(value, float):
        return value if isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, datetime):
        return value.isoformat()
    if hasattr(value, "model_dump"):  # a pydantic model
        return plain(value.model_dump())
    if hasattr(value, "tolist"):  # a number or an array, of numpy or torch
        return plain(value.tolist())
    if isinstance(value, (Sequence, set, frozenset)):
        return [plain(item) for item in value]
    return str(value)


def json_bytes(value: Any) -> bytes:
    """Write a value as readable JSON in UTF-8."""
    return (json.dumps(plain(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode("utf-8")


def write_atomically(path: Path, content: bytes) -> None:
    """Replace a file by new content, all or nothing, even if the power fails.

    Raises
    ------
    RecordError
        If the disk refuses.
    """
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with beside.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)
        sync_folder(path.parent)
    except OSError as error:
        raise RecordError(f"{path}: cannot be written: {error.strerror or error}") from error


def sync_file(path: Path) -> None:
    """Wait until a file's content is on the disk."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Wait until a folder's entries are on the disk, where the system lets a folder be synced (Windows does not)."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256_of(path: Path) -> str:
    """Hash a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
