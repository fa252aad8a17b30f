"""Capture numbered images until something ends it, and say how many frames are acknowledged: what the kills kill."""

from pathlib import Path

import numpy as np
from pydantic import BaseModel, Field

from labonn.capture import Calibration, Registration, capture
from labonn.protocol import Lab, Result
from tests.bench.counter import counter_images

IMAGES = 500


class Parameters(BaseModel):
    """What can be set."""

    calibration: str = Field(description="file of a calibration of this bench, under a flat phase")


def run(lab: Lab, parameters: Parameters) -> Result:
    """Capture the numbers from 0 on, all frames kept."""
    registration = Registration(Calibration.load(Path(parameters.calibration)))
    lab.bench.slm.show(np.zeros(lab.bench.slm.shape, np.float32))
    with lab.step("capturing", total=IMAGES) as step:
        for shot in capture(lab.bench, counter_images(range(IMAGES)), registration, keep_frames=True):
            print("acknowledged", lab.record("numbers", frame=shot.frame, image=shot.index), flush=True)
            step.advance()
    return Result()
