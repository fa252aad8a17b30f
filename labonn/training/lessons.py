"""What a student is told about one batch, and the loss that makes it listen."""

from dataclasses import dataclass
from typing import get_args

from torch import Tensor, nn
from torch.nn import functional

from labonn.design.design import Method, Training
from labonn.errors import ConfigError
from labonn.ntk import empirical_ntk, matching_loss

TEMPERATURE = 4.0


@dataclass(frozen=True)
class Lesson:
    """What the teacher says of a batch of n images.

    Attributes
    ----------
    labels
        (n,) int64, what is right.
    logits
        (n, C), the teacher's answers.
    kernel
        (n, n), the teacher's trace NTK; None where no kernel is matched.
    """

    labels: Tensor
    logits: Tensor
    kernel: Tensor | None


@dataclass(frozen=True)
class LossWeights:
    """Weights of the three parts of a loss; a part of weight 0 is not computed."""

    task: float = 1.0
    kd: float = 0.0
    ntkd: float = 0.0


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
        kd=training.kd_weight if "kd" in parts else 0.0,
        ntkd=training.ntkd_weight if "ntkd" in parts else 0.0,
    )


def distillation_loss(backend: nn.Module, maps: Tensor, lesson: Lesson, weights: LossWeights) -> Tensor:
    r"""The loss alpha CE(y, z) + gamma T^2 KL(teacher / T || z / T) + beta (1 - CKA(Theta_student, Theta_teacher)).

    The student's kernel is taken over the backend's parameters, at the maps that it reads. It depends on whatever made
    the maps as well, so in simulation the optics learn from it, too.

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

    Returns
    -------
    A scalar.

    Source: Xiang et al., arXiv:2508.08421, eq. for L = alpha L_task + beta L_NTKD; Hinton, Vinyals, Dean,
    arXiv:1503.02531, section 2, for KD.
    """
    logits = backend(maps)
    loss = weights.task * functional.cross_entropy(logits, lesson.labels)
    if weights.kd:
        soft = functional.log_softmax(logits / TEMPERATURE, dim=1)
        teacher = functional.log_softmax(lesson.logits / TEMPERATURE, dim=1)
        divergence = functional.kl_div(soft, teacher, reduction="batchmean", log_target=True)
        loss = loss + weights.kd * TEMPERATURE**2 * divergence
    if weights.ntkd:
        if lesson.kernel is None:
            raise ValueError("an NTKD loss needs the teacher's kernel of the batch")
        loss = loss + weights.ntkd * matching_loss(empirical_ntk(backend, maps), lesson.kernel, kind="cka")
    return loss
