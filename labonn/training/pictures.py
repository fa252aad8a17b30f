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
from labonn.training.accuracy import logits_of

DPI = 144
HARDEST, EMBEDDED = 24, 2000  # images


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
    images = torch.from_numpy(test.images)
    logits = logits_of(student, images, chunk=chunk)
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
            figures.embedding(
                _embedded(student, images[:EMBEDDED], chunk), test.labels[:EMBEDDED], data.classes
            ),
        ),
        _picture(
            "hardest", "Hardest images", "Label and answer of those with the largest loss.",
            figures.hardest(test.images[worst], titles),
        ),
    ]  # fmt: skip
    wrong = [100 - value for value in notes.get("validation", ())]
    apart = [1 - value for value in notes.get("alignment", ())]
    for name, caption, values in (
        ("alignment", "1 - CKA of the student's and the teacher's kernel after each epoch.", apart),
        ("validation", "Validation images classified wrongly after each epoch, %.", wrong),
    ):
        if len(values) > 1:
            curve = figures.training_curves({name: values})
            curve.axes[0].set_xlabel("epoch")
            curve.axes[0].set_ylabel("")
            drawn.insert(1, _picture(name, name.capitalize(), caption, curve))
    return drawn


@torch.no_grad()
def _embedded(student: Student, images: Tensor, chunk: int) -> NDArray[np.float32]:
    """The first two principal components (N, 2) of what the last layer reads."""
    parts = [hidden_and_logits(student.backend, student.frontend(part))[0] for part in torch.split(images, chunk)]
    features = torch.cat(parts)
    centred = features - features.mean(dim=0)
    # Of the smaller of the two Gram matrices; a single layer reads as many features as a thousand maps have.
    if centred.shape[1] > len(centred):
        values, vectors = torch.linalg.eigh(centred @ centred.T)
        points = vectors[:, -2:] * values[-2:].clamp_min(0).sqrt()
    else:
        points = centred @ torch.linalg.eigh(centred.T @ centred)[1][:, -2:]
    found: NDArray[np.float32] = points.flip(1).numpy()
    return found


def _picture(name: str, title: str, caption: str, figure: Figure) -> Picture:
    content = BytesIO()
    figure.savefig(content, format="png", dpi=DPI)
    return Picture(f"{name}.png", title, caption, content.getvalue())
