"""Releases: backends that passed the gate. A release never changes; a bench's current one is a pointer."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from labonn.errors import RecordError
from labonn.records.disk import legal_name, new_id, plain, utc_now, write_atomically
from labonn.records.in_use import pointer_of, release_in_use
from labonn.records.sealed import Card, read_card, seal, sealed_names
from labonn.records.weights import Weights, read_weights, write_weights

_CARD = "release.json"
_BACKEND = "backend.safetensors"


class Release(Card):
    """What is in use on a bench, and where it came from."""

    schema_: Literal[1] = Field(alias="schema")
    run: str  # the run that made it
    bench: str
    optic: dict[str, Any]  # what the optic is: its serial number, the design's name ...
    model: str  # the model whose backend was re-fitted
    calibration: str | None  # name of the calibration's file in the release, if it brought one
    figures: dict[str, Any]
    folder: Path = Field(exclude=True, default=Path())

    def backend(self) -> Weights:
        """Read the backend's weights."""
        return read_weights(self.folder / _BACKEND)

    def file(self, name: str) -> Path:
        """Where a file of the release lies.

        Raises
        ------
        RecordError
            If the release has no such file.
        """
        if name not in self.files:
            raise RecordError(f"release {self.id} has no file {name!r}, only {', '.join(self.files)}")
        return self.folder / name


def make_release(
    lab_dir: Path,
    *,
    bench: str,
    run: str,
    optic: Mapping[str, Any],
    model: str,
    backend: Mapping[str, Any],
    figures: Mapping[str, Any],
    calibration: Path | None = None,
    files: Mapping[str, Path] | None = None,
) -> Release:
    """Write a release; it is not in use until `set_current_release` says so.

    Parameters
    ----------
    lab_dir
        The laboratory's folder.
    bench, run, optic, model
        What it is for and where it came from.
    backend
        Weights by name; a ``state_dict()`` as it is.
    figures
        Measured figures that justified it, as JSON can hold them.
    calibration
        A calibration's file, copied into the release as ``calibration.h5``.
    files
        Other files to keep with it, by the name they get.

    Raises
    ------
    RecordError
        If the disk refuses; nothing is left behind then.
    """
    release_id = new_id(bench)
    copies = {legal_name(name, "a release's file"): path for name, path in (files or {}).items()}
    if calibration is not None:
        copies["calibration.h5"] = calibration

    def fill(folder: Path) -> None:
        write_weights(folder / _BACKEND, backend)
        for name, path in copies.items():
            shutil.copyfile(path, folder / name)

    card = {
        "schema": 1,
        "id": release_id,
        "made_utc": utc_now().isoformat(),
        "run": run,
        "bench": bench,
        "optic": plain(optic),
        "model": model,
        "calibration": "calibration.h5" if calibration is not None else None,
        "figures": plain(figures),
    }
    seal(_releases(lab_dir) / release_id, _CARD, card, fill)
    return read_release(lab_dir, release_id)


def read_release(lab_dir: Path, release_id: str) -> Release:
    """Read a release and check its files against their hashes.

    Raises
    ------
    RecordError
        If there is no such release, or a file of it is missing or not what was released.
    """
    folder = _releases(lab_dir) / legal_name(release_id, "the release")
    if not folder.is_dir():
        raise RecordError(f"{lab_dir}: has no release {release_id!r}")
    return read_card(folder, _CARD, Release).model_copy(update={"folder": folder})


def set_current_release(lab_dir: Path, bench: str, release_id: str) -> None:
    """Let a bench use a release from now on; all or nothing.

    Raises
    ------
    RecordError
        If the release is missing, damaged, or was made for another bench.
    """
    release = read_release(lab_dir, release_id)
    if release.bench != bench:
        raise RecordError(f"release {release_id} was made for bench {release.bench!r}, not for {bench!r}")
    write_atomically(pointer_of(lab_dir, bench), f"{release_id}\n".encode())


def current_release(lab_dir: Path, bench: str) -> Release | None:
    """Give the release that a bench uses, or None if it never had one.

    Raises
    ------
    RecordError
        If the pointer names a release that is missing or damaged.
    """
    release_id = release_in_use(lab_dir, bench)
    if release_id is None:
        return None
    try:
        return read_release(lab_dir, release_id)
    except RecordError as error:
        pointer = pointer_of(lab_dir, bench)
        raise RecordError(
            f"{pointer}: the current release of bench {bench!r} cannot be used: {error}; labonn releases rollback goes "
            "back to the last good one"
        ) from error


def last_good_release(lab_dir: Path, bench: str) -> tuple[Release, list[str]]:
    """The newest intact release of a bench that was made before the one in use, and what was wrong with newer ones.

    Raises
    ------
    RecordError
        If there is none; the message says why each was passed over.
    """
    in_use = release_in_use(lab_dir, bench)
    if in_use is None:
        raise RecordError(f"{lab_dir}: bench {bench!r} has no release to go back from")
    damaged: list[str] = []
    for release_id in reversed([name for name in list_releases(lab_dir) if name < in_use]):
        try:
            release = read_release(lab_dir, release_id)
        except RecordError as error:
            damaged.append(str(error))
            continue
        if release.bench == bench:
            return release, damaged
    passed_over = "".join(f"; {damage}" for damage in damaged)
    raise RecordError(f"{lab_dir}: bench {bench!r} has no earlier release than {in_use} to go back to{passed_over}")


def list_releases(lab_dir: Path) -> list[str]:
    """Ids of all releases, oldest first."""
    return sealed_names(_releases(lab_dir), _CARD)


def _releases(lab_dir: Path) -> Path:
    return lab_dir / "releases"
