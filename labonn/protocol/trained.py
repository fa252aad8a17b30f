"""Networks that `labonn train` made: found again, and checked before they go onto a bench."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from torch import nn

from labonn.config import explain
from labonn.design import Design, design_hash
from labonn.errors import ConfigError, RecordError
from labonn.networks import Student, make_teacher
from labonn.records import StoredModel, Weights, load_model, read_model


@dataclass(frozen=True)
class Trained:
    """A teacher and a student, in evaluation mode, and what is known of them."""

    design: Design
    teacher: nn.Module
    student: Student
    accuracy: Mapping[str, float]  # per cent by the design's measure: teacher, simulated
    origin: Mapping[str, Any] = field(default_factory=dict)  # the model that they are from


def trained_already(lab_dir: Path, model: str, wanted: Design | None = None) -> Trained:
    """Read the networks of a model.

    Parameters
    ----------
    lab_dir
        The laboratory's folder.
    model
        The model's id there, or its folder.
    wanted
        What it has to be built like, if that is named.

    Raises
    ------
    RecordError
        If it is missing or damaged, or has no teacher, which a recalibration would need.
    ConfigError
        If it is built otherwise.
    """
    stored = read_model(Path(model)) if Path(model).is_dir() else load_model(lab_dir, model)
    design = _design_of(stored)
    if wanted is not None and design_hash(wanted) != design_hash(design):
        raise ConfigError(
            f"model {stored.id} was trained for design {design.name!r} of hash {design_hash(design)[:12]}, and design"
            f" {wanted.name!r} has {design_hash(wanted)[:12]}: what they build differs in"
            f" {_differences(design, wanted)}; leave design out to deploy what the model is, or train this one"
        )
    if "teacher" not in stored.weights:
        raise RecordError(
            f"{stored.folder}: this model was trained without a teacher, and a recalibration asks one: train it by a"
            " method that has one (kd, rkd, fitnet, ntkd, ntkd+kd)"
        )
    shape = (len(design.optic.wavelengths_nm), *design.image_shape)
    teacher = make_teacher(design.teacher, shape, design.classes)
    student = Student(design, shape, design.classes)
    for part, network in (("teacher", teacher), ("student", student)):
        network.load_state_dict(tensors(stored.weights[part]))
    accuracy = {name: stored.description[design.measure][name] for name in ("teacher", "simulated")}
    weights = {name: sha256 for name, sha256 in stored.card.files.items() if name.endswith(".safetensors")}
    origin = {"trained_as": {"model": stored.id, "design_sha256": design_hash(design), "weights": weights}}
    return Trained(design, teacher.eval(), student.eval(), accuracy, origin)


def tensors(weights: Weights) -> dict[str, torch.Tensor]:
    """Stored weights as a ``state_dict()``."""
    return {name: torch.from_numpy(array) for name, array in weights.items()}


def _design_of(stored: StoredModel) -> Design:
    """The design of a model, and that it is the one whose hash stands beside it."""
    try:
        design = Design.model_validate(stored.description["design"])
    except (KeyError, ValidationError) as error:
        said = explain(error, str(stored.folder)) if isinstance(error, ValidationError) else "it names no design"
        raise RecordError(f"{stored.folder}: is not a model of labonn train that can be read here: {said}") from error
    hashed = stored.description.get("design_sha256", design_hash(design))
    if hashed != design_hash(design):
        raise RecordError(
            f"{stored.folder}: its design has hash {design_hash(design)[:12]}, and was trained as {str(hashed)[:12]}:"
            " it was changed since, or this version reads it otherwise; train it again"
        )
    return design


def _differences(one: Design, other: Design) -> str:
    found = [
        f"{part}.{key}"
        for part in ("optic", "sensor", "backend")
        for key, value in getattr(one, part)
        if value != getattr(getattr(other, part), key)
    ]
    return ", ".join((["task"] if one.task != other.task else []) + found)
