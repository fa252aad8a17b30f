"""Measure everything about the bench that a calibration can know, each in the one right order, and keep it."""

from typing import Any

from pydantic import BaseModel, Field, PositiveInt

from labonn.capture.characterisation import KINDS, why_not_on
from labonn.protocol import Lab, Result
from labonn.protocol.characterising import calibrator_of, draw, history, summary
from labonn.protocol.choices import Calibrations, DesignName, calibrations


class Parameters(BaseModel):
    """What can be set."""

    only: Calibrations = Field("all", description=f"which to make, separated by commas: {', '.join(KINDS)}; or all")
    design: DesignName = Field(
        "digits-mono", description="design whose tiles are looked at, where no network is in use"
    )
    image_taps: PositiveInt = Field(28, description="side of an image, in taps, where no network is in use yet")


def run(lab: Lab, parameters: Parameters) -> Result:
    """Make what was asked for, each with those before it as they were kept; stop at the first that fails."""
    rows: list[dict[str, Any]] = []
    calibrator = calibrator_of(lab, parameters.design, parameters.image_taps)
    for name in calibrations(parameters.only):
        if why_not := why_not_on(name, lab.bench):
            rows.append({"calibration": name, "is": f"not on this bench: {why_not}"})
            continue
        if name == "maps" and calibrator.pattern is None and parameters.only.strip() == "all":
            rows.append({"calibration": name, "is": "no network is in use on this bench yet"})
            continue
        with lab.step(KINDS[name].title) as step:
            measured = calibrator.make(name, step.say)
        draw(lab, name, measured, calibrator)
        rows.append(summary(name, measured))
        lab.table("Calibrations", rows)
    lab.table("History", history(lab))
    return Result(made=[row["calibration"] for row in rows])
