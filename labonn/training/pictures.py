"""Pictures of a training, for its model folder and the report there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from labonn.data import DataSet
from labonn.networks import Student, hidden_and_logits
from labonn.optics import signed_maps
from labonn.report import figures

DPI = 144
HARDEST = 24  # images


@dataclass(frozen=True)
class Picture:
    """A picture as it is kept."""

    file: str
    title: str
    caption: str
    png: bytes


def pictures_of(
    student: Student,
    data: DataSet,
    losses: Sequence[float],
    notes: Mapping[str, Sequence[float]],
    *,
    chunk: int,
) -> list[Picture]:
    """Draw how the training went, what the optics became, and what the student makes of the test images.

    Parameters
    ----------
    student
        In evaluation mode, on the CPU.
    data
        Its test images are classified.
    losses
        Of each step.
    notes
        What was noted after each epoch.
    chunk
        Images that the student is asked about at once.
    """
    test, classes = data.test, len(data.classes)
    points, logits = _known(student, torch.from_numpy(test.images), chunk)
    answers = logits.argmax(dim=1).numpy()
    counts = np.bincount(test.labels * classes + answers, minlength=classes**2).reshape(classes, classes)
    loss = torch.nn.functional.cross_entropy(logits, torch.from_numpy(test.labels), reduction="none").numpy()
    worst = np.argsort(-loss)[:HARDEST]
    titles = [f"{data.classes[test.labels[place]]}: {data.classes[answers[place]]}" for place in worst]
    with torch.no_grad():
        taps = student.frontend.kernels()
        # A map's kernel is the difference of its halves, as a map is the difference of its tiles.
        signed, psfs = signed_maps(taps[None])[0].numpy(), student.frontend.psfs().numpy()
    drawn = [
        _picture("loss", "Loss", "Of each step, in simulation.", figures.training_curves({"loss": losses})),
        _picture(
            "kernels",
            "Kernels and PSFs",
            "What is subtracted, and below it the point spread functions of the two halves.",
            figures.kernels(signed, psfs),
        ),
        _picture(
            "confusions", "Confusions", "Which class was taken for which.", figures.confusions(counts, data.classes)
        ),
        _picture(
            "embedding",
            "Features",
            "What the last layer reads of the test images, along the two directions in which it varies most.",
            figures.embedding(points, test.labels, data.classes),
        ),
        _picture(
            "hardest", "Hardest images", "Label and answer of those with the largest loss.",
            figures.hardest(test.images[worst], titles),
        ),
    ]  # fmt: skip
    curves = {
        "validation": ("Validation", "Images classified wrongly after each epoch, %.", lambda value: 100 - value),
        "alignment": (
            "Kernels",
            "1 - CKA of the student's and the teacher's after each epoch.",
            lambda value: 1 - value,
        ),
    }
    for name, (title, caption, shown) in curves.items():
        if name in notes:
            curve = figures.training_curves({name: [shown(value) for value in notes[name]]})
            curve.axes[0].set_xlabel("epoch")
            curve.axes[0].set_ylabel("")
            drawn.insert(1, _picture(name, title, caption, curve))
    return drawn


def _known(student: Student, images: Tensor, chunk: int) -> tuple[NDArray[np.float32], Tensor]:
    """The first two principal components (N, 2) of what the last layer reads, and the logits (N, C)."""
    with torch.no_grad():
        parts = [hidden_and_logits(student.backend, student.frontend(part)) for part in torch.split(images, chunk)]
        features, logits = (torch.cat(each) for each in zip(*parts, strict=True))
        centred = features - features.mean(dim=0)
        # Of the smaller of the two Gram matrices; a single layer reads as many features as a thousand maps have.
        if centred.shape[1] > len(centred):
            values, vectors = torch.linalg.eigh(centred @ centred.T)
            points = vectors[:, -2:] * values[-2:].clamp_min(0).sqrt()
        else:
            points = centred @ torch.linalg.eigh(centred.T @ centred).eigenvectors[:, -2:]
    return points.flip(1).numpy(), logits


def _picture(name: str, title: str, caption: str, figure: Figure) -> Picture:
    content = BytesIO()
    figure.savefig(content, format="png", dpi=DPI)
    return Picture(f"{name}.png", title, caption, content.getvalue())
