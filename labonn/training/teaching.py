"""What the teacher knows of a whole set of images, computed once and looked up batch by batch."""

from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from labonn.networks import hidden_and_logits
from labonn.ntk import TeacherKernel, empirical_ntk, teacher_kernel
from labonn.ntk.exact import Outputs
from labonn.training.accuracy import default_chunk
from labonn.training.fitting import shuffled_batches
from labonn.training.kept_logits import kept_logits
from labonn.training.labels import labelled
from labonn.training.lessons import Lesson, LossWeights

WHOLE_KERNEL_IMAGES = 3000  # a kernel of all pairs takes 36 MB; beyond, kernels of fixed batches
CUT_SEED = 0
LARGEST_HIDDEN_BYTES = 1_000_000_000  # of more, a batch's are computed when they are needed


class Teaching:
    """The teacher's answers and its NTK on one set of images.

    A small set has its whole kernel, and its batches are drawn anew each epoch. A large one is cut once into fixed
    batches, because a kernel of all pairs would not fit into memory; then only the order of the batches changes. Of
    images that are changed in each epoch nothing can be kept: the teacher is asked about each batch as the student
    sees it. Without a teacher nobody says anything of images without labels, and batches are of the others alone.

    Parameters
    ----------
    teacher
        In evaluation mode; it is not changed. None where only the labels count.
    images
        (N, C, H, W) float32.
    labels
        (N,) int64, or (N, H, W).
    batch
        Images in a batch.
    cache
        The folder where the answers and the kernel are kept, and found the next time.
    say
        Told, in words, how much of the kernel is there while it is computed.
    outputs
        A function of the teacher's logits to take the kernel of.
    live
        Whether the images are changed in each epoch.
    """

    def __init__(
        self,
        teacher: nn.Module | None,
        images: Tensor,
        labels: Tensor,
        *,
        batch: int,
        cache: Path | None,
        say: Callable[[str], None] = lambda text: None,
        outputs: Outputs | None = None,
        live: bool = False,
    ) -> None:
        self._teacher = teacher
        self._images = images
        self._labels = labels
        self.batch = min(batch, len(images))
        """Images in a batch."""
        self._cache = cache
        self._say = say
        self.outputs = outputs
        """A function of the logits to take kernels of; None for the logits themselves."""
        self._live = live
        self._logits = None if teacher is None or live else kept_logits(teacher, images, cache)
        self._hidden: Tensor | None = None
        self._fixed = self._cut() if len(images) > WHOLE_KERNEL_IMAGES and not live else None
        self._kernel: TeacherKernel | None = None

    @property
    def of_pixels(self) -> bool:
        """Whether each pixel has a label, or each image."""
        return self._labels.ndim > 1

    def of(self, indices: Tensor) -> "Teaching":
        """The same teacher on some of the images, numbered anew."""
        images, labels = self._images[indices], self._labels[indices]
        return Teaching(self._teacher, images, labels, batch=self.batch, cache=None, outputs=self.outputs)

    def batches(self, steps: int) -> Iterator[Tensor]:
        """Indices (batch,) of as many batches as there are steps, in an order drawn from torch's generator."""
        told = labelled(self._labels).nonzero().flatten().cpu()
        if self._teacher is None and len(told) < len(self._images):
            for chosen in shuffled_batches(len(told), self.batch, steps):
                yield told[chosen]
            return
        if self._fixed is None:
            yield from shuffled_batches(len(self._images), self.batch, steps)
            return
        for chosen in shuffled_batches(len(self._fixed), 1, steps):
            yield self._fixed[int(chosen)]

    def lesson(self, indices: Tensor, weights: LossWeights) -> Lesson:
        """What the teacher says of one batch that ``batches`` gave; the kernel only where the weights need it."""
        kernel = self.kernel().of(indices).to(self._labels.device) if weights.ntkd else None
        logits = None if self._logits is None else self._logits[indices]
        return Lesson(self._labels[indices], logits, kernel, self.hidden(indices) if weights.hidden else None)

    def lesson_of(self, views: Tensor, indices: Tensor, weights: LossWeights) -> Lesson:
        """What the teacher says of changed views (n, C, H, W) of a batch's images."""
        if self._teacher is None or not weights.teacher:
            return Lesson(self._labels[indices], None)
        with torch.no_grad():
            hidden, logits = hidden_and_logits(self._teacher, views)
            kernel = empirical_ntk(self._teacher, views, outputs=self.outputs) if weights.ntkd else None
        return Lesson(self._labels[indices], logits, kernel, hidden)

    @torch.no_grad()
    def hidden(self, indices: Tensor) -> Tensor:
        """What the teacher's last layer reads of some images, (n, F, ...); that of all is kept if it is not much."""
        if self._hidden is None:
            own: Tensor = hidden_and_logits(self._knowing(), self._images[indices])[0]
            if own[0].nbytes * len(self._images) > LARGEST_HIDDEN_BYTES:
                return own
            chunks = torch.split(self._images, default_chunk(self._images))
            self._hidden = torch.cat([hidden_and_logits(self._knowing(), chunk)[0] for chunk in chunks])
        return self._hidden[indices]

    def kernel(self) -> TeacherKernel:
        """The teacher's kernel, computed when it is first asked for."""
        if self._kernel is None:
            self._kernel = teacher_kernel(
                self._knowing(),
                self._images,
                batches=self._fixed,
                directory=self._cache,
                outputs=self.outputs,
                on_block=lambda done, whole: self._say(f"the teacher's kernel: {done / whole:.0%}"),
            )
        return self._kernel

    def _knowing(self) -> nn.Module:
        if self._teacher is None:
            raise ValueError("there is no teacher whose knowledge could be asked for")
        return self._teacher

    def _cut(self) -> tuple[Tensor, ...]:
        order = torch.randperm(len(self._images), generator=torch.Generator().manual_seed(CUT_SEED))
        whole = len(order) // self.batch * self.batch
        return torch.split(order[:whole], self.batch)
