"""Make the network fit the optics as they are today, and release it only if that does no harm."""

from typing import Literal

from pydantic import BaseModel, Field, NonNegativeInt, PositiveFloat

from labonn.compensation import Gate, check_methods
from labonn.protocol import Lab, Result
from labonn.protocol.choices import Methods
from labonn.protocol.compensating import compensate
from labonn.protocol.deployment import cache_of, in_use, pick
from labonn.protocol.showing import seconds_of, show_compensation, show_validation
from labonn.protocol.validating import evaluate, seed_of, validate


class Parameters(BaseModel):
    """What can be set."""

    captures: int = Field(
        32, ge=8, description="images to capture for the fit; their labels are not used by twin methods"
    )
    validation_captures: int = Field(100, ge=30, description="labelled images to capture for the gate's first look")
    most_validation_captures: int = Field(800, ge=30, description="where the gate gives up, if it is undecided")
    margin_points: PositiveFloat = Field(0.5, description="loss of accuracy, or of mIoU, that the gate has to rule out")
    methods: Methods = Field("e2e", description="what else to compare with, separated by commas, or all")
    evaluation_images: NonNegativeInt | Literal["all"] = Field(0, description="test images to capture and report on")
    seed: int = Field(0, ge=0, description="of the choice of images and of the fit")


def run(lab: Lab, parameters: Parameters) -> Result:
    """Calibrate, capture, refit the twin, re-match the backend, pass the gate, release."""
    methods = check_methods(parameters.methods)
    release, network, backend = in_use(lab)
    with lab.step("preparing the teacher's answers") as step:
        lecture = network.lecture(cache_of(lab), step.say)
        lecture.teaching.kernel()  # kept since the deployment
    calibration = network.calibrate(lab)

    # Captures for the fit, without labels; twin+ntkd and twin+kd are fitted side by side.
    train = network.data.train
    shown = pick(train, parameters.captures, parameters.seed)
    tiles = network.capture(lab, "fit", train.images[shown], calibration)
    fitted = compensate(lab.step, backend, lecture, shown, tiles, methods, seed=parameters.seed)

    # Captures for the gate, with labels, which no fit has seen: as many as it needs to decide.
    validation = validate(
        lab,
        network,
        calibration,
        fitted,
        first=parameters.validation_captures,
        most=parameters.most_validation_captures,
        seed=[parameters.seed, seed_of(release.id)],
        gate=Gate(margin_points=parameters.margin_points),
    )

    # What passed is in use from here on; pictures can wait. Whatever ends the run before, the current release stands.
    measure, decision, percent = network.design.measure, validation.decision, validation.percent
    released = None
    if decision.released is not None:
        figures = {measure: percent, "gate": decision.reason}
        released = network.release(lab, fitted.backends[decision.released], calibration, figures)

    show_compensation(lab, network, calibration, fitted)
    show_validation(lab, network, fitted, validation)
    evaluation = evaluate(lab, network, calibration, fitted, parameters.evaluation_images)
    result = {
        "captures": len(shown),
        "validation_captures": validation.captures,
        measure: {"before": percent["none"], "after": percent[decision.preferred]},
        "methods": percent,
        "candidate": decision.preferred,
        "released": released is not None,
        "release": released,
        "seconds": seconds_of(lab),
        **evaluation,
    }
    if released is None:
        return Result(**result, status="refused", reason=f"release {release.id} stands: {decision.reason}")
    return Result(**result)
