"""How fast a student trains: ``python -m tests.benchmarks.training_speed``, on an idle machine.

Steps of `labonn train --method none`, Fabric and all, against the same network written out by hand in plain torch, its
sensor's noise included: images a second, medians of interleaved rounds.
"""

import argparse
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from labonn.data import Split
from labonn.design import Design, load_design
from labonn.training import Teaching, train_student
from labonn.training.course import Course
from labonn.training.device import make_fabric
from tests.benchmarks.results import write_section
from tests.benchmarks.timing import interleaved

DESIGNS = ("mnist-mono", "cifar10-poly")
MUST = 0.9


class ByHand(nn.Module):
    """Balanced or free pairs of kernels, noise, two or three dense layers: what the student is, without labonn."""

    def __init__(self, design: Design) -> None:
        super().__init__()
        optic, sensor, pool = design.optic, design.sensor, design.backend.pool
        self.colours = len(optic.wavelengths_nm)
        self.balanced = optic.pairs == "balanced"
        self.taps = nn.Parameter(torch.rand(2 * optic.kernels, self.colours, optic.taps, optic.taps) * 0.12)
        white_e = sensor.fill * sensor.full_well_e
        self.shot = 1 / (sensor.pixels_per_tap * white_e)
        self.read = (sensor.read_noise_e**2 + sensor.step_e**2 / 12) / (sensor.pixels_per_tap * white_e**2)
        height, width = design.image_shape
        widths = [optic.kernels * (height // pool) * (width // pool), *design.backend.widths, design.classes]
        layers: list[nn.Module] = [nn.ReLU(), nn.AvgPool2d(pool), nn.Flatten()]
        for inner, outer in pairwise(widths[:-1]):
            layers += [nn.Linear(inner, outer), nn.ReLU()]
        self.backend = nn.Sequential(*layers, nn.Linear(widths[-2], widths[-1]))

    def forward(self, images: Tensor) -> Tensor:
        kernels = self.taps.abs()
        if self.balanced:
            sums = kernels.sum((1, 2, 3), keepdim=True)
            kernels = kernels * ((sums[0::2] + sums[1::2]) / 2).repeat_interleave(2, 0) / sums
        edge = kernels.shape[-1] // 2
        maps = functional.conv2d(images, kernels[0::2] - kernels[1::2], padding=edge)
        with torch.no_grad():
            gain = kernels.sum((2, 3), keepdim=True)
            shot = kernels * gain * self.shot
            read = (gain**2 * self.read).sum((1, 2, 3))
            variance = functional.conv2d(images, shot[0::2] + shot[1::2], read[0::2] + read[1::2], padding=edge)
            noise = variance.sqrt_().mul_(torch.randn_like(variance))
        logits: Tensor = self.backend(maps + noise)
        return logits


def plain(design: Design, split: Split, device: torch.device) -> None:
    """Train by hand: the loop of any tutorial, with Adam and a one-cycle rate; the loss is looked at, as ours is."""
    network, batch = ByHand(design).to(device), design.training.batch
    images, labels = torch.from_numpy(split.images).to(device), torch.from_numpy(split.labels).to(device)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3, fused=True)
    steps = len(split) // batch
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-3, total_steps=steps)
    for indices in torch.split(torch.randperm(len(split)), batch):
        optimizer.zero_grad()
        loss = functional.cross_entropy(network(images[indices]), labels[indices])
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        loss.item()


def ours(design: Design, split: Split, course: Course) -> None:
    """One epoch as `labonn train` makes it."""
    images, labels = (torch.from_numpy(array).to(course.device) for array in (split.images, split.labels))
    teaching = Teaching(None, images, labels, batch=design.training.batch, cache=None)
    train_student(design, split, design.classes, teaching, seed=0, method="none", course=course)


def measure(name: str, batches: int, rounds: int) -> dict[str, Any]:
    """Images a second of both on random images, without flips and shifts, which no tutorial has."""
    shipped = load_design(name)
    once = {"epochs": 1, "flips": False, "shift_px": 0, "weight_decay": 0.0}
    design = shipped.model_copy(update={"training": shipped.training.model_copy(update=once)})
    count, rng = batches * design.training.batch, np.random.default_rng(0)
    shape = (count, len(design.optic.wavelengths_nm), *design.image_shape)
    split = Split(rng.random(shape, dtype=np.float32), rng.integers(0, design.classes, count))
    course = Course(make_fabric())
    works = {"plain": lambda: plain(design, split, course.device), "ours": lambda: ours(design, split, course)}
    seconds = interleaved(works, rounds, course.device.type)
    rates = {which: count / taken for which, taken in seconds.items()}
    return {**rates, "ratio": rates["ours"] / rates["plain"], "device": str(course.device)}


def main() -> None:
    """Measure, and write the section."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    lines = [
        "## Speed of training",
        "",
        f"`python -m tests.benchmarks.training_speed`, {datetime.now(UTC):%Y-%m-%d}, {torch.get_num_threads()} threads,"
        f" medians of {arguments.rounds} interleaved rounds of {arguments.batches} batches. Without distillation, the"
        f" sensor's noise included; must: {MUST} of the same network by hand in plain torch.",
        "",
        "| design | device | images/s, plain torch | images/s, `labonn train` | ratio |",
        "|---|---|---|---|---|",
    ]
    for name in DESIGNS:
        found = measure(name, arguments.batches, arguments.rounds)
        print(name, found, flush=True)
        lines.append(
            f"| {name} | {found['device']} | {found['plain']:,.0f} | {found['ours']:,.0f} | **{found['ratio']:.2f}** |"
        )
    write_section("training-speed", "\n".join(lines))


if __name__ == "__main__":
    main()
