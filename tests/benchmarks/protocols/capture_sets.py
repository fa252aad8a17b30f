"""Capture training and test images by the thousand: what the benchmark of compensation measures on."""

from pathlib import Path

import numpy as np
from pydantic import BaseModel, Field, PositiveInt

from labonn.capture import Calibration
from labonn.protocol import Lab, Result
from labonn.protocol.deployment import load_deployment, pick


class Parameters(BaseModel):
    """What can be set."""

    model: str = Field(description="the network whose pattern is shown")
    folder: Path = Field(description="where the captures go; what is there already is not captured again")
    train: PositiveInt = 20_000
    test: PositiveInt = 10_000
    chunk_images: PositiveInt = Field(500, description="images in a file")
    most_files: PositiveInt = Field(20, description="files to write; a run's own frames take 5 to 15 GB by then")
    tiles_kept: PositiveInt = Field(
        1000, description="training images of which every tile is kept, for the twin; of the others the signed maps"
    )
    seed: int = Field(0, ge=0, description="of the choice of training images")


def run(lab: Lab, parameters: Parameters) -> Result:
    """Capture what is missing in the folder, or the first of it; the calibration made first holds for all."""
    network = load_deployment(lab.folder, parameters.model)
    data, folder = network.data, parameters.folder
    kept = folder / "calibration.h5"
    network.show(lab)
    if kept.exists():
        calibration = Calibration.load(kept)
    else:
        calibration = network.calibrate(lab)
        calibration.save(kept)
    written = 0
    wanted = {"test": np.arange(parameters.test), "train": pick(data.train, parameters.train, parameters.seed)}
    for part, chosen in wanted.items():
        images = data.test.images if part == "test" else data.train.images
        for number, indices in enumerate(np.array_split(chosen, -(-len(chosen) // parameters.chunk_images))):
            path = folder / f"{part}-{number:03d}.npz"
            if path.exists() or written == parameters.most_files:
                continue
            tiles = network.capture(lab, f"{part}-{number:03d}", images[indices], calibration, keep_frames=False)
            arrays = {"indices": indices, "maps": network.maps_of(tiles).numpy().astype(np.float16)}
            if part == "train" and indices[0] in chosen[: parameters.tiles_kept]:
                arrays["tiles"] = tiles.numpy()
            beside = path.with_name(f"unfinished-{path.name}")
            np.savez(beside, **arrays)
            beside.replace(path)
            written += 1
    return Result(files=written)
