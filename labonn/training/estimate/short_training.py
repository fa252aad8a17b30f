"""What a student comes to that is shown a few thousand images, each once: whether it can learn, and how fast."""

import numpy as np
import torch

from labonn.data import Split
from labonn.design import Design
from labonn.errors import TrainingError
from labonn.training.accuracy import accuracy_percent
from labonn.training.student import train_student
from labonn.training.teaching import Teaching

SHOWN = 8000
HELD_OUT = 1000
BATCH = 64


def images_asked(whole: int) -> int:
    """So many training images are taken at most."""
    return min(whole, SHOWN + HELD_OUT)


def short_training(design: Design, shown: Split, *, seed: int) -> float:
    """Accuracy in per cent after one pass, on images that were not shown; that of guessing if it diverges.

    Parameters
    ----------
    design
        It is trained at its own rates, without a teacher.
    shown
        Training images; the last tenth, 1,000 at most, is what is judged.
    seed
        Of the beginning and the batches.

    Source: Jamieson, Talwalkar, "Non-stochastic best arm identification and hyperparameter optimization", AISTATS 2016:
    what training begins with ranks designs well before its end.
    """
    held = min(HELD_OUT, len(shown) // 10)
    learnt = shown.first(len(shown) - held)
    new = shown.take(np.arange(len(learnt), len(shown)))
    training = design.training.model_copy(update={"method": "none", "epochs": 1, "batch": min(BATCH, len(learnt))})
    brief = design.model_copy(update={"training": training})
    images, labels = torch.from_numpy(learnt.images), torch.from_numpy(learnt.labels)
    teaching = Teaching(None, images, labels, batch=training.batch, cache=None)
    try:
        student = train_student(brief, learnt, design.classes, teaching, seed=seed).student
    except TrainingError:
        return 100 / design.classes
    return accuracy_percent(student, torch.from_numpy(new.images), new.labels)
