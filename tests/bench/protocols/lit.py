"""Light, and frames for as long as nothing ends it: what the tests end in every way."""

import time
from pathlib import Path

import numpy as np
from pydantic import BaseModel, Field

from labonn.capture.light import light
from labonn.protocol import Lab, Result


class Parameters(BaseModel):
    """What can be set."""

    seconds: float = Field(120, description="how long at most, of this computer's time")
    keep_frames: bool = Field(False, description="record the raw frames, too")
    fail_when: str = Field("", description="raise as soon as this file exists, and write the moment into it")


def run(lab: Lab, parameters: Parameters) -> Result:
    """Show bright and dark in turn, and record what the camera sees of it."""
    bench, frames = lab.bench, 0
    told = Path(parameters.fail_when) if parameters.fail_when else None
    end_s = time.monotonic() + parameters.seconds
    bench.camera.exposure_ms = 5.0
    with light(bench), lab.step("lit") as step:
        while time.monotonic() < end_s:
            if told is not None and told.exists():
                told.write_text(repr(time.time()), encoding="utf-8")
                raise ZeroDivisionError("as it was told")
            bench.display.show(np.full(bench.display.shape, frames % 2, np.float32))
            frame = bench.camera.snap()
            kept = {"frame": frame} if parameters.keep_frames else {}
            lab.record("seen", mean=np.float32(frame.mean()), number=frames, **kept)
            frames += 1
            step.advance()
    return Result(frames=frames)
