"""Training the electronic teacher on the raw images."""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import convert_conv2d_weight_memory_format

from labonn.data import Split
from labonn.design import Design
from labonn.networks import make_teacher
from labonn.training.augmenting import drawn_shift, drawn_view
from labonn.training.course import Course
from labonn.training.fitting import Fitting, seeded, shuffled_batches
from labonn.training.lessons import Lesson

LARGEST_SHIFT_PX = 2


class Examples(nn.Module):
    """A teacher and what it learns from; its loss on a process's share of a batch."""

    def __init__(self, design: Design, teacher: nn.Module, images: Tensor, labels: Tensor, share: slice | None) -> None:
        super().__init__()
        self.teacher = teacher
        self._flips, self._images, self._labels, self._share = design.teacher.flips, images, labels, share

    def forward(self, indices: Tensor, progress: float) -> Tensor:
        """Cross-entropy of moved images of a batch (n,)."""
        own = indices if self._share is None else indices[self._share]
        reach = LARGEST_SHIFT_PX
        view = drawn_view(len(own), flips=True, shift_px=reach) if self._flips else drawn_shift(reach)
        labels = Lesson(self._labels[own], None).labelled_as(view).labels
        return functional.cross_entropy(self.teacher(view.of(self._images[own])), labels)


def train_teacher(
    design: Design,
    train: Split,
    classes: int,
    *,
    seed: int,
    on_step: Callable[[], None] = lambda: None,
    course: Course | None = None,
) -> nn.Module:
    """Train the design's teacher with cross-entropy on randomly moved images; returned in evaluation mode.

    Raises
    ------
    TrainingError
        If the loss diverges.
    """
    course = replace(course or Course(), on_step=on_step)
    images, labels = (torch.from_numpy(array).to(course.device) for array in (train.images, train.labels))
    with seeded(seed):
        channels, height, width = train.images.shape[1:]
        teacher = make_teacher(design.teacher, (channels, height, width), classes).to(course.device)
        convert_conv2d_weight_memory_format(teacher, torch.channels_last)  # by a quarter faster
        steps, batch = teacher_steps(design, len(train)), design.teacher.batch
        called = course.prepared(Examples(design, teacher, images, labels, course.share(batch)))
        fitting = Fitting(
            [(design.teacher.learning_rate, teacher.parameters())],
            steps=steps,
            weight_decay=[design.teacher.weight_decay],
            fabric=course.fabric,
        )
        course.follow(
            fitting,
            called,
            lambda remaining: shuffled_batches(len(train), batch, remaining),
            {"teacher": teacher},
            epoch_steps=max(1, len(train) // batch),
        )
    convert_conv2d_weight_memory_format(teacher, torch.contiguous_format)  # as it is when it is read again
    return teacher.eval()


def teacher_steps(design: Design, images: int) -> int:
    """How many steps the training of the teacher takes."""
    return design.teacher.epochs * max(1, images // design.teacher.batch)
