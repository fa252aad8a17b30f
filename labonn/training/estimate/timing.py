"""How long a backend takes on this computer, and how long a training would."""

import time
from collections.abc import Callable
from statistics import median

import torch
from torch import nn
from torch.nn import functional

from labonn.data import Split
from labonn.design import Design
from labonn.networks import Student, make_backend
from labonn.training.fitting import Fitting, seeded
from labonn.training.student import student_steps

MEASURED_S = 0.2
LEAST, MOST = 3, 200  # calls


def backend_ms(design: Design) -> float:
    """Median time of the backend's answer for one image, in ms, on this computer's CPU with torch's threads."""
    with seeded(0), torch.no_grad():
        backend = make_backend(design.backend, (design.optic.maps, *design.image_shape), design.classes).eval()
        maps = torch.rand(1, design.optic.maps, *design.image_shape)
        return 1e3 * _median_s(lambda: backend(maps))


def training_s(design: Design, train: Split) -> float:
    """Seconds of the processor that the student's training takes here without a teacher, from a few of its steps."""
    with seeded(0):
        batch = train.first(design.training.batch)
        images, labels = torch.from_numpy(batch.images), torch.from_numpy(batch.labels)
        student: nn.Module = Student(design, (images.shape[1], images.shape[2], images.shape[3]), design.classes)
        learnt = [one for one in student.parameters() if one.requires_grad]
        fitting = Fitting([(1e-6, learnt)], steps=10 * MOST)
        step_s = _median_s(
            lambda: fitting.step(lambda: functional.cross_entropy(student(images), labels)), time.process_time
        )
    return step_s * student_steps(design, len(train))


def _median_s(call: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> float:
    call()
    taken: list[float] = []
    while len(taken) < LEAST or (sum(taken) < MEASURED_S and len(taken) < MOST):
        began_s = clock()
        call()
        taken.append(clock() - began_s)
    return median(taken)
