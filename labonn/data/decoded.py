"""Arrays made of many files, kept in the user's cache: to decode thousands of pictures at each start takes long."""

import hashlib
import os
import secrets
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

Arrays = Mapping[str, NDArray[Any]]
_DIGEST = "digest"


def decoded_once(kept: Path, files: Iterable[Path], how: str, decode: Callable[[], Arrays]) -> Arrays:
    """What files were decoded to before, if none of them has changed since, or decode them and keep that.

    Parameters
    ----------
    kept
        The file to keep it in. Where it cannot be read or written, nothing is kept.
    files
        All that the arrays depend on; a file has changed if its name, size or time has.
    how
        What else they depend on.
    decode
        Makes the arrays.
    """
    try:
        digest = _digest_of(files, how)
    except OSError:
        return decode()  # which says what is wrong with a file
    with suppress(OSError, ValueError, KeyError, EOFError, BadZipFile), kept.open("rb") as file:
        found = np.load(file, allow_pickle=False)
        if str(found[_DIGEST]) == digest:
            return {name: found[name] for name in found.files if name != _DIGEST}
    arrays = decode()
    with suppress(OSError):
        _keep(kept, {_DIGEST: np.array(digest), **arrays})
    return arrays


def _digest_of(files: Iterable[Path], how: str) -> str:
    digest = hashlib.sha256(how.encode())
    for file in files:
        status = file.stat()
        digest.update(f"\n{file} {status.st_size} {status.st_mtime_ns}".encode())
    return digest.hexdigest()


def _keep(path: Path, arrays: Arrays) -> None:
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with beside.open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]  # its stub takes the arrays for an option
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
