"""Folders that are written once, whole, and never change: releases and models.

A sealed folder holds files and a card (JSON) with the sha256 of each. It is filled beside its place and renamed into
it, so that a folder with its proper name is complete; whoever reads it checks the hashes.
"""

import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from labonn.config import Frozen, explain
from labonn.errors import RecordError
from labonn.records.disk import json_bytes, sha256_of, sync_file, sync_folder

_UNFINISHED = ".unfinished-"


class Card(Frozen):
    """What every sealed folder's card has."""

    id: str
    made_utc: str
    files: dict[str, str]  # name in the folder -> sha256


CardModel = TypeVar("CardModel", bound=Card)


def seal(folder: Path, card_name: str, card: Mapping[str, Any], fill: Callable[[Path], None]) -> None:
    """Make a sealed folder.

    Parameters
    ----------
    folder
        Its place; must not exist.
    card_name
        Name of the card's file.
    card
        What the card says beside the hashes.
    fill
        Writes the files into the folder that it is handed, without subfolders.

    Raises
    ------
    RecordError
        If the place is taken or the disk refuses; nothing is left behind then.
    """
    unfinished = folder.with_name(_UNFINISHED + folder.name)
    try:
        if folder.exists():
            raise RecordError(f"{folder}: exists already, and what is sealed is never overwritten")
        unfinished.mkdir(parents=True)
        try:
            fill(unfinished)
            files = sorted(unfinished.iterdir())
            content = {**card, "files": {file.name: sha256_of(file) for file in files}}
            (unfinished / card_name).write_bytes(json_bytes(content))
            for file in [*files, unfinished / card_name]:
                sync_file(file)
            sync_folder(unfinished)
            os.replace(unfinished, folder)  # noqa: PTH105 (a folder: Path.replace says file)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
        sync_folder(folder.parent)
    except OSError as error:
        raise RecordError(f"{folder}: cannot be written: {error.strerror or error}") from error


def read_card(folder: Path, card_name: str, model: type[CardModel], *, verify: bool = True) -> CardModel:
    """Read a sealed folder's card, and check every file against its hash.

    Raises
    ------
    RecordError
        If the card or a file is missing, damaged, or not what was sealed; the message names it.
    """
    path = folder / card_name
    try:
        card = model.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise RecordError(f"{path}: cannot be read: {error.strerror or error}") from error
    except ValidationError as error:
        raise RecordError(explain(error, str(path))) from error
    except ValueError as error:
        raise RecordError(f"{path}: is damaged: {error}") from error
    if verify:
        for name, expected in card.files.items():
            _check(folder / name, expected)
    return card


def sealed_names(parent: Path, card_name: str) -> list[str]:
    """Names of the sealed folders in a folder, oldest first."""
    if not parent.is_dir():
        return []
    return sorted(folder.name for folder in parent.iterdir() if (folder / card_name).is_file() and _finished(folder))


def _finished(folder: Path) -> bool:
    return not folder.name.startswith(_UNFINISHED)


def _check(path: Path, expected: str) -> None:
    try:
        found = sha256_of(path)
    except OSError as error:
        raise RecordError(f"{path}: cannot be read: {error.strerror or error}") from error
    if found != expected:
        raise RecordError(
            f"{path}: was changed or damaged after it was written: its sha256 begins with {found[:12]}, it was sealed "
            f"with {expected[:12]}; restore it from a copy, or use another release or model"
        )
