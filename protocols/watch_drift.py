"""Show a few reference images, and say without labels how much accuracy the bench has lost since its release."""

from dataclasses import asdict

from pydantic import BaseModel, Field, NonNegativeFloat

from labonn.compensation import control_limit
from labonn.protocol import Lab, Result
from labonn.protocol.deployment import in_use
from labonn.protocol.watching import light_power_mw, reference_of
from labonn.records import watches_of
from labonn.report import figures


class Parameters(BaseModel):
    """What can be set."""

    images: int = Field(8, ge=4, le=32, description="reference images to show")
    tolerated_loss_points: NonNegativeFloat = Field(0.5, description="loss from which a recalibration is due, if sure")
    false_alarms: float = Field(0.05, gt=0, lt=1, description="chance of any false alarm in all watches of a month")
    watches_a_month: int = Field(720, ge=1, description="how often the bench is watched in a month")


def run(lab: Lab, parameters: Parameters) -> Result:
    """Capture the reference images as the release is used, compare with its own captures, predict the loss."""
    release, network, backend = in_use(lab)
    calibration = network.as_used(lab, release)
    reference = reference_of(lab, release, network, backend, parameters.images)
    tiles = network.capture(lab, "watch", reference.images, calibration, keep_frames=False)
    power_mw = light_power_mw(lab)
    with lab.step("what it costs"):
        drift = reference.outlook.drift(tiles, reference.ladder)

    # The chart: this watch after the earlier ones of the release, and the limit that chance alone does not pass.
    earlier = [
        watch.predicted_loss_points for watch in reversed(watches_of(lab.folder, release.bench, release=release.id))
    ]
    limit = control_limit(
        reference.still,
        earlier,
        false_alarms=parameters.false_alarms,
        watches=parameters.watches_a_month,
        resolution_points=reference.outlook.resolution_points,
    )
    alarm = drift.loss_points > limit.limit_points
    due = alarm and drift.loss_points > parameters.tolerated_loss_points

    lab.figure(
        "control chart",
        figures.control_chart([*earlier, drift.loss_points], limit.limit_points, parameters.tolerated_loss_points),
        "Predicted loss at each watch of this release. Dashed: the control limit. Dotted: what is tolerated.",
    )
    lab.table("What has changed", [{"": name.replace("_", " "), "now": value} for name, value in asdict(drift).items()])
    lab.note("control chart", asdict(limit))
    return Result(
        of_release=release.id,
        predicted_loss_points=drift.loss_points,
        control_limit_points=limit.limit_points,
        alarm=alarm,
        due=due,
        drift=asdict(drift),
        power_mw=power_mw,
        watches=len(earlier) + 1,
    )
