"""Capture once, fit by every method of compensation, and put them side by side. Releases nothing."""

from pydantic import BaseModel, Field

from labonn.compensation import check_methods, match_kernels
from labonn.protocol import Lab, Result
from labonn.protocol.choices import Methods
from labonn.protocol.compensating import compensate
from labonn.protocol.deployment import cache_of, in_use, pick
from labonn.protocol.showing import seconds_of
from labonn.protocol.validating import answer
from labonn.report import figures
from labonn.training import score_interval


class Parameters(BaseModel):
    """What can be set."""

    captures: int = Field(32, ge=8, description="images to capture for the fits")
    validation_captures: int = Field(400, ge=30, description="labelled images to capture for the comparison")
    methods: Methods = Field("all", description="which methods, separated by commas, or all")
    seed: int = Field(0, ge=0, description="of the choice of images and of the fits")


def run(lab: Lab, parameters: Parameters) -> Result:
    """Calibrate, capture for the fits and for the comparison, fit, compare."""
    methods = check_methods(parameters.methods)
    _, network, backend = in_use(lab)
    calibration = network.calibrate(lab)

    train, unseen = network.data.train, network.data.validation
    shown = pick(train, parameters.captures, parameters.seed)
    tiles = network.capture(lab, "fit", train.images[shown], calibration)
    compared = unseen.take(pick(unseen, parameters.validation_captures, parameters.seed))
    maps = network.maps_of(network.capture(lab, "validation", compared.images, calibration))

    with lab.step("preparing the teacher's answers") as step:
        lecture = network.lecture(cache_of(lab), step.say)
        if match_kernels(methods):
            lecture.teaching.kernel()  # kept since the deployment
    fitted = compensate(lab.step, backend, lecture, shown, tiles, methods, seed=parameters.seed, releasing=False)

    answers = answer(fitted.backends, maps, compared.labels)
    measure, percent = network.design.measure, {name: one.percent for name, one in answers.items()}
    lab.figure(measure, figures.accuracy_bars(percent), f"On {len(compared)} captures that no fit has seen.")
    lab.table(
        "Methods",
        [
            {
                "method": name,
                f"{measure}, %": round(one.percent, 2),
                "95 %": "{:.1f} to {:.1f}".format(*score_interval(one.score)),
                "loss, nats": round(float(one.loss.mean()), 4),
            }
            for name, one in answers.items()
        ],
    )
    best = max(percent, key=lambda name: percent[name])
    return Result(
        captures=len(shown),
        validation_captures=len(compared),
        methods=percent,
        best=best,
        twin_r2=float(fitted.twin.held_out_r2.median()),
        seconds=seconds_of(lab),
    )
