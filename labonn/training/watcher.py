"""Looking at a student after each epoch of its training."""

import time
from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor, nn

from labonn.data import DataSet
from labonn.networks import Student
from labonn.ntk import FlatKernel, centred_alignment, empirical_ntk
from labonn.ntk.exact import Outputs
from labonn.training.accuracy import score_percent

ALIGNED_IMAGES = 64  # validation images on which kernels are compared
ALIGNED_OF_PIXELS = 16  # where each pixel has logits


class Watcher:
    """Says after each epoch how a student does; draws nothing at random, so that nobody trains otherwise for it.

    Parameters
    ----------
    data
        Its validation images are looked at.
    teacher
        With whose kernel the student's is aligned; nothing is said of it without one.
    device
        Where the networks are.
    epoch_steps, batch
        Steps in an epoch, images in a step.
    chunk
        Images that a student is asked about at once.
    outputs
        A function of the logits to take the kernels of.
    tell
        Is told the number of the epoch, from 1 on, and the figures.
    """

    def __init__(
        self,
        data: DataSet,
        teacher: nn.Module | None,
        device: torch.device,
        *,
        epoch_steps: int,
        batch: int,
        chunk: int,
        outputs: Outputs | None,
        tell: Callable[[int, Mapping[str, float]], None],
    ) -> None:
        self._images, self._labels = torch.from_numpy(data.validation.images).to(device), data.validation.labels
        self._epoch_steps, self._batch = epoch_steps, min(batch, len(data.train))
        self._outputs, self._tell, self._chunk = outputs, tell, chunk
        self._student: Student | None = None
        self._since_s = time.perf_counter()
        self._kernel: Tensor | None = None
        self._aligned = self._images[: ALIGNED_IMAGES if self._labels.ndim == 1 else ALIGNED_OF_PIXELS]
        if teacher is not None:
            with torch.no_grad():
                self._kernel = empirical_ntk(teacher, self._aligned, method="exact", outputs=outputs)

    def meet(self, student: Student) -> None:
        """Take the student that will be looked at; its training begins now."""
        self._student, self._since_s = student, time.perf_counter()

    def look(self, losses: list[float]) -> dict[str, float]:
        """Say how the student does: its mean loss in the epoch, images a second, validation in per cent, alignment."""
        if self._student is None:
            raise ValueError("nobody was met who could be looked at")
        seconds = time.perf_counter() - self._since_s
        figures = {
            "loss": float(np.mean(losses[-self._epoch_steps :])),
            "images_per_s": self._epoch_steps * self._batch / seconds,
            "validation": score_percent(self._student, self._images, self._labels, chunk=self._chunk),
        }
        if self._kernel is not None:
            figures["alignment"] = self._alignment(self._student, self._kernel)
        self._tell(len(losses) // self._epoch_steps, figures)
        self._since_s = time.perf_counter()
        return figures

    @torch.no_grad()
    def _alignment(self, student: Student, teacher: Tensor) -> float:
        student.eval()
        try:
            maps = student.frontend(self._aligned)
            kernel = empirical_ntk(student.backend, maps, method="exact", outputs=self._outputs)
        finally:
            student.train()
        try:
            return float(centred_alignment(kernel, teacher))
        except FlatKernel:  # of a student that has died for now: the training says so, or wakes it
            return 0.0
