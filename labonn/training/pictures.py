"""Pictures of a training, for its model folder and the report there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from labonn.data import DataSet
from labonn.networks import Student, hidden_and_logits
from labonn.optics import signed_maps
from labonn.report import figures, png_of
from labonn.training.accuracy import logits_of
from labonn.training.overlap import intersection_over_union

HARDEST, OVERLAYS, EMBEDDED = 24, 16, 2000  # images
GRID = 8  # places in each direction at which pixels are embedded
_PIXELS = ", at 64 places of each,"


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
    pairs = (test.labels * classes + answers).ravel()
    shown = EMBEDDED if test.labels.ndim == 1 else EMBEDDED // GRID**2
    counts = np.bincount(pairs, minlength=classes**2).reshape(classes, classes)
    with torch.no_grad():
        taps = student.frontend.kernels()
        # A map's kernel is the difference of its halves, as a map is the difference of its tiles.
        signed, psfs = signed_maps(taps[None])[0].numpy(), student.frontend.psfs().numpy()
    drawn = [
        _picture("loss", "Loss", "Of each step, in simulation.", figures.training_curves({"loss": losses})),
        _picture(
            "kernels",
            "Kernels and PSFs",
            "What is subtracted, and below it the point spread functions of the two halves, turned by 180 degrees.",
            figures.kernels(signed, psfs),
        ),
        _picture(
            "confusions", "Confusions", "Which class was taken for which.", figures.confusions(counts, data.classes)
        ),
        _picture(
            "embedding",
            "Features",
            f"What the last layer reads of the test images{_PIXELS if test.labels.ndim > 1 else ''}, along the two"
            " directions in which it varies most.",
            figures.embedding(*_embedded(student, images[:shown], test.labels[:shown], chunk), data.classes),
        ),
        *(_hardest(data, logits, answers) if test.labels.ndim == 1 else _overlays(data, answers)),
    ]  # fmt: skip
    wrong = [100 - value for value in notes.get("validation", ())]
    apart = [1 - value for value in notes.get("alignment", ())]
    for name, caption, values in (
        ("alignment", "1 - CKA of the student's and the teacher's kernel after each epoch.", apart),
        ("validation", "What is wrong of the validation images after each epoch, %.", wrong),
    ):
        if len(values) > 1:
            curve = figures.training_curves({name: values})
            curve.axes[0].set_xlabel("epoch")
            curve.axes[0].set_ylabel("")
            drawn.insert(1, _picture(name, name.capitalize(), caption, curve))
    return drawn


def _hardest(data: DataSet, logits: Tensor, answers: NDArray[np.int64]) -> list[Picture]:
    """The images of which the student is most wrong."""
    test, names = data.test, data.classes
    loss = torch.nn.functional.cross_entropy(logits, torch.from_numpy(test.labels), reduction="none").numpy()
    worst = np.argsort(-loss)[:HARDEST]
    titles = [f"{names[test.labels[place]]}: {names[answers[place]]}" for place in worst]
    drawn = figures.hardest(test.images[worst], titles)
    return [_picture("hardest", "Hardest images", "Label and answer of those with the largest loss.", drawn)]


def _overlays(data: DataSet, answers: NDArray[np.int64]) -> list[Picture]:
    """The images whose masks are found best, and worst."""
    overlap = intersection_over_union(answers, data.test.labels, len(data.classes))[:, -1]
    order = np.argsort(-overlap)
    drawn = []
    for name, which in (("best", order[:OVERLAYS]), ("worst", order[::-1][:OVERLAYS])):
        titles = [f"{100 * overlap[place]:.1f} %" for place in which]
        figure = figures.overlays(data.test.images[which], answers[which] > 0, data.test.labels[which] > 0, titles)
        caption = f"Green: found; red: missed; blue: not there. Overlap of the {data.classes[-1]}."
        drawn.append(_picture(name, f"{name.capitalize()} images", caption, figure))
    return drawn


@torch.no_grad()
def _embedded(
    student: Student, images: Tensor, labels: NDArray[np.int64], chunk: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The first two principal components (P, 2) of what the last layer reads, and the labels (P,).

    Of each image; or where each pixel has a label, of pixels at places that are the same in all images.
    """
    parts = []
    for part in torch.split(images, chunk):
        read = hidden_and_logits(student.backend, student.frontend(part))[0]
        parts.append(_at_places(read))
    features = torch.cat(parts)
    if labels.ndim > 1:
        labels = _at_places(torch.from_numpy(labels)[:, None]).numpy()[:, 0]
    centred = features - features.mean(dim=0)
    # Of the smaller of the two Gram matrices; a single layer reads as many features as a thousand maps have.
    if centred.shape[1] > len(centred):
        values, vectors = torch.linalg.eigh(centred @ centred.T)
        points = vectors[:, -2:] * values[-2:].clamp_min(0).sqrt()
    else:
        points = centred @ torch.linalg.eigh(centred.T @ centred)[1][:, -2:]
    found: NDArray[np.float32] = points.flip(1).numpy()
    return found, labels


def _at_places(read: Tensor) -> Tensor:
    """Values (P, F) of maps (N, F, H, W) on a coarse grid; values (N, F) as they are."""
    if read.ndim == 2:
        return read
    height, width = read.shape[2:]
    few = read[:, :, height // GRID // 2 :: max(1, height // GRID), width // GRID // 2 :: max(1, width // GRID)]
    return few.movedim(1, -1).flatten(0, 2)


def _picture(name: str, title: str, caption: str, figure: Figure) -> Picture:
    return Picture(f"{name}.png", title, caption, png_of(figure))
