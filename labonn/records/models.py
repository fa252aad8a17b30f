"""Models: what a training leaves behind. Weights by part, arrays, and a description; written once."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from labonn.errors import RecordError
from labonn.records.arrays import read_arrays, write_arrays
from labonn.records.disk import legal_name, new_id, plain, utc_now
from labonn.records.sealed import Card, read_card, seal, sealed_names
from labonn.records.weights import Weights, read_weights, write_weights

_CARD = "model.json"
_ARRAYS = "arrays.h5"
_WEIGHTS = ".safetensors"


class ModelCard(Card):
    """A model's card, ``model.json``."""

    schema_: Literal[1] = Field(alias="schema")
    design: str
    bench: str | None  # the bench that it was made for, if any
    run: str | None
    description: dict[str, Any]


@dataclass(frozen=True)
class StoredModel:
    """A model as it was stored."""

    id: str
    folder: Path
    card: ModelCard
    weights: dict[str, Weights]  # part ("teacher", "student" ...) -> name -> array
    arrays: Weights

    @property
    def description(self) -> dict[str, Any]:
        """What was said about it: its design, its accuracy."""
        return self.card.description


def save_model(
    lab_dir: Path,
    *,
    design: str,
    weights: Mapping[str, Mapping[str, Any]],
    description: Mapping[str, Any],
    arrays: Mapping[str, Any] | None = None,
    bench: str | None = None,
    run: str | None = None,
    files: Mapping[str, bytes] | None = None,
    out: Path | None = None,
) -> str:
    """Write a model and give its id.

    Parameters
    ----------
    lab_dir
        The laboratory's folder.
    design
        Name of the design it realises.
    weights
        Parts ("teacher", "student") and their weights by name; a ``state_dict()`` as it is.
    description
        Anything that JSON can hold.
    arrays
        Other arrays by name (a phase pattern, PSFs); kept in HDF5.
    bench, run
        The bench that it is for and the run that made it.
    files
        Other files by name, pictures for instance.
    out
        The model's folder; among the laboratory's models if not given.

    Raises
    ------
    RecordError
        If the disk refuses; nothing is left behind then.
    """
    model_id = new_id(design)
    card = {
        "schema": 1,
        "id": model_id,
        "made_utc": utc_now().isoformat(),
        "design": design,
        "bench": bench,
        "run": run,
        "description": plain(description),
    }

    def fill(folder: Path) -> None:
        for part, values in weights.items():
            write_weights(folder / (legal_name(part, "a model's part") + _WEIGHTS), values)
        if arrays:
            write_arrays(folder / _ARRAYS, arrays)
        for name, content in (files or {}).items():
            (folder / legal_name(name, "a model's file")).write_bytes(content)

    seal(out or lab_dir / "models" / model_id, _CARD, card, fill)
    return model_id


def load_model(lab_dir: Path, model_id: str) -> StoredModel:
    """Read a model and check its files against their hashes.

    Raises
    ------
    RecordError
        If there is no such model, or a file of it is missing or not what was stored.
    """
    folder = lab_dir / "models" / legal_name(model_id, "the model")
    if not folder.is_dir():
        raise RecordError(f"{lab_dir}: has no model {model_id!r}")
    return read_model(folder)


def read_model(folder: Path) -> StoredModel:
    """Read a model, in whichever folder it is, and check its files against their hashes.

    Raises
    ------
    RecordError
        If the card or a file of it is missing, or not what was stored.
    """
    card = read_card(folder, _CARD, ModelCard)
    weights = {
        name.removesuffix(_WEIGHTS): read_weights(folder / name) for name in card.files if name.endswith(_WEIGHTS)
    }
    arrays = read_arrays(folder / _ARRAYS) if _ARRAYS in card.files else {}
    return StoredModel(card.id, folder, card, weights, arrays)


def model_cards(lab_dir: Path) -> list[ModelCard]:
    """The cards of a laboratory's models, oldest first; their files are not looked at.

    Raises
    ------
    RecordError
        If a card is damaged.
    """
    folder = lab_dir / "models"
    return [read_card(folder / name, _CARD, ModelCard, verify=False) for name in sealed_names(folder, _CARD)]


def newest_model(lab_dir: Path, *, bench: str | None = None, design: str | None = None) -> str | None:
    """Id of the newest model, of those for a bench or a design if these are given; None if there is none."""
    for model_id in reversed(sealed_names(lab_dir / "models", _CARD)):
        card = read_card(lab_dir / "models" / model_id, _CARD, ModelCard, verify=False)
        if bench in (None, card.bench) and design in (None, card.design):
            return model_id
    return None
