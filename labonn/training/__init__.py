"""Training in simulation: an electronic teacher, then the student that learns from it."""

from labonn.training.accuracy import (
    accuracy_interval,
    accuracy_percent,
    logits_of,
    score_interval,
    score_percent,
    scores_of,
)
from labonn.training.lessons import Lesson, LossWeights, distillation_loss, loss_weights
from labonn.training.student import train_student
from labonn.training.teacher import train_teacher
from labonn.training.teaching import Teaching

__all__ = [
    "Lesson",
    "LossWeights",
    "Teaching",
    "accuracy_interval",
    "accuracy_percent",
    "distillation_loss",
    "logits_of",
    "loss_weights",
    "score_interval",
    "score_percent",
    "scores_of",
    "train_student",
    "train_teacher",
]
