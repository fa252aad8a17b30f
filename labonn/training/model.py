"""From a design to a model folder: teacher, student, and everything that says how it was made."""

import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import torch

from labonn.data import DataSet
from labonn.design import Design, design_hash, operations, parameters
from labonn.errors import DataError
from labonn.networks import Student, make_teacher
from labonn.ntk.exact import Outputs
from labonn.records import save_model
from labonn.training.accuracy import chunk_of, miou_percent, score_percent
from labonn.training.checkpoint import Checkpoint
from labonn.training.course import Course
from labonn.training.fitting import seeded
from labonn.training.labels import some_labels
from labonn.training.lessons import kernel_outputs, loss_weights
from labonn.training.model_page import model_page
from labonn.training.pictures import pictures_of
from labonn.training.student import TrainedStudent, train_student
from labonn.training.teachers import KnownTeacher, data_digest, teacher_for
from labonn.training.teaching import Teaching
from labonn.training.watcher import Watcher


@dataclass(frozen=True)
class Order:
    """What is to be trained."""

    design: Design
    method: str | None = None  # the design's own if none is named
    seed: int = 0
    teacher_seed: int = 0
    labelled: int | None = None  # how many labels the student is told; all if not given

    @property
    def name(self) -> str:
        """The method by its name."""
        return self.method or self.design.training.method

    @property
    def label(self) -> str:
        """A name for its files."""
        some = "" if self.labelled is None else f"-{self.labelled}-labels"
        return f"{self.design.name}-{self.name.replace('+', '-')}-{self.seed}{some}"


@dataclass(frozen=True)
class Teller:
    """Who is told how a training goes on.

    Attributes
    ----------
    step
        Called after each step of the student, and of the teacher.
    loss
        Called after each step with its loss.
    epoch
        Called after each epoch of the student with its number, and the figures that were noted.
    say
        Told in words what takes long.
    """

    step: Callable[[], None] = lambda: None
    loss: Callable[[float], None] = lambda loss: None
    epoch: Callable[[int, Mapping[str, float]], None] = lambda epoch, figures: None
    say: Callable[[str], None] = lambda text: None


@dataclass(frozen=True)
class TrainedModel:
    """A model that was trained and kept."""

    id: str
    folder: Path
    described: dict[str, Any]


def can_be_built(design: Design) -> None:
    """Build a design's teacher and student, and forget them: before data are read and anything is trained.

    Raises
    ------
    ConfigError
        If they cannot be.
    """
    shape = (len(design.optic.wavelengths_nm), *design.image_shape)
    with seeded(0):
        make_teacher(design.teacher, shape, design.classes)
        Student(design, shape, design.classes)


def check_data(design: Design, data: DataSet) -> None:
    """Refuse data that a design is not for.

    Raises
    ------
    DataError
        If there are other classes, other images, or values that are no brightness.
    """
    masks = design.image_shape if design.measure == "miou" else ()
    shapes = data.train.images.shape[2:], data.train.labels.shape[1:]
    if len(data.classes) != design.classes or shapes != (design.image_shape, masks):
        raise DataError(
            f"data set {data.name!r} has {len(data.classes)} classes of images of {shapes[0]} with labels of"
            f" {shapes[1]}, and design {design.name!r} is for {design.classes} of {design.image_shape} with {masks}"
        )
    for split in (data.train, data.validation, data.test):
        if split.labels.min() < 0 or split.labels.max() >= len(data.classes):
            raise DataError(
                f"data set {data.name!r}: labels from {split.labels.min()} to {split.labels.max()}, but"
                f" {len(data.classes)} classes: fetch it again"
            )
        brightest, darkest = float(split.images.max()), float(split.images.min())
        if not (darkest >= 0 and brightest <= 1):  # so that NaN is refused, too
            raise DataError(
                f"data set {data.name!r}: brightness from {darkest} to {brightest}, and a display shows 0 to 1:"
                " fetch it again"
            )


def train_model(
    lab_dir: Path,
    order: Order,
    data: DataSet,
    *,
    teacher: KnownTeacher | None,
    course: Course,
    teller: Teller,
    out: Path | None = None,
    fresh: bool = False,
) -> TrainedModel | None:
    """Train a student and write its model folder; None in a process that is not the first.

    Parameters
    ----------
    lab_dir
        The laboratory's folder.
    order
        What is to be trained.
    data
        The data set of its task.
    teacher
        As `teacher_of` gives it.
    course
        Where it runs.
    teller
        Who is told.
    out
        The model's folder; in the laboratory by default.
    fresh
        Forget the checkpoint of a training that was killed.

    Raises
    ------
    TrainingError
        If it diverges.
    ConfigError
        If a checkpoint of another training is in its place.
    RecordError
        If the disk refuses.
    """
    design, began_s = order.design, time.perf_counter()
    checkpoint = Checkpoint(
        lab_dir / "trainings" / f"{order.label}.safetensors",
        {
            "design": design.model_dump(mode="json", by_alias=True),
            "method": order.name,
            "seed": order.seed,
            "teacher": None if teacher is None else teacher.sha256,
            "data": data_digest(data.train),
            "labelled": order.labelled,
        },
        every_s=course.checkpoint_s,
    )
    if fresh:
        checkpoint.remove()
    images, labels = (torch.from_numpy(array).to(course.device) for array in (data.train.images, data.train.labels))
    if order.labelled is not None:
        labels = some_labels(labels, order.labelled, order.seed)
    outputs = kernel_outputs_of(design)
    with course.one_after_another():  # the first process computes what the others find
        teaching = Teaching(
            None if teacher is None else teacher.network,
            images,
            labels,
            batch=design.training.batch,
            cache=lab_dir / "cache",
            say=teller.say,
            outputs=outputs,
            live=design.training.live,
        )
        if loss_weights(design.training, order.method).ntkd and not design.training.live:
            teaching.kernel()
    watcher = Watcher(
        data,
        None if teacher is None else teacher.network,
        course.device,
        epoch_steps=max(1, len(data.train) // design.training.batch),
        batch=design.training.batch,
        chunk=images_at_once(design),
        outputs=outputs,
        tell=teller.epoch,
    )
    student_s = time.perf_counter()
    trained = train_student(
        design,
        data.train,
        len(data.classes),
        teaching,
        seed=order.seed,
        method=order.method,
        on_step=teller.step,
        course=replace(course, on_loss=teller.loss, on_epoch=watcher.look, checkpoint=checkpoint),
        watch=watcher.meet,
    )
    seconds = {"student": time.perf_counter() - student_s, "total": time.perf_counter() - began_s}
    if not course.first:
        return None
    described = _described(order, data, teacher, trained, course, seconds)
    model_id = _save(lab_dir, order, data, teacher, trained, described, out)
    checkpoint.remove()
    return TrainedModel(model_id, out or lab_dir / "models" / model_id, described)


def teacher_of(
    lab_dir: Path, order: Order, data: DataSet, course: Course, teller: Teller, *, fresh: bool = False
) -> KnownTeacher:
    """The teacher of an order, from the laboratory or trained now; a killed training goes on, or begins `fresh`."""
    label = f"{order.design.name}-teacher-{order.teacher_seed}"
    known = {
        "design": order.design.teacher.model_dump(mode="json"),
        "seed": order.teacher_seed,
        "data": data_digest(data.train),
    }
    checkpoint = Checkpoint(
        lab_dir / "trainings" / f"{label}.safetensors", {"teacher": known}, every_s=course.checkpoint_s
    )
    if fresh:
        checkpoint.remove()
    teacher = teacher_for(
        lab_dir,
        order.design,
        data,
        seed=order.teacher_seed,
        course=replace(course, on_loss=teller.loss, checkpoint=checkpoint),
        on_step=teller.step,
    )
    if course.first:
        checkpoint.remove()
    return teacher


def images_at_once(design: Design) -> int:
    """Images that its student can be asked about at once."""
    return chunk_of(design.optic.maps, prod(design.image_shape))


def kernel_outputs_of(design: Design) -> Outputs | None:
    """Of which outputs its kernels are."""
    pixels = design.image_shape if design.measure == "miou" else ()
    return kernel_outputs(design.training, (design.classes, *pixels))


def _described(
    order: Order,
    data: DataSet,
    teacher: KnownTeacher | None,
    trained: TrainedStudent,
    course: Course,
    seconds: Mapping[str, float],
) -> dict[str, Any]:
    design, done = order.design, operations(order.design)
    splits = {"validation": data.validation, "simulated": data.test}
    shown = {name: torch.from_numpy(split.images).to(course.device) for name, split in splits.items()}
    chunk = images_at_once(design)
    accuracy = {
        name: score_percent(trained.student, shown[name], split.labels, chunk=chunk) for name, split in splits.items()
    }
    known: dict[str, Any] | None = None
    if teacher is not None:
        known = {
            "id": teacher.id,
            "sha256": teacher.sha256,
            "seed": order.teacher_seed,
            "reused": teacher.reused,
        }
        accuracy["teacher"] = teacher.accuracy["test"]
    both = {}
    if design.measure == "miou":
        both = {
            "miou_of_all_classes": miou_percent(trained.student, shown["simulated"], data.test.labels, chunk=chunk)[1]
        }
    return {
        "design": design.model_dump(mode="json", by_alias=True),
        "design_sha256": design_hash(design),
        "method": order.name,
        "seed": order.seed,
        "labelled": order.labelled or len(data.train),
        "teacher": known,
        design.measure: accuracy,
        **both,
        "parameters": parameters(design),
        "macs": {"optical": done.optical, "digital": done.digital, "elementwise": done.elementwise},
        "epochs": trained.notes,
        "images_per_s": float(np.median(trained.notes["images_per_s"])),
        "final_loss": trained.losses[-1],
        "data": {"name": data.name, "sha256": data_digest(data.train), "images": len(data.train)},
        "seconds": {name: round(value, 3) for name, value in seconds.items()},
        "environment": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "device": str(course.device),
            "processes": 1 if course.fabric is None else course.fabric.world_size,
            "kernel_term": "of each process's share of a batch",
        },
    }


def _save(
    lab_dir: Path,
    order: Order,
    data: DataSet,
    teacher: KnownTeacher | None,
    trained: TrainedStudent,
    described: dict[str, Any],
    out: Path | None,
) -> str:
    student = trained.student.cpu()
    weights = {"student": student.state_dict()}
    if teacher is not None:
        weights["teacher"] = teacher.network.state_dict()
    with torch.no_grad():
        arrays = {"kernels": student.frontend.kernels(), "psf_target": student.frontend.psfs()}
    pictures = pictures_of(student, data, trained.losses, trained.notes, chunk=images_at_once(order.design))
    page = model_page(described, pictures)
    return save_model(
        lab_dir,
        design=order.design.name,
        weights=weights,
        description=described,
        arrays=arrays,
        files={"report.html": page, **{picture.file: picture.png for picture in pictures}},
        out=out,
    )
