"""The teachers of a laboratory: trained once, kept by what they were made from, found again."""

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from filelock import FileLock
from pydantic import Field
from torch import nn

from labonn.data import DataSet, Split
from labonn.design import Design
from labonn.errors import RecordError
from labonn.networks import make_teacher
from labonn.records import read_weights, write_weights
from labonn.records.disk import utc_now
from labonn.records.sealed import Card, read_card, seal
from labonn.training.accuracy import score_percent
from labonn.training.course import Course
from labonn.training.teacher import train_teacher

SCHEMA = 1
_CARD = "teacher.json"
_WEIGHTS = "teacher.safetensors"


class TeacherCard(Card):
    """A teacher's card, ``teacher.json``."""

    schema_: Literal[1] = Field(alias="schema")
    made_from: dict[str, Any]
    accuracy: dict[str, float]  # per cent, on the validation and the test images; of masks, mIoU


@dataclass(frozen=True)
class KnownTeacher:
    """A teacher of a laboratory."""

    id: str
    network: nn.Module  # in evaluation mode, on the course's device
    sha256: str  # of its weights' file
    accuracy: dict[str, float]
    reused: bool


def made_from(design: Design, data: DataSet, seed: int) -> dict[str, Any]:
    """What decides a teacher's weights: its part of the design, the data, the seed."""
    return {
        "schema": SCHEMA,
        "task": design.task,
        "teacher": design.teacher.model_dump(mode="json"),
        "data": data_digest(data.train),
        "seed": seed,
    }


def teacher_for(
    lab_dir: Path,
    design: Design,
    data: DataSet,
    *,
    seed: int,
    course: Course | None = None,
    on_step: Callable[[], None] = lambda: None,
) -> KnownTeacher:
    """Find the laboratory's teacher for a design, or train it and keep it.

    Raises
    ------
    RecordError
        If the one that is kept is damaged, or the disk refuses.
    TrainingError
        If the training diverges.
    """
    course = course or Course()
    origin = made_from(design, data, seed)
    teacher_id = digest_of(origin)
    folder = lab_dir / "teachers" / teacher_id
    with _alone(folder, course):
        reused = folder.is_dir()
        if not reused:
            network = train_teacher(design, data.train, len(data.classes), seed=seed, course=course, on_step=on_step)
            if course.first:
                _keep(folder, origin, network, data)
            course.wait()
    card = read_card(folder, _CARD, TeacherCard)
    channels, height, width = data.train.images.shape[1:]
    network = make_teacher(design.teacher, (channels, height, width), len(data.classes))
    network.load_state_dict({name: torch.from_numpy(array) for name, array in read_weights(folder / _WEIGHTS).items()})
    return KnownTeacher(teacher_id, network.to(course.device).eval(), card.files[_WEIGHTS], card.accuracy, reused)


@contextmanager
def _alone(folder: Path, course: Course) -> Iterator[None]:
    """Let no other training make the same teacher meanwhile; wait for the one that does."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder.with_suffix(".lock")) if course.first else nullcontext()
        with lock:
            course.wait()
            yield
    except OSError as error:
        raise RecordError(f"{folder}: cannot be made: {error.strerror or error}; make room, and start again") from error


def _keep(folder: Path, origin: dict[str, Any], network: nn.Module, data: DataSet) -> None:
    device = next(network.parameters()).device
    accuracy = {
        name: score_percent(network, torch.from_numpy(split.images).to(device), split.labels)
        for name, split in (("validation", data.validation), ("test", data.test))
    }
    card = {
        "schema": SCHEMA,
        "id": folder.name,
        "made_utc": utc_now().isoformat(),
        "made_from": origin,
        "accuracy": accuracy,
    }
    seal(folder, _CARD, card, lambda place: write_weights(place / _WEIGHTS, network.state_dict()))


def digest_of(value: Any) -> str:
    """Name a value that JSON can hold by the beginning of its SHA-256."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def data_digest(split: Split) -> str:
    """SHA-256 of a split's images and labels."""
    digest = hashlib.sha256()
    for array in (split.images, split.labels):
        digest.update(f"{array.dtype} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
