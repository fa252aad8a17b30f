"""A run as one zip file: for another machine's labonn, or for the shelf. The model that it ran with comes along."""

import hashlib
import json
import re
import shutil
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from labonn.errors import RecordError
from labonn.records.catalogue import keep_line
from labonn.records.disk import json_bytes, legal_name, sync_file, sync_folder
from labonn.records.exporting import exporting
from labonn.records.releases import read_release
from labonn.records.runs import RECORD, RunRecord, labonn_version, read_run

SCHEMA = 1
_CARD = "labonn-archive.json"
_COMPRESSED = (".json", ".jsonl", ".html")
_BLOCK = 1 << 20
_PARTS = ("runs", "models", "releases")
_ID = re.compile(r"\d{8}T\d{6}Z-[A-Za-z0-9_.-]+-[a-z]{4}")  # and not, for one, releases/current


@dataclass(frozen=True)
class Imported:
    """What an archive brought."""

    run: str
    parts: tuple[str, ...]
    """Folders that are new in the laboratory, as ``models/<id>``."""
    known: tuple[str, ...]
    """Folders that were there already, the same."""


def export_run(lab_dir: Path, folder: Path, target: Path) -> list[str]:
    """Write a run, the release that it made, and the model that belongs to it, into a zip file.

    Parameters
    ----------
    lab_dir
        The laboratory's folder.
    folder
        The run's.
    target
        The zip file; must not exist.

    Returns
    -------
    The folders that are in it, as ``runs/<id>``.

    Raises
    ------
    RecordError
        If the run goes on, a file cannot be read, or the disk refuses; no file is left then.
    """
    with exporting(folder, target) as (record, beside):
        parts = {f"runs/{record.id}": folder, **_belonging(lab_dir.absolute(), record)}
        hashes: dict[str, str] = {}
        with zipfile.ZipFile(beside, "w", allowZip64=True) as archive:
            for part, source in parts.items():
                for file in sorted(path for path in source.rglob("*") if path.is_file()):
                    name = f"{part}/{file.relative_to(source).as_posix()}"
                    hashes[name] = _add(archive, name, file)
            card = {"schema": SCHEMA, "run": record.id, "labonn": labonn_version(), "files": hashes}
            archive.writestr(_CARD, json_bytes(card))
    return list(parts)


def import_run(lab_dir: Path, source: Path) -> Imported:
    """Take a run, and what came with it, into a laboratory.

    Every file is checked against its hash before anything takes its place. A release that came along is not put into
    use.

    Raises
    ------
    RecordError
        If the file is no such archive, is damaged, of a newer labonn, or the run is in the laboratory already.
    """
    lab = lab_dir.absolute()
    beside = lab / f".unfinished-import-{source.stem[:40]}"
    try:
        with zipfile.ZipFile(source) as archive:
            run, files = _card(archive, source)
            if (lab / "runs" / run).exists():
                raise RecordError(f"{lab}: has run {run} already; nothing was imported")
            shutil.rmtree(beside, ignore_errors=True)
            for name, expected in files.items():
                _extract(archive, name, expected, beside, source)
        if read_run(beside / "runs" / run).id != run:
            raise RecordError(f"{source}: its run is not {run}, as it says")
        new, known = _take_in(beside, lab)
    except (zipfile.BadZipFile, NotImplementedError, EOFError) as error:
        raise RecordError(f"{source}: is not a zip file that labonn exported, or is damaged: {error}") from error
    except OSError as error:
        raise RecordError(f"{source}: cannot be imported into {lab}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    keep_line(lab, json.loads((lab / "runs" / run / RECORD).read_bytes()))
    return Imported(run, tuple(new), tuple(known))


def _belonging(lab: Path, record: RunRecord) -> dict[str, Path]:
    """Find what a run is of no use without elsewhere: its model, and the releases that it began with and made."""
    found: dict[str, Path] = {}
    result = record.result or {}
    in_use = record.notes.get("in use", {})
    models = {result.get("model"), record.notes.get("model"), in_use.get("model")}
    for release in {result.get("release"), in_use.get("release")}:
        if isinstance(release, str) and (lab / "releases" / release).is_dir():
            found[f"releases/{release}"] = lab / "releases" / release
            models.add(read_release(lab, release).model)
    for model in sorted(name for name in models if isinstance(name, str)):
        if (lab / "models" / model).is_dir():
            found[f"models/{model}"] = lab / "models" / model
    return found


def _add(archive: zipfile.ZipFile, name: str, file: Path) -> str:
    """Add a file; give its hash."""
    digest = hashlib.sha256()
    info = zipfile.ZipInfo.from_file(file, name, strict_timestamps=False)
    info.compress_type = zipfile.ZIP_DEFLATED if file.suffix in _COMPRESSED else zipfile.ZIP_STORED
    with file.open("rb") as source, archive.open(info, "w", force_zip64=True) as target:
        for block in iter(lambda: source.read(_BLOCK), b""):
            digest.update(block)
            target.write(block)
    return digest.hexdigest()


def _card(archive: zipfile.ZipFile, source: Path) -> tuple[str, dict[str, str]]:
    """Read which run an archive holds and the hashes of its files; every name must lie where a part of a lab may."""
    try:
        card = json.loads(archive.read(_CARD))
        schema, run, files = int(card["schema"]), str(card["run"]), dict(card["files"])
    except (KeyError, ValueError, TypeError) as error:
        raise RecordError(f"{source}: is not a zip file that labonn exported: {_CARD}: {error}") from error
    if schema > SCHEMA:
        raise RecordError(f"{source}: was written by a newer labonn (schema {schema}; this one reads {SCHEMA})")
    for name in files:
        parts = PurePosixPath(name).parts
        known = len(parts) > 2 and (parts[1] == run if parts[0] == "runs" else parts[0] in _PARTS)
        if not known or not _ID.fullmatch(parts[1]) or name != "/".join(parts):
            raise RecordError(f"{source}: holds {name!r}, which belongs into no laboratory; nothing was imported")
        for part in parts:
            legal_name(part, f"{source}: {name}:")
    legal_name(run, f"{source}: its run")
    if f"runs/{run}/{RECORD}" not in files:
        raise RecordError(f"{source}: has no {RECORD} of run {run}")
    return run, files


def _extract(archive: zipfile.ZipFile, name: str, expected: str, folder: Path, source: Path) -> None:
    target = folder.joinpath(*PurePosixPath(name).parts)
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with archive.open(name) as packed, target.open("wb") as file:
            found = _copy(packed, file)
    except KeyError as error:
        raise RecordError(f"{source}: {name} is missing from it") from error
    if found != expected:
        raise RecordError(f"{source}: {name} is damaged: its sha256 is not the one that it was exported with")
    sync_file(target)


def _copy(packed: IO[bytes], file: IO[bytes]) -> str:
    digest = hashlib.sha256()
    for block in iter(lambda: packed.read(_BLOCK), b""):
        digest.update(block)
        file.write(block)
    return digest.hexdigest()


def _take_in(beside: Path, lab: Path) -> tuple[list[str], list[str]]:
    """Move what was unpacked into its places, the run last: so it is never without its model."""
    folders = [folder for kind in reversed(_PARTS) for folder in sorted((beside / kind).glob("*"))]
    names = [f"{folder.parent.name}/{folder.name}" for folder in folders]
    known = [name for name in names if (lab / name).exists()]
    for folder, name in zip(folders, names, strict=True):
        if name in known and not _same(folder, lab / name):
            raise RecordError(f"{lab / name}: is there already, and is not the one that would be imported")
    for folder, name in zip(folders, names, strict=True):
        if name not in known:
            target = lab / name
            target.parent.mkdir(parents=True, exist_ok=True)
            folder.replace(target)
            sync_folder(target.parent)
    return [name for name in names if name not in known], known


def _same(one: Path, other: Path) -> bool:
    """Compare sealed folders by their cards, which have the hashes of all other files."""
    cards = [file for file in one.glob("*.json") if file.is_file()]
    return bool(cards) and all(
        (other / file.name).is_file() and (other / file.name).read_bytes() == file.read_bytes() for file in cards
    )
