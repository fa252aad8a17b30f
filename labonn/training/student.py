"""Training the student, optics and backend together, in simulation."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from labonn.data import Split
from labonn.design import Design
from labonn.networks import Student
from labonn.ntk import require_trainable_kernel
from labonn.training.fitting import fit, seeded
from labonn.training.lessons import distillation_loss, loss_weights
from labonn.training.teaching import Teaching


@dataclass(frozen=True)
class TrainedStudent:
    """A student in evaluation mode, and the loss of each of its training steps."""

    student: Student
    losses: list[float]


def train_student(
    design: Design,
    train: Split,
    classes: int,
    teaching: Teaching,
    *,
    seed: int,
    method: str | None = None,
    on_step: Callable[[], None] = lambda: None,
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
        What the teacher says of these images.
    seed
        For everything random.
    method
        Which losses; the design's own if none is named.
    on_step
        Called after each step.

    Raises
    ------
    TrainingError
        If the loss diverges, or the method matches a kernel that training cannot change.
    ConfigError
        If the method is unknown.
    """
    images = torch.from_numpy(train.images)
    weights = loss_weights(design.training, method)
    with seeded(seed):
        channels, height, width = train.images.shape[1:]
        student = Student(design, (channels, height, width), classes)
        if weights.ntkd:
            require_trainable_kernel(student.backend, student.frontend(images[: design.training.batch]))
        steps = student_steps(design, len(train))

        def loss_of(indices: Tensor) -> Tensor:
            maps = student.frontend(images[indices])
            return distillation_loss(student.backend, maps, teaching.lesson(indices, weights), weights)

        losses = fit(
            [
                (design.training.learning_rate, student.backend.parameters()),
                (design.training.optics_learning_rate, student.frontend.parameters()),
            ],
            teaching.batches(steps),
            loss_of,
            steps=steps,
            on_step=on_step,
        )
    return TrainedStudent(student.eval(), losses)


def student_steps(design: Design, images: int) -> int:
    """How many steps the training of the student takes."""
    return design.training.epochs * max(1, images // design.training.batch)
