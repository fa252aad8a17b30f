"""Is the light steady? Shows one brightness, takes frames, and says how much their mean varies.

This is the protocol to copy: `labonn run my_protocol.py BENCH` runs your copy. docs/writing-a-protocol.md explains it.
The first line above is what `labonn run my_protocol.py BENCH --dry-run` shows.
"""

import numpy as np
from matplotlib.figure import Figure
from pydantic import BaseModel, Field

from labonn.capture import light
from labonn.protocol import Lab, Result


class Parameters(BaseModel):
    """What can be set: each line is a key for --set, with its default, its limits and its help."""

    frames: int = Field(30, ge=2, le=10_000, description="frames to take")
    brightness: float = Field(1.0, ge=0, le=1, description="what the display shows: 0 is black, 1 is white")


def run(lab: Lab, parameters: Parameters) -> Result:
    """Do it. Whatever ends this, the bench is left dark and the run is recorded."""
    bench = lab.bench  # opened here, and locked for everybody else until the run ends
    means = []

    # `light` opens the shutter, and closes it however the lines below it end.
    with light(bench), lab.step("taking frames", total=parameters.frames) as step:
        bench.display.show(np.full(bench.display.shape, parameters.brightness, np.float32))
        for number in range(parameters.frames):
            frame = bench.camera.snap()
            lab.record("frames", frame=frame, number=number)  # on disk while the run goes on
            means.append(float(frame.mean()))
            step.advance()  # shows progress; a pause or an abort takes effect here

    # A figure and a note for the report.
    figure = Figure(figsize=(7, 3), layout="constrained")
    axes = figure.subplots()
    axes.plot(means, "o-")
    axes.set_xlabel("frame")
    axes.set_ylabel("mean (counts)")
    lab.figure("brightness", figure, "Mean of each frame.")
    lab.note("exposure_ms", bench.camera.exposure_ms)

    # What was found: it is printed at the end, and kept in the run's record.
    return Result(mean_counts=float(np.mean(means)), spread_percent=100 * float(np.std(means) / np.mean(means)))
