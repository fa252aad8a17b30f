"""What a student is told about one batch, and the loss that makes it listen."""

from dataclasses import dataclass, replace
from functools import cache
from math import prod
from typing import get_args

from torch import Tensor, nn
from torch.nn import functional

from labonn.design.design import Method, Training
from labonn.errors import ConfigError
from labonn.networks import hidden_and_logits
from labonn.ntk import Readouts, empirical_ntk, matching_loss
from labonn.ntk.exact import Outputs
from labonn.training.augmenting import View
from labonn.training.labels import UNLABELLED, labelled
from labonn.training.overlap import overlap_loss
from labonn.training.relations import relational_loss

TEMPERATURE = 4.0
READOUTS = 2  # combinations of an image's logits where each pixel has some, if nothing else is asked for


@dataclass(frozen=True)
class Lesson:
    """What the teacher says of a batch of n images.

    Attributes
    ----------
    labels
        (n,) int64, what is right, or of each pixel (n, H, W); `UNLABELLED` where nobody says.
    logits
        (n, C), the teacher's answers, or (n, C, H, W).
    kernel
        (n, n), the teacher's trace NTK; None where no kernel is matched.
    hidden
        (n, F), what the teacher's last layer reads, or (n, F, H, W); None where nobody asks for it.
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

    def seen(self, view: View) -> "Lesson":
        """The lesson of a view of the images, if it was of these as they are: what is said of pixels moves along."""

        def moved(said: Tensor | None) -> Tensor | None:
            return view.of(said) if said is not None and said.ndim == 4 else said

        return replace(self.labelled_as(view), logits=moved(self.logits), hidden=moved(self.hidden))

    def labelled_as(self, view: View) -> "Lesson":
        """The lesson of a view of the images, if all but its labels is of the view already."""
        if self.labels.ndim == 1:
            return self
        return replace(self, labels=view.of(self.labels[:, None], outside=UNLABELLED)[:, 0])


@dataclass(frozen=True)
class LossWeights:
    """Weights of the parts of a loss; a part of weight 0 is not computed."""

    task: float = 1.0
    kd: float = 0.0
    ntkd: float = 0.0
    rkd: float = 0.0
    hint: float = 0.0
    overlap: float = 0.0  # of the task, where each pixel has a class

    @property
    def teacher(self) -> bool:
        """Whether a teacher is needed."""
        return any((self.kd, self.ntkd, self.rkd, self.hint))

    @property
    def hidden(self) -> bool:
        """Whether the teacher's hidden features are needed."""
        return any((self.rkd, self.hint))

    def at(self, step: int, kernel_every: int) -> "LossWeights":
        """Those of one step, where kernels are matched in every so many steps, and weigh as much more then."""
        return replace(self, ntkd=0.0 if step % kernel_every else kernel_every * self.ntkd)


def probabilities(logits: Tensor) -> Tensor:
    """The softmax of logits (n, C, ...), whose kernel depends on the weights of a single layer, too."""
    return logits.softmax(1)


OUTPUTS: dict[str, Outputs | None] = {"logits": None, "softmax": probabilities}


def kernel_outputs(training: Training, logits: tuple[int, ...]) -> Outputs | None:
    """A function of the logits whose kernel is matched; None for the logits themselves.

    Parameters
    ----------
    training
        Its `kernel_of` and `kernel_readouts`.
    logits
        Shape of those of an image: (C,), or (C, H, W) where each pixel has some, whose kernel would take as many
        gradients as there are of them. The random combinations that stand for them are always the same, for teacher and
        student.
    """
    count = training.kernel_readouts or (READOUTS if len(logits) > 1 else None)
    return _outputs(training.kernel_of, None if count is None else (prod(logits), count))


@cache
def _outputs(kernel_of: str, combined: tuple[int, int] | None) -> Outputs | None:
    outputs = OUTPUTS[kernel_of]
    return outputs if combined is None else Readouts(*combined, of=outputs)


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
        overlap=training.overlap_weight,
    )


def distillation_loss(
    backend: nn.Module, maps: Tensor, lesson: Lesson, weights: LossWeights, *, outputs: Outputs | None = None
) -> Tensor:
    r"""The loss alpha CE(y, z) + gamma T^2 KL(teacher / T || z / T) + beta (1 - CKA(Theta_student, Theta_teacher)).

    The student's kernel is taken over the backend's parameters, at the maps that it reads. It depends on whatever made
    the maps as well, so in simulation the optics learn from it, too. To these, `relational_loss` of what the last
    layers read is added where it has a weight, and `overlap_loss` of masks; hints are `Hints`'s part. Where each pixel
    has logits, CE and KL are means over pixels.

    Parameters
    ----------
    backend
        Reads maps (n, K, H, W), answers logits (n, C), or (n, C, H, W).
    maps
        The batch.
    lesson
        What the teacher says of it.
    weights
        alpha, gamma, beta, and the others'.
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
        if weights.overlap:
            loss = loss + weights.overlap * overlap_loss(logits, lesson.labels)
    else:
        loss = 0.0 * logits.sum()
    if weights.kd:
        if lesson.logits is None:
            raise ValueError("a distillation loss needs the teacher's answers")
        soft = functional.log_softmax(logits / TEMPERATURE, dim=1)
        teacher = functional.log_softmax(lesson.logits / TEMPERATURE, dim=1)
        divergence = functional.kl_div(soft, teacher, reduction="sum", log_target=True) / soft[:, 0].numel()
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
