"""What to show: random images, D-optimal ones, patterns; how well each twin predicts images that it never saw."""

import statistics
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel, Field

from labonn.compensation import fit_twin
from labonn.compensation.choice import choose_images, patterns
from labonn.errors import LabonnError
from labonn.optics import signed_maps
from labonn.protocol import Lab, Result
from labonn.protocol.deployment import in_use

COUNTS = (4, 8, 16, 32)


class Parameters(BaseModel):
    """What can be set."""

    test_images: int = Field(60, description="captured to judge by")
    draws: int = Field(1, description="choices of each kind")
    seed: int = Field(0, ge=0)


def run(lab: Lab, parameters: Parameters) -> Result:
    """Calibrate, capture every choice and the test images, fit, and compare."""
    _, network, _ = in_use(lab)
    train, test = torch.from_numpy(network.data.train.images), network.data.test.first(parameters.test_images)
    calibration = network.calibrate(lab)
    designed = network.student.frontend.kernels().detach()
    real = signed_maps(network.capture(lab, "test", test.images, calibration, keep_frames=False))
    images = torch.from_numpy(test.images)
    spread = float((real - real.mean(dim=0)).square().mean())
    left: dict[str, dict[int, list[float]]] = {}
    for draw in range(parameters.draws):
        seed = parameters.seed + draw
        choices = {
            "random images": train[choose_images(train, max(COUNTS), "random", seed=seed)],
            "D-optimal images": train[choose_images(train, max(COUNTS), "d-optimal", seed=seed)],
            "patterns": patterns(max(COUNTS), (train.shape[2], train.shape[3]), seed=seed),
        }
        for name, shown in choices.items():
            group = f"{name.replace(' ', '-')}-{draw}"
            tiles = network.capture(lab, group, np.asarray(shown.numpy()), calibration, keep_frames=False)
            for count in COUNTS:
                unexplained = _unexplained(shown[:count], tiles[:count], designed, images, real) / spread
                left.setdefault(name, {}).setdefault(count, []).append(100 * unexplained)
    found: dict[str, Any] = {
        name: {count: statistics.mean(values) for count, values in counts.items()} for name, counts in left.items()
    }
    return Result(unexplained_percent=found)


def _unexplained(
    shown: torch.Tensor, tiles: torch.Tensor, designed: torch.Tensor, images: torch.Tensor, real: torch.Tensor
) -> float:
    """Mean square of what a twin does not predict of maps that it never saw; all of it, where there is no twin."""
    try:
        predicted = fit_twin(shown, tiles, designed).maps(images)
    except LabonnError:
        return float((real - real.mean(dim=0)).square().mean())
    return float((real - predicted).square().mean())
