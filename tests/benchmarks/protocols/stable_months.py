"""Months of watches of a bench that stands still, for `tests.benchmarks.month`: how often does chance alone alarm?"""

import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from pydantic import BaseModel, Field

from labonn.capture import Registration, capture
from labonn.compensation import Outlook, control_limit
from labonn.protocol import Lab, Result
from labonn.protocol.deployment import in_use
from labonn.protocol.watching import LABELLED_IMAGES, reference_of

WATCHED, FALSE_ALARMS, TOLERATED_POINTS = 8, 0.05, 0.5
POOL = 200  # captures of each reference image


class Parameters(BaseModel):
    """What can be set."""

    pool: Path = Field(description="file of captures of the reference images; made if it is missing")
    records: Path = Field(description="file of what was found, a JSON object a line; is added to")
    months: int
    seconds: float
    watches: int = 720
    seed: int = 0


def run(lab: Lab, parameters: Parameters) -> Result:
    """Capture the pool, then let each month draw its reference and its watches from it."""
    release, network, backend = in_use(lab)
    reference = reference_of(lab, release, network, backend, WATCHED)
    if not parameters.pool.exists():
        calibration = network.as_used(lab, release)
        images = np.tile(reference.images[:, 0], (POOL, 1, 1))
        with lab.step("the pool", total=len(images)) as step:
            shots = capture(lab.bench, images, Registration(calibration), on_frame=lambda done: step.advance())
            tiles = np.stack([shot.tiles for shot in shots])
        np.savez(parameters.pool, tiles=tiles.reshape(POOL, WATCHED, *tiles.shape[1:]))
    pool = torch.from_numpy(np.load(parameters.pool)["tiles"])
    begin_s, done = time.monotonic(), 0
    known = parameters.records.read_text().splitlines() if parameters.records.exists() else []
    done = sum(json.loads(line)["kind"] == "month" for line in known)
    labelled = network.data.validation.first(LABELLED_IMAGES)
    while done < parameters.months and time.monotonic() - begin_s < parameters.seconds:
        chance = np.random.default_rng([parameters.seed, done])
        places = torch.arange(WATCHED)

        def drawn(chance: np.random.Generator = chance, places: torch.Tensor = places) -> torch.Tensor:
            return pool[torch.from_numpy(chance.integers(0, POOL, WATCHED)), places]

        expectation = replace(reference.outlook.expectation, then=drawn())
        outlook = Outlook(expectation, backend, torch.from_numpy(labelled.images), labelled.labels, seed=done)
        still = outlook.still(reference.ladder)
        losses: list[float] = []
        alarms = due = 0
        with lab.step(f"month {done + 1}", total=parameters.watches) as step:
            for _ in range(parameters.watches):
                loss = outlook.drift(drawn(), reference.ladder).loss_points
                limit = control_limit(
                    still, losses, false_alarms=FALSE_ALARMS, watches=parameters.watches,
                    resolution_points=outlook.resolution_points,
                ).limit_points  # fmt: skip
                alarms += loss > limit
                due += loss > max(limit, TOLERATED_POINTS)
                losses.append(loss)
                step.advance()
        line = {
            "kind": "month", "month": done, "watches": parameters.watches, "alarms": int(alarms), "due": int(due),
            "mean": float(np.mean(losses)), "sigma": float(np.std(losses)), "highest": max(losses), "limit": limit,
        }  # fmt: skip
        with parameters.records.open("a", encoding="utf-8") as out:
            out.write(json.dumps(line) + "\n")
        done += 1
    return Result(months=done)
