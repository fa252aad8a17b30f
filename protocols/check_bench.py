"""Open every instrument of a bench, measure what can be measured without a network, say what is wrong."""

from pydantic import BaseModel, Field

from labonn.protocol import Lab, Result
from labonn.protocol.checking import (
    begin,
    check_calibrations,
    check_darkness,
    check_display,
    check_frame_rate,
    check_identities,
    check_light,
    check_temperature,
    conclude,
)


class Parameters(BaseModel):
    """What can be set."""

    delays: int = Field(48, ge=8, le=200, description="at how many moments to look at the display while it settles")
    frames: int = Field(20, ge=3, description="frames to take for the frame rate")
    meter_share: float = Field(1.0, gt=0, le=1, description="how much of the light reaches the power meter")
    readout_ms: float | None = Field(None, gt=0, description="the camera's readout time, from its data sheet")
    accept_drift: bool = Field(False, description="take what drifted for good from now on")


def run(lab: Lab, parameters: Parameters) -> Result:
    """Identify, dark, light, display, frame rate; each is tried whatever became of those before it."""
    with lab.step("opening every instrument"):
        bench = lab.bench
    instruments, checks = check_identities(lab), begin(lab)

    check_temperature(lab, checks)
    dark_level = check_darkness(lab, checks)
    exposure_ms = check_light(lab, checks, dark_level, parameters.meter_share)
    settling = check_display(lab, checks, exposure_ms, parameters.delays)
    check_frame_rate(lab, checks, exposure_ms, parameters.frames, parameters.readout_ms)
    calibrations = check_calibrations(lab, settling)

    bench.make_dark()
    return conclude(lab, instruments, checks, calibrations, accept_drift=parameters.accept_drift)
