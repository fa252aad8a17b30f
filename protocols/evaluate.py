"""Show labelled test images, and say how many of them the network in use gets right today. Changes nothing."""

from typing import Literal

import numpy as np
from pydantic import BaseModel, Field, PositiveInt

from labonn.protocol import Lab, Result
from labonn.protocol.deployment import in_use
from labonn.report import figures
from labonn.training import logits_of, score_interval, scores_of

OVERLAYS = 16  # masks that are drawn
COUNTED = {"accuracy": "images", "miou": "pixels"}


class Parameters(BaseModel):
    """What can be set."""

    test_images: PositiveInt | Literal["all"] = Field(1000, description="test images to show")
    calibrate: bool = Field(False, description="calibrate first, instead of taking the bench as it is")


def run(lab: Lab, parameters: Parameters) -> Result:
    """Show the images, let the backend answer, compare with the labels."""
    release, network, backend = in_use(lab)
    calibration = network.calibrate(lab) if parameters.calibrate else network.as_used(lab, release)

    test, classes = network.data.test.spread(parameters.test_images), network.data.classes
    tiles = network.capture(lab, "test", test.images, calibration, keep_frames=False)
    answers = logits_of(backend, network.maps_of(tiles)).argmax(dim=1).numpy()

    scores, measure = scores_of(answers, test.labels, len(classes)), network.design.measure
    low, high = score_interval(scores)
    taken_for = np.zeros((len(classes), len(classes)), np.int64)  # of images, or of their pixels
    np.add.at(taken_for, (test.labels.ravel(), answers.ravel()), 1)
    lab.figure("which was taken for which", figures.confusions(taken_for, classes), "Rows: labels. Columns: answers.")
    if test.labels.ndim > 1:
        shown = np.argsort(scores)[:OVERLAYS]
        titles = [f"{100 * score:.1f} %" for score in scores[shown]]
        picture = figures.overlays(test.images[shown], answers[shown] > 0, test.labels[shown] > 0, titles)
        lab.figure("worst masks", picture, "Green: found; red: missed; blue: not there.")
    lab.table(
        "By class",
        [
            {"class": name, COUNTED[measure]: int(taken_for[row].sum()), "right": int(taken_for[row, row])}
            for row, name in enumerate(classes)
        ],
    )
    return Result(
        **{measure: {"now": 100 * float(scores.mean()), "at least": low, "at most": high}},
        test_images=len(test),
        of_release=release.id,
    )
