"""Pictures of a training, as PNG files of its model folder."""

from collections.abc import Mapping, Sequence
from io import BytesIO

import numpy as np
import torch

from labonn.data import DataSet
from labonn.networks import Student
from labonn.optics import signed_maps
from labonn.report import figures
from labonn.training.accuracy import logits_of

DPI = 144


def pictures_of(
    student: Student, data: DataSet, losses: Sequence[float], notes: Mapping[str, Sequence[float]]
) -> dict[str, bytes]:
    """Draw the loss, the confusion matrix of the test images, and the PSFs: file name -> PNG.

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
    """
    answers = logits_of(student, torch.from_numpy(data.test.images)).argmax(dim=1).numpy()
    classes = len(data.classes)
    counts = np.bincount(data.test.labels * classes + answers, minlength=classes**2).reshape(classes, classes)
    with torch.no_grad():
        taps = student.frontend.kernels()
        # A map's kernel is the difference of its halves, as a map is the difference of its tiles.
        signed, psfs = signed_maps(taps[None])[0].numpy(), student.frontend.psfs().numpy()
    drawn = {
        "loss.png": figures.training_curves({"loss": losses}),
        "confusions.png": figures.confusions(counts, data.classes),
        "kernels.png": figures.kernels(signed, psfs),
    }
    if "validation" in notes:
        wrong = {"validation images classified wrongly, %": [100 - value for value in notes["validation"]]}
        drawn["validation.png"] = figures.training_curves(wrong)
    pictures = {}
    for name, figure in drawn.items():
        content = BytesIO()
        figure.savefig(content, format="png", dpi=DPI)
        pictures[name] = content.getvalue()
    return pictures
