"""Capture numbered images, continuing a lost capture, and say how many are acknowledged: what the kills kill."""

from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, Field

from labonn.capture import Calibration
from labonn.protocol import Lab, Result
from labonn.protocol.capturing import capture_group, optics_hash
from tests.bench.counter import counter_images

GROUP = "numbers"


class Parameters(BaseModel):
    """What can be set."""

    calibration: str = Field(description="file of a calibration of this bench, under a flat phase")
    images: int = Field(200, ge=1, description="how many numbers to capture, from 0 on")


def run(lab: Lab, parameters: Parameters) -> Result:
    """Capture the numbers, all frames kept."""
    flat = np.zeros(lab.bench.slm.shape, np.float32)
    optics = optics_hash(flat)
    _say_what_is_acknowledged(lab)
    calibration = lab.continuation.calibration(lab, optics, flat)
    if calibration is None:
        calibration = Calibration.load(Path(parameters.calibration))
        lab.bench.slm.show(flat)
    tiles = capture_group(lab, GROUP, counter_images(range(parameters.images)), calibration, optics)
    return Result(images=len(tiles))


def _say_what_is_acknowledged(lab: Lab) -> None:
    record = lab.record

    def saying(group: str, *arguments: Any, **arrays: Any) -> int:
        acknowledged = record(group, *arguments, **arrays)
        print(f"acknowledged {acknowledged if group == GROUP else 0}", flush=True)
        return acknowledged

    lab.record = saying  # type: ignore[method-assign]
    print("begins", flush=True)
