"""Light, and a frame now and then, until somebody ends it: a protocol of a laboratory's own."""

import time

from pydantic import BaseModel

from labonn.capture import light
from labonn.protocol import Lab, Result

EVERY_S = 0.1


class Parameters(BaseModel):
    """Nothing can be set."""


def run(lab: Lab, parameters: Parameters) -> Result:
    """Take frames of a bench that is lit."""
    with light(lab.bench), lab.step("lingering") as step:
        while True:
            lab.bench.camera.snap()
            step.advance()
            time.sleep(EVERY_S)
