"""What the optics allow: capture training images by the thousand and train the backend on them."""

from pathlib import Path
from typing import Literal

import torch
from pydantic import BaseModel, Field, PositiveInt

from labonn.compensation import Captured, rematch, steps_of
from labonn.optics import signed_maps
from labonn.protocol import Lab, Result
from labonn.protocol.deployment import cache_of, in_use, load_deployment, pick
from labonn.records import read_frames
from labonn.training import accuracy_percent


class Parameters(BaseModel):
    """What can be set."""

    captures: PositiveInt | Literal["all"] = Field("all", description="training images to capture")
    test_run: Path = Field(description="folder of the recalibration whose captures of the test set are judged by")
    seed: int = Field(0, ge=0, description="of the choice of images and of the training")


def run(lab: Lab, parameters: Parameters) -> Result:
    """Compare simulated, released and best possible backend on the same captures of the test set."""
    release, network, released = in_use(lab)
    simulated = load_deployment(lab.folder, release.model).student.backend
    train = network.data.train
    shown = pick(train, len(train) if parameters.captures == "all" else parameters.captures, parameters.seed)
    calibration = network.calibrate(lab)
    tiles = network.capture(lab, "training-set", train.images[shown], calibration, keep_frames=False)
    captured = Captured(torch.from_numpy(shown), signed_maps(tiles))
    with lab.step("training on the captures", total=steps_of("ceiling")) as step:
        lecture = network.lecture(cache_of(lab))
        ceiling = rematch(simulated, "ceiling", captured, None, lecture, seed=parameters.seed, on_step=step.advance)
    maps = signed_maps(torch.from_numpy(read_frames(parameters.test_run / "frames.h5", "test", ["tiles"])["tiles"]))
    test = network.data.test.first(len(maps))
    backends = {"none": simulated, "released": released, "ceiling": ceiling}
    return Result(
        captures=len(shown),
        test_images=len(test),
        methods={name: accuracy_percent(backend, maps, test.labels) for name, backend in backends.items()},
    )
