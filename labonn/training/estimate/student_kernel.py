"""The tangent kernel of a design's real, finite student at one of its beginnings."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from labonn.design import Design
from labonn.networks import Student
from labonn.ntk import blockwise_ntk
from labonn.optics import signed_maps
from labonn.training.estimate.contrast import give_contrast
from labonn.training.fitting import seeded


class Seen(nn.Module):
    """A student that is shown its sensor's noise with the images: (N, C + M, H, W) -> logits.

    Its parameters are the signed kernels' taps and the backend's. That the halves of a kernel are two non-negative
    arrays scales the taps' part of the tangent kernel and is not modelled.
    """

    def __init__(self, student: Student) -> None:
        super().__init__()
        optics = student.frontend
        self._colours, self._padding = optics.colours, optics.taps // 2
        taps = signed_maps(optics.kernels().detach()[None])[0]  # a map's kernel, as a map is of its tiles
        self._groups = 1
        if optics.colours == 1:
            taps = taps[:, None]
        elif not optics.summed:
            taps, self._groups = taps.transpose(0, 1).flatten(0, 1)[:, None], optics.colours
        self.taps = nn.Parameter(taps.contiguous())
        self.backend = student.backend
        self.learns = next(optics.parameters()).requires_grad

    def forward(self, seen: Tensor) -> Tensor:
        """Logits (N, classes) of images and, behind them, what the sensor adds to their maps."""
        images, noise = seen[:, : self._colours], seen[:, self._colours :]
        maps = functional.conv2d(images, self.taps, padding=self._padding, groups=self._groups)
        logits: Tensor = self.backend(maps + noise)
        return logits


def student_kernel(design: Design, images: Tensor, *, seed: int) -> Tensor:
    """Theta(x, x') of a student on noisy captures of images (n, C, H, W): (n, n).

    Its backend is drawn as training draws it, its kernels as `give_contrast` does. With respect to the kernels' taps,
    where these are trained, and to the backend; float64.
    """
    with seeded(seed), torch.no_grad():
        shape = (images.shape[1], images.shape[2], images.shape[3])
        student = Student(design, shape, design.classes)
        give_contrast(student.frontend)
        parts = torch.split(images, 250)
        noise = torch.cat([student.frontend.train()(part) - student.frontend.eval()(part) for part in parts])
        seen = Seen(student.eval())
    learnt = None if seen.learns else seen.backend
    return blockwise_ntk(seen, torch.cat([images, noise], dim=1), parameters=learnt, dtype=torch.float64)
