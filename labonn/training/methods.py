"""How a teacher's knowledge reaches a student: one small interface, one method each."""

from torch import Tensor, nn
from torch.nn import functional

from labonn.design.design import Training
from labonn.networks import hidden_and_logits
from labonn.ntk import require_trainable_kernel
from labonn.training.lessons import Lesson, LossWeights, distillation_loss, kernel_outputs


class Distillation(nn.Module):
    """Task, Hinton's distillation, kernels and relations, weighted: ``none``, ``kd``, ``rkd``, ``ntkd``, ``ntkd+kd``.

    Parameters
    ----------
    weights
        Of the parts of the loss.
    training
        Of which outputs a kernel is taken, and in which steps.
    logits
        Shape of an image's: (C,), or (C, H, W) where each pixel has some; needed where a kernel is matched.

    Source: `distillation_loss` and `relational_loss` name theirs.
    """

    def __init__(self, weights: LossWeights, training: Training, logits: tuple[int, ...] = ()) -> None:
        super().__init__()
        self.weights = weights
        self.kernel_every = training.kernel_every
        self.outputs = kernel_outputs(training, logits)

    def check(self, backend: nn.Module, maps: Tensor) -> None:
        """Refuse to train on a kernel that training cannot change.

        Raises
        ------
        TrainingError
            If it cannot.
        """
        if self.weights.ntkd:
            require_trainable_kernel(backend, maps, outputs=self.outputs)

    def weights_at(self, step: int) -> LossWeights:
        """Of the parts of the loss in one step, counted from 0."""
        return self.weights.at(step, self.kernel_every)

    def loss(self, backend: nn.Module, maps: Tensor, lesson: Lesson, weights: LossWeights, progress: float) -> Tensor:
        """The loss of a batch.

        Parameters
        ----------
        backend
            Reads maps (n, K, H, W), answers logits (n, C), or of each pixel.
        maps
            The batch.
        lesson
            What the teacher says of it, as far as the weights need it.
        weights
            Of this step.
        progress
            Part of the training that is over, in [0, 1).
        """
        return distillation_loss(backend, maps, lesson, weights, outputs=self.outputs)


class Hints(Distillation):
    r"""Hints first, answers then: ``fitnet``.

    For the first steps the loss is 1/2 |r(h_student) - h_teacher|^2, the mean over images, or over pixels, with h what
    the last layers read and r a linear regressor that is trained with them; the last layer rests. After that it is the
    task and Hinton's distillation, on the whole network.

    Parameters
    ----------
    weights, training
        As for the others; the design says for which part of the steps the hints last.
    student_features, teacher_features
        Lengths of h, of an image or of a pixel.

    Source: Romero et al., "FitNets: hints for thin deep nets", ICLR 2015, eqs. 3 and 4, algorithm 1; the hinted and
    the guided layer are the last hidden ones, and both stages share one cycle of the learning rate.
    """

    def __init__(self, weights: LossWeights, training: Training, student_features: int, teacher_features: int) -> None:
        super().__init__(weights, training)
        self.share = training.hint_share
        self.regressor = nn.Linear(student_features, teacher_features)

    def loss(self, backend: nn.Module, maps: Tensor, lesson: Lesson, weights: LossWeights, progress: float) -> Tensor:
        """The loss of a batch; see the class."""
        if progress >= self.share:
            return super().loss(backend, maps, lesson, weights, progress)
        if lesson.hidden is None:
            raise ValueError("a hint needs what the teacher's last layer reads")
        hidden, _ = hidden_and_logits(backend, maps)
        guessed = self.regressor(hidden.movedim(1, -1))
        distance = functional.mse_loss(guessed, lesson.hidden.movedim(1, -1), reduction="sum")
        return distance * (weights.hint / (2 * hidden[:, 0].numel()))
