"""Show labelled test images, and say how many of them the network in use gets right today. Changes nothing."""

from typing import Literal

import numpy as np
from pydantic import BaseModel, Field, PositiveInt

from labonn.optics import signed_maps
from labonn.protocol import Lab, Result
from labonn.protocol.deployment import in_use
from labonn.report import figures
from labonn.training import accuracy_interval, logits_of


class Parameters(BaseModel):
    """What can be set."""

    test_images: PositiveInt | Literal["all"] = Field(1000, description="test images to show")
    calibrate: bool = Field(False, description="calibrate first, instead of taking the bench as it is")


def run(lab: Lab, parameters: Parameters) -> Result:
    """Show the images, let the backend answer, compare with the labels."""
    release, network, backend = in_use(lab)
    calibration = network.calibrate(lab) if parameters.calibrate else network.as_used(lab, release)

    test, classes = network.data.test.first(parameters.test_images), network.data.classes
    tiles = network.capture(lab, "test", test.images, calibration, keep_frames=False)
    answers = logits_of(backend, signed_maps(tiles)).argmax(dim=1).numpy()

    right = answers == test.labels
    low, high = accuracy_interval(int(right.sum()), len(test))
    taken_for = np.zeros((len(classes), len(classes)), np.int64)
    np.add.at(taken_for, (test.labels, answers), 1)
    lab.figure("which was taken for which", figures.confusions(taken_for, classes), "Rows: labels. Columns: answers.")
    lab.table(
        "By class",
        [
            {"class": name, "images": int(taken_for[row].sum()), "right": int(taken_for[row, row])}
            for row, name in enumerate(classes)
        ],
    )
    return Result(
        accuracy={"now": 100 * float(right.mean()), "at least": low, "at most": high},
        test_images=len(test),
        of_release=release.id,
    )
