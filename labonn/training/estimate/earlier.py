"""Designs that a laboratory trained before: what was foretold of them, and what they reached."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from labonn.data import DataSet
from labonn.design import Design, design_hash
from labonn.errors import RecordError
from labonn.records.disk import json_bytes, write_atomically
from labonn.records.models import model_cards
from labonn.training.estimate.correction import Known
from labonn.training.estimate.predictors import Predictors, Settings, predict, predictors_of

SCHEMA = 2  # what an older version kept is computed anew


def earlier_designs(
    lab_dir: Path,
    design: Design,
    data: DataSet,
    settings: Settings,
    *,
    most: int,
    say: Callable[[str], None] = lambda text: None,
) -> list[Known]:
    """The newest designs of the same task that were trained on all labels, each once; not the design itself.

    Parameters
    ----------
    lab_dir
        The laboratory's folder: its models, and what was foretold before.
    design
        What is to be estimated.
    data, settings
        With which the earlier ones are foretold as well, where that is not kept yet.
    most
        How many are taken at most.
    say
        Told in words what takes long.
    """
    accuracies: dict[str, list[float]] = defaultdict(list)
    designs: dict[str, Design] = {}
    for card in reversed(model_cards(lab_dir)):
        made = _trained(card.description, len(data.train))
        if made is None or made[0].task != design.task or made[0].measure != "accuracy":
            continue
        name = design_hash(made[0])
        if name == design_hash(design) or (name not in designs and len(designs) == most):
            continue
        designs[name] = made[0]
        accuracies[name].append(made[1])
    known = []
    for number, (name, made_of) in enumerate(designs.items(), 1):
        say(f"earlier design {number} of {len(designs)}: {made_of.name}")
        predictors = kept_predictors(lab_dir, made_of, data, settings)
        known.append(Known(predictors, float(np.mean(accuracies[name]))))
    return known


def kept_predictors(lab_dir: Path, design: Design, data: DataSet, settings: Settings) -> Predictors:
    """What is foretold of a design, from the laboratory's folder where it was computed before with the same settings.

    Without references, such as are kept with them serve as well.
    """
    wanted = settings.model_copy(update={"references": True})
    file = _file(lab_dir, design, data, wanted)
    if file.is_file():
        return _read(file)
    if not settings.references:
        file = _file(lab_dir, design, data, settings)
        if file.is_file():
            return _read(file)
    predictors = predict(design, data, settings)
    write_atomically(file, json_bytes({"schema": SCHEMA, "design": design.name, **asdict(predictors)}))
    return predictors


def _file(lab_dir: Path, design: Design, data: DataSet, settings: Settings) -> Path:
    origin = [SCHEMA, design_hash(design), data.name, len(data.train), float(data.train.images[:64].sum())]
    digest = hashlib.sha256(json.dumps([*origin, settings.model_dump(mode="json")]).encode()).hexdigest()
    return lab_dir / "estimates" / f"{digest[:24]}.json"


def _read(file: Path) -> Predictors:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        if content.pop("schema") != SCHEMA:
            raise ValueError("another schema")
        content.pop("design")
        return predictors_of(content)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise RecordError(f"{file}: is damaged ({error}): remove it, and it is computed again") from error


def _trained(description: dict[str, Any], images: int) -> tuple[Design, float] | None:
    """A model's design and what it reached; None of models that say neither, or learnt from some labels only."""
    try:
        design = Design.model_validate(description["design"])
        accuracy = float(description["accuracy"]["simulated"])
    except (KeyError, TypeError, ValueError, ValidationError):
        return None
    return (design, accuracy) if description.get("labelled", images) == images else None
