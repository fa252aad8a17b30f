"""Some hours of a month, for `tests.benchmarks.month`: a watch an hour, sometimes the truth, until something is due."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel, Field

from labonn.capture import Registration, capture
from labonn.compensation import control_limit
from labonn.optics import signed_maps
from labonn.protocol import Lab, Result
from labonn.protocol.deployment import load_released
from labonn.protocol.watching import reference_of
from labonn.records import current_release
from labonn.training import logits_of

WATCHED = 8
TOLERATED_POINTS = 0.5
FALSE_ALARMS, WATCHES = 0.05, 720


class Parameters(BaseModel):
    """What can be set."""

    labs: str = Field(description="JSON: name of each policy, and its laboratory's folder")
    records: Path = Field(description="file of what was found, a JSON object a line; is added to")
    first_hour: int
    last_hour: int
    truth_every: int = Field(24, description="hours between looks at the truth")
    test_images: int = 10_000


class Watched:
    """A policy's release, ready to be watched."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        self.view: Any = SimpleNamespace(
            folder=folder, bench=lab.bench, run_record=lab.run_record, bench_config=lab.bench_config, step=lab.step
        )
        release = current_release(folder, lab.bench_config.name)
        assert release is not None
        self.release = release
        self.network, self.backend = load_released(folder, release)
        self.reference = reference_of(self.view, release, self.network, self.backend, WATCHED)
        self.calibration = self.network.as_used(self.view, release)
        self.registration = Registration(self.calibration)

    def watch(self, earlier: list[float]) -> dict[str, Any]:
        """Watch as `watch_drift` does, without a run of its own."""
        calibration = self.network.as_used(self.view, self.release)
        shots = capture(self.view.bench, self.reference.images[:, 0], Registration(calibration))
        tiles = torch.from_numpy(np.stack([shot.tiles for shot in shots]))
        drift = self.reference.outlook.drift(tiles, self.reference.ladder)
        resolution = self.reference.outlook.resolution_points
        limit = control_limit(
            self.reference.still, earlier, false_alarms=FALSE_ALARMS, watches=WATCHES, resolution_points=resolution
        )
        alarm = drift.loss_points > limit.limit_points
        return {
            "release": self.release.id,
            "predicted": drift.loss_points,
            "limit": limit.limit_points,
            "alarm": alarm,
            "due": alarm and drift.loss_points > TOLERATED_POINTS,
            "shift_taps": drift.shift_taps,
            "residual": drift.residual,
            "unexplained": drift.unexplained,
            "ntk_alignment": drift.ntk_alignment,
        }


def run(lab: Lab, parameters: Parameters) -> Result:
    """Wait for each hour, look, write down."""
    policies = {name: Watched(lab, Path(folder)) for name, folder in json.loads(parameters.labs).items()}
    found = [json.loads(line) for line in parameters.records.read_text().splitlines()]
    for hour in range(parameters.first_hour, parameters.last_hour + 1):
        clock = lab.bench.clock
        clock.sleep_ms(max(0.0, 1e3 * (3600.0 * hour - clock.now_s())))
        lab.checkpoint()
        truth = hour % parameters.truth_every == 0
        due = False
        for name, watched in policies.items():
            if name != "drift" and not truth:
                continue
            release = watched.release.id
            earlier = [one["predicted"] for one in found if one["kind"] == "watch" and one["release"] == release]
            line = {"kind": "watch", "hour": hour, "policy": name, **watched.watch(earlier)}
            due |= name == "drift" and bool(line["due"])
            found.append(line)
            keep(parameters.records, line)
        if truth or due:
            keep(parameters.records, {"kind": "truth", "hour": hour, **accuracies(lab, policies, parameters)})
        keep(parameters.records, {"kind": "hour", "hour": hour})
        if due:
            return Result(hour=hour, due=True)
    return Result(hour=parameters.last_hour, due=False)


def accuracies(lab: Lab, policies: dict[str, Watched], parameters: Parameters) -> dict[str, Any]:
    """Accuracy of each policy on the same frames of test images, in per cent."""
    captured, first = next(iter(policies.items()))
    test = first.network.data.test.first(parameters.test_images)
    calibration = first.network.as_used(first.view, first.release)
    readers = {
        name: Registration(one.network.as_used(one.view, one.release).at_exposure(calibration.exposure_ms))
        for name, one in policies.items()
        if name != captured
    }
    right = dict.fromkeys(policies, 0)
    batch: dict[str, list[Any]] = {name: [] for name in policies}
    labels: list[int] = []
    with lab.step("the truth", total=len(test)) as step:
        for shot in capture(lab.bench, test.images[:, 0], Registration(calibration), keep_frames=True):
            assert shot.frame is not None
            frame = shot.frame.astype(np.float32)
            batch[captured].append(shot.tiles)
            for name, reader in readers.items():
                batch[name].append(reader.tiles(frame))
            labels.append(int(test.labels[shot.index]))
            if len(labels) == 500 or shot.index == len(test) - 1:
                for name, tiles in batch.items():
                    maps = signed_maps(torch.from_numpy(np.stack(tiles)))
                    answers = logits_of(policies[name].backend, maps).argmax(dim=1).numpy()
                    right[name] += int((answers == np.array(labels)).sum())
                    tiles.clear()
                labels.clear()
            step.advance()
    return {"images": len(test), "accuracy": {name: 100 * count / len(test) for name, count in right.items()}}


def keep(file: Path, line: dict[str, Any]) -> None:
    """Add a line."""
    with file.open("a", encoding="utf-8") as out:
        out.write(json.dumps(line) + "\n")
