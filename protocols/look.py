"""Look through the camera until somebody ends it: the page's live picture. Records no frames, changes nothing."""

import numpy as np
from pydantic import BaseModel, Field

from labonn.capture import light
from labonn.protocol import Lab, Result


class Parameters(BaseModel):
    """What can be set."""

    exposure_ms: float | None = Field(None, gt=0, description="exposure; the bench file's where empty")
    brightness: float = Field(1.0, ge=0, le=1, description="what the display shows: 0 is black, 1 is white")
    frames: int = Field(3_000, ge=1, le=100_000, description="frames to take, if nobody ends it before")


def run(lab: Lab, parameters: Parameters) -> Result:
    """Show one brightness and take frames; whoever watches sees them."""
    bench = lab.bench
    if parameters.exposure_ms is not None:
        bench.camera.exposure_ms = parameters.exposure_ms
    brightest = 0
    with light(bench), lab.step("looking", total=parameters.frames) as step:
        bench.display.show(np.full(bench.display.shape, parameters.brightness, np.float32))
        for _ in range(parameters.frames):
            brightest = int(bench.camera.snap().max())
            step.advance()
    return Result(exposure_ms=bench.camera.exposure_ms, brightest_counts=brightest)
