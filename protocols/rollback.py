"""Go back to the last good release of the bench, and prove on the bench that it works."""

from pydantic import BaseModel, Field

from labonn.compensation import decide
from labonn.protocol import Lab, Result
from labonn.protocol.deployment import backend_of, load_released, pick
from labonn.protocol.validating import answer
from labonn.records import last_good_release, release_in_use, set_current_release
from labonn.report import figures


class Parameters(BaseModel):
    """What can be set."""

    validation_captures: int = Field(100, ge=30, description="labelled images to capture for the proof")
    force: bool = Field(False, description="go back even if the captures show that the release in use is better")
    seed: int = Field(0, ge=0, description="of the choice of images")


def run(lab: Lab, parameters: Parameters) -> Result:
    """Find the last good release, capture with its network, compare, move the pointer."""
    bench = lab.bench_config.name
    given_up = release_in_use(lab.folder, bench)
    release, damaged = last_good_release(lab.folder, bench)
    network, restored = load_released(lab.folder, release)
    lab.note("in use", {"release": release.id, "model": release.model})
    if damaged:
        lab.note("passed over", damaged)
    backends = {release.id: restored}
    other = backend_of(lab.folder, given_up, release.model)
    if given_up is not None and other is not None:
        backends[given_up] = other

    calibration = network.calibrate(lab)
    split = network.data.validation
    unseen = split.take(pick(split, parameters.validation_captures, parameters.seed))
    maps = network.maps_of(network.capture(lab, "validation", unseen.images, calibration))
    answers = answer(backends, maps, unseen.labels)
    percent = {name: one.percent for name, one in answers.items()}
    measure = network.design.measure
    lab.figure(measure, figures.accuracy_bars(percent), f"On {len(unseen)} captures.")

    result = {"restored": release.id, "given_up": given_up, "validation_captures": len(unseen), measure: percent}
    if given_up in answers and not parameters.force:
        decision = decide(answers[given_up], {release.id: answers[release.id]})
        if decision.verdicts[release.id].worse:
            reason = (
                f"{given_up} stands, the captures show it to be better: {decision.reason}; --set force=true goes back"
            )
            return Result(**result, status="refused", reason=reason, released=False)
    set_current_release(lab.folder, bench, release.id)
    return Result(**result, released=True, release=release.id)
