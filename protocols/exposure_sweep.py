"""Expose the same images shorter and longer, and see how much light the network needs. Changes nothing."""

from typing import Any

from pydantic import BaseModel, Field, PositiveFloat

from labonn.errors import InstrumentError
from labonn.protocol import Lab, Result
from labonn.protocol.deployment import in_use, pick
from labonn.protocol.validating import answer
from labonn.report import figures
from labonn.training import score_interval


class Parameters(BaseModel):
    """What can be set."""

    shares: list[PositiveFloat] = Field(
        [0.03, 0.06, 0.12, 0.25, 0.5, 1.0, 1.3],
        min_length=2,
        max_length=50,
        description="exposures, as shares of the calibrated one",
    )
    images: int = Field(300, ge=30, description="labelled images to show at each exposure")
    seed: int = Field(0, ge=0, description="of the choice of images")


def run(lab: Lab, parameters: Parameters) -> Result:
    """Calibrate once, show the same images at every exposure, compare."""
    _, network, backend = in_use(lab)
    calibration = network.calibrate(lab)
    unseen = network.data.validation.take(pick(network.data.validation, parameters.images, parameters.seed))

    measure = network.design.measure
    percent = f"{measure}, %"
    rows: list[dict[str, Any]] = []
    for share in sorted(parameters.shares):
        exposed = calibration.at_exposure(share * calibration.exposure_ms)
        row: dict[str, Any] = {"exposure, ms": round(exposed.exposure_ms, 4)}
        rows.append(row)
        try:
            tiles = network.capture(lab, f"share-{share:g}", unseen.images, exposed, keep_frames=False)
        except InstrumentError as error:
            lab.checkpoint()  # an interlock that tripped ends the run here
            row["remark"] = str(error)
            continue
        answers = answer({"in use": backend}, network.maps_of(tiles), unseen.labels)["in use"]
        low, high = score_interval(answers.score)
        row |= {percent: answers.percent, "at least": low, "at most": high, "remark": ""}

    good = [row for row in rows if percent in row]
    lab.table("Exposures", rows)
    lab.figure(
        measure,
        figures.accuracy_over(
            [row["exposure, ms"] for row in good],
            [row[percent] for row in good],
            [(row["at least"], row["at most"]) for row in good],
            name="exposure (ms)",
            used=calibration.exposure_ms,
        ),
        f"On {len(unseen)} images, with 95 % intervals. Dotted: the calibrated exposure.",
    )
    return Result(
        calibrated_exposure_ms=calibration.exposure_ms,
        images=len(unseen),
        **{measure: {f"{row['exposure, ms']:g} ms": row[percent] for row in good}},
        refused=[row["exposure, ms"] for row in rows if row not in good],
    )
