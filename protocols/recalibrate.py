"""Make the network fit the optics as they are today, and release it only if that does no harm."""

from typing import Any, Literal

import numpy as np
import torch
from pydantic import BaseModel, Field, NonNegativeInt

from labonn.compensation import Captured, check_methods, fit_twin, judge, rematch, steps_of
from labonn.optics import signed_maps
from labonn.protocol import Lab, Result
from labonn.protocol.deployment import in_use, pick
from labonn.report import figures
from labonn.training import logits_of

CANDIDATE = "twin+ntkd"  # what is released, if the gate lets it


class Parameters(BaseModel):
    """What can be set."""

    captures: int = Field(
        32, ge=8, description="images to capture for the fit; their labels are not used by twin methods"
    )
    validation_captures: int = Field(100, ge=30, description="labelled images to capture for the gate")
    methods: str = Field("e2e", description="what to compare twin+ntkd with, separated by commas, or all")
    evaluation_images: NonNegativeInt | Literal["all"] = Field(0, description="test images to capture and report on")
    seed: int = Field(0, ge=0, description="of the choice of images and of the fit")


def run(lab: Lab, parameters: Parameters) -> Result:
    """Calibrate, capture, refit the twin, re-match the backend, pass the gate, release."""
    methods = tuple(dict.fromkeys(("none", *check_methods(parameters.methods), CANDIDATE)))
    release, network, backend = in_use(lab)
    train, validation = network.data.train, network.data.validation
    calibration = network.calibrate(lab)

    shown = pick(train, parameters.captures, parameters.seed)
    fit_images = torch.from_numpy(train.images[shown])
    tiles = network.capture(lab, "fit", train.images[shown], calibration)
    with lab.step("refitting the optical twin"):
        twin = fit_twin(fit_images, tiles, network.student.frontend.kernels().detach())
    lab.note("twin", {"held_out_r2": float(twin.held_out_r2.mean()), "ridge": twin.ridge})
    captured, lecture = Captured(torch.from_numpy(shown), signed_maps(tiles)), network.lecture(lab)
    backends = {}
    for method in methods:
        with lab.step(f"re-matching: {method}", total=steps_of(method)) as step:
            backends[method] = rematch(
                backend, method, captured, twin, lecture, seed=parameters.seed, on_step=step.advance
            )

    unseen = validation.take(pick(validation, parameters.validation_captures, parameters.seed))
    unseen_maps = signed_maps(network.capture(lab, "validation", unseen.images, calibration))
    right = {name: _right(candidate, unseen_maps, unseen.labels) for name, candidate in backends.items()}
    percent = {name: 100 * float(correct.mean()) for name, correct in right.items()}
    verdict = judge(right["none"], right[CANDIDATE])
    lab.note("gate", verdict.reason)
    result: dict[str, Any] = {
        "captures": len(shown),
        "validation_captures": len(unseen),
        "accuracy": {"before": percent["none"], "after": percent[CANDIDATE]},
        "methods": percent,
        "released": verdict.released,
        "release": network.release(lab, backends[CANDIDATE], calibration, percent) if verdict.released else None,
    }

    network.draw(lab, calibration, "fit")
    simulated = signed_maps(network.ideal_tiles(fit_images[:1]))
    rows = {"simulated": simulated, "captured": captured.maps[:1], "twin": twin.maps(fit_images[:1])}
    maps = {name: values[0].numpy() for name, values in rows.items()}
    lab.figure(
        "feature maps", figures.feature_maps(maps), "One image, as simulated, captured, and predicted by the twin."
    )
    lab.figure("accuracy", figures.accuracy_bars(percent), f"On {len(unseen)} captures that no fit has seen.")
    if parameters.evaluation_images:
        test = network.data.test.first(parameters.evaluation_images)
        test_maps = signed_maps(network.capture(lab, "test", test.images, calibration, keep_frames=False))
        over_test = {name: 100 * float(_right(b, test_maps, test.labels).mean()) for name, b in backends.items()}
        result["evaluation"] = {"test_images": len(test), "methods": over_test}
        lab.figure("accuracy on the test set", figures.accuracy_bars(over_test), f"On {len(test)} test images.")
    result["seconds"] = {
        "capture": sum(
            seconds for step, seconds in lab.seconds.items() if step.startswith(("calibrating", "capturing"))
        ),
        "fit": sum(seconds for step, seconds in lab.seconds.items() if step.startswith("re")),
    }
    if not verdict.released:
        result |= {"status": "refused", "reason": f"release {release.id} stands: {verdict.reason}"}
    return Result(**result)


def _right(backend: torch.nn.Module, maps: torch.Tensor, labels: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    return np.asarray(logits_of(backend, maps).argmax(dim=1).numpy() == labels)
