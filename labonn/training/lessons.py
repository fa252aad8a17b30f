"""What a student is told about one batch, and the loss that makes it listen."""

from dataclasses import dataclass
from typing import get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from labonn.design.design import Method, Training
from labonn.errors import ConfigError
from labonn.networks import hidden_and_logits
from labonn.ntk import empirical_ntk, matching_loss
from labonn.ntk.exact import Outputs
from labonn.training.relations import relational_loss

TEMPERATURE = 4.0


@dataclass(frozen=True)
class Lesson:
    """What the teacher says of a batch of n images.

    Attributes
    ----------
    labels
        (n,) int64, what is right; `UNLABELLED` where nobody says.
    logits
        (n, C), the teacher's answers.
    kernel
        (n, n), the teacher's trace NTK; None where no kernel is matched.
    hidden
        (n, F), what the teacher's last layer reads; None where nobody asks for it.
    """

    labels: Tensor
    logits: Tensor | None
    kernel: Tensor | None = None
    hidden: Tensor | None = None

    def take(self, places: slice) -> "Lesson":
        """The lesson of some of the batch's images."""
        return Lesson(
            self.labels[places],
            None if self.logits is None else self.logits[places],
            None if self.kernel is None else self.kernel[places, places],
            None if self.hidden is None else self.hidden[places],
        )


@dataclass(frozen=True)
class LossWeights:
    """Weights of the parts of a loss; a part of weight 0 is not computed."""

    task: float = 1.0
    kd: float = 0.0
    ntkd: float = 0.0
    rkd: float = 0.0
    hint: float = 0.0

    @property
    def teacher(self) -> bool:
        """Whether a teacher is needed."""
        return any((self.kd, self.ntkd, self.rkd, self.hint))

    @property
    def hidden(self) -> bool:
        """Whether the teacher's hidden features are needed."""
        return any((self.rkd, self.hint))


def probabilities(logits: Tensor) -> Tensor:
    """The softmax of logits (n, C), whose kernel depends on the weights of a single layer, too."""
    return logits.softmax(-1)


UNLABELLED = -100  # what torch's cross-entropy passes over


def labelled(labels: Tensor) -> Tensor:
    """Which images (N,) have a label, or in a mask (N, H, W) one of a pixel at least."""
    return (labels.flatten(1) if labels.ndim > 1 else labels[:, None]).ne(UNLABELLED).any(dim=1)


def some_labels(labels: Tensor, count: int, seed: int) -> Tensor:
    """The labels (N, ...) of so many images drawn at random; those of the others are `UNLABELLED`."""
    told = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))[:count].to(labels.device)
    hidden = torch.full_like(labels, UNLABELLED)
    hidden[told] = labels[told]
    return hidden


OUTPUTS = {"logits": None, "softmax": probabilities}


def loss_weights(training: Training, method: str | None = None) -> LossWeights:
    """The weights that a named method means; the design's own method if none is named.

    Raises
    ------
    ConfigError
        If there is no such method.
    """
    chosen = method or training.method
    if chosen not in get_args(Method):
        raise ConfigError(f"there is no training method {chosen!r}: known are {', '.join(get_args(Method))}")
    parts = chosen.split("+")
    return LossWeights(
        task=1.0,
        kd=training.kd_weight if {"kd", "fitnet"} & set(parts) else 0.0,
        ntkd=training.ntkd_weight if "ntkd" in parts else 0.0,
        rkd=training.rkd_weight if "rkd" in parts else 0.0,
        hint=1.0 if "fitnet" in parts else 0.0,
    )


def distillation_loss(
    backend: nn.Module, maps: Tensor, lesson: Lesson, weights: LossWeights, *, outputs: Outputs | None = None
) -> Tensor:
    r"""The loss alpha CE(y, z) + gamma T^2 KL(teacher / T || z / T) + beta (1 - CKA(Theta_student, Theta_teacher)).

    The student's kernel is taken over the backend's parameters, at the maps that it reads. It depends on whatever made
    the maps as well, so in simulation the optics learn from it, too. To these, `relational_loss` of what the last
    layers read is added where it has a weight; hints are `Hints`'s part.

    Parameters
    ----------
    backend
        Reads maps (n, K, H, W), answers logits (n, C).
    maps
        The batch.
    lesson
        What the teacher says of it.
    weights
        alpha, gamma, beta.
    outputs
        A function of the logits to take the student's kernel of; the teacher's is that of the same.

    Returns
    -------
    A scalar.

    Source: Xiang et al., arXiv:2508.08421, eq. for L = alpha L_task + beta L_NTKD; Hinton, Vinyals, Dean,
    arXiv:1503.02531, section 2, for KD.
    """
    hidden = None
    if weights.rkd:
        hidden, logits = hidden_and_logits(backend, maps)
    else:
        logits = backend(maps)
    if bool(labelled(lesson.labels).any()):
        loss = weights.task * functional.cross_entropy(logits, lesson.labels)
    else:
        loss = 0.0 * logits.sum()
    if weights.kd:
        if lesson.logits is None:
            raise ValueError("a distillation loss needs the teacher's answers")
        soft = functional.log_softmax(logits / TEMPERATURE, dim=1)
        teacher = functional.log_softmax(lesson.logits / TEMPERATURE, dim=1)
        divergence = functional.kl_div(soft, teacher, reduction="batchmean", log_target=True)
        loss = loss + weights.kd * TEMPERATURE**2 * divergence
    if weights.ntkd:
        if lesson.kernel is None:
            raise ValueError("an NTKD loss needs the teacher's kernel of the batch")
        kernel = empirical_ntk(backend, maps, outputs=outputs)
        loss = loss + weights.ntkd * matching_loss(kernel, lesson.kernel, kind="cka")
    if hidden is not None:
        if lesson.hidden is None:
            raise ValueError("a relational loss needs what the teacher's last layer reads")
        loss = loss + weights.rkd * relational_loss(hidden, lesson.hidden)
    return loss
