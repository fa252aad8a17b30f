"""Training the student, optics and backend together, in simulation."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from labonn.data import Split
from labonn.design import Design
from labonn.networks import Student, hidden_and_logits
from labonn.training.augmenting import drawn_view
from labonn.training.course import Course, Notes
from labonn.training.fitting import Fitting, seeded
from labonn.training.lessons import loss_weights
from labonn.training.methods import Distillation, Hints
from labonn.training.teaching import Teaching


@dataclass(frozen=True)
class TrainedStudent:
    """A student in evaluation mode, the loss of each of its training steps, and what was noted after each epoch."""

    student: Student
    losses: list[float]
    notes: Notes = field(default_factory=dict)


class Lessons(nn.Module):
    """A student and the method by which it is taught; what a process computes of a batch's loss.

    Parameters
    ----------
    design
        How images are changed.
    student, method
        What is trained.
    images
        (N, C, H, W), on the student's device.
    teaching
        What the teacher says of them.
    share
        Which images of each batch are this process's.
    """

    def __init__(
        self,
        design: Design,
        student: Student,
        method: Distillation,
        images: Tensor,
        teaching: Teaching,
        share: slice | None,
    ) -> None:
        super().__init__()
        self.student, self.method = student, method
        self._training, self._images, self._teaching, self._share = design.training, images, teaching, share
        self._steps = student_steps(design, len(images))

    def forward(self, indices: Tensor, progress: float) -> Tensor:
        """The loss of a batch (n,), of this process's share of it; its kernel term is of the share alone."""
        weights = self.method.weights_at(round(progress * self._steps))
        own = indices if self._share is None else indices[self._share]
        training, images = self._training, self._images[own]
        view = drawn_view(len(own), flips=training.flips, shift_px=training.shift_px) if training.augments else None
        if view is not None:
            images = view.of(images)
        if training.live and view is not None:
            lesson = self._teaching.lesson_of(images, own, weights).labelled_as(view)
        else:
            lesson = self._teaching.lesson(indices, weights)
            lesson = lesson if self._share is None else lesson.take(self._share)
            lesson = lesson if view is None else lesson.seen(view)
        return self.method.loss(*self.student.taught(images), lesson, weights, progress)


def train_student(
    design: Design,
    train: Split,
    classes: int,
    teaching: Teaching,
    *,
    seed: int,
    method: str | None = None,
    on_step: Callable[[], None] = lambda: None,
    course: Course | None = None,
    watch: Callable[[Student], None] = lambda student: None,
) -> TrainedStudent:
    """Train frontend and backend on simulated, noisy captures of the training images.

    Parameters
    ----------
    design
        The network, and how it is trained.
    train
        Images and labels.
    classes
        Number of logits.
    teaching
        What the teacher says of these images, on the course's device.
    seed
        For everything random.
    method
        Which losses; the design's own if none is named.
    on_step
        Called after each step.
    course
        Device, checkpoint, and what is noted after each epoch; plain torch on the CPU by default.
    watch
        Is handed the student before it is trained.

    Raises
    ------
    TrainingError
        If the loss diverges, or the method matches a kernel that training cannot change.
    ConfigError
        If the method is unknown.
    """
    course = replace(course or Course(), on_step=on_step)
    with seeded(seed):
        channels, height, width = train.images.shape[1:]
        student = Student(design, (channels, height, width), classes).to(course.device)
        images = torch.from_numpy(train.images).to(course.device)
        logits = (classes, *train.labels.shape[1:])
        taught_by = _method(design, method, student, images[: design.training.batch], teaching, logits)
        taught_by = taught_by.to(course.device)
        watch(student)
        lessons = Lessons(design, student, taught_by, images, teaching, course.share(design.training.batch))
        called = course.prepared(lessons)
        training, steps = design.training, student_steps(design, len(train))
        optics = [taps for taps in student.frontend.parameters() if taps.requires_grad]
        groups = [
            (training.learning_rate, [*student.backend.parameters(), *taught_by.parameters()]),
            *([(training.optics_learning_rate, optics)] if optics else []),
        ]
        fitting = Fitting(
            groups, steps=steps, weight_decay=[training.weight_decay, 0.0][: len(groups)], fabric=course.fabric
        )
        notes = course.follow(
            fitting,
            called,
            teaching.batches,
            {"student": student, "method": taught_by},
            epoch_steps=max(1, len(train) // training.batch),
        )
    return TrainedStudent(student.eval(), fitting.losses, notes)


def _method(
    design: Design,
    name: str | None,
    student: Student,
    images: Tensor,
    teaching: Teaching,
    logits: tuple[int, ...],
) -> Distillation:
    """Build the method on an example batch, and make sure that it can train this student."""
    weights = loss_weights(design.training, name)
    if not weights.hint:
        method = Distillation(weights, design.training, logits)
        if weights.ntkd:
            method.check(*student.taught(images))
        return method
    lesson = teaching.lesson_of(images, torch.arange(len(images)), weights)
    if lesson.hidden is None:
        raise ValueError("a hint needs a teacher")
    student_features = hidden_and_logits(*student.taught(images))[0].shape[1]
    return Hints(weights, design.training, student_features, lesson.hidden.shape[1])


def student_steps(design: Design, images: int) -> int:
    """How many steps the training of the student takes."""
    return design.training.epochs * max(1, images // design.training.batch)
