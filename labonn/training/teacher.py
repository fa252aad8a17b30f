"""Training the electronic teacher on the raw images."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from labonn.data import Split
from labonn.design import Design
from labonn.networks import make_teacher
from labonn.training.fitting import fit, seeded, shuffled_batches

BATCH = 64
LARGEST_SHIFT_PX = 2


def train_teacher(
    design: Design, train: Split, classes: int, *, seed: int, on_step: Callable[[], None] = lambda: None
) -> nn.Module:
    """Train the design's teacher with cross-entropy on randomly shifted images; returned in evaluation mode."""
    images, labels = torch.from_numpy(train.images), torch.from_numpy(train.labels)
    with seeded(seed):
        channels, height, width = train.images.shape[1:]
        teacher = make_teacher(design.teacher, (channels, height, width), classes)
        steps = teacher_steps(design, len(train))

        def loss_of(indices: Tensor) -> Tensor:
            return functional.cross_entropy(teacher(_shifted(images[indices])), labels[indices])

        fit(
            [(design.teacher.learning_rate, teacher.parameters())],
            shuffled_batches(len(train), BATCH, steps),
            loss_of,
            steps=steps,
            on_step=on_step,
        )
    return teacher.eval()


def teacher_steps(design: Design, images: int) -> int:
    """How many steps the training of the teacher takes."""
    return design.teacher.epochs * max(1, images // BATCH)


def _shifted(images: Tensor) -> Tensor:
    """The whole batch moved by the same few pixels, dark at the edges."""
    reach = LARGEST_SHIFT_PX
    down, right = torch.randint(0, 2 * reach + 1, (2,)).tolist()
    padded = functional.pad(images, (reach, reach, reach, reach))
    return padded[..., down : down + images.shape[-2], right : right + images.shape[-1]]
