"""Captures that no fit has seen, as many as the gate needs to decide."""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from labonn.capture import Calibration
from labonn.compensation import Answers, Decision, Gate, answers_of, decide, require_still
from labonn.protocol.compensating import Compensated
from labonn.protocol.deployment import Deployment
from labonn.report import figures

if TYPE_CHECKING:
    from labonn.protocol.lab import Lab

GROUP = "validation"


@dataclass(frozen=True)
class Validation:
    """What the validation captures said.

    Attributes
    ----------
    decision
        The gate's, at its last look.
    answers
        How each backend did, by its method.
    looks
        The gate's decision at each look, by the captures it looked at.
    gate
        What a candidate had to prove.
    """

    decision: Decision
    answers: dict[str, Answers]
    looks: dict[int, Decision]
    gate: Gate

    @property
    def percent(self) -> dict[str, float]:
        """Accuracy, or mean IoU, of each method, in per cent."""
        return {method: answers.percent for method, answers in self.answers.items()}

    @property
    def captures(self) -> int:
        """How many validation captures were taken."""
        return self.decision.captures


def validate(
    lab: "Lab",
    network: Deployment,
    calibration: Calibration,
    fitted: Compensated,
    *,
    first: int,
    most: int,
    seed: Sequence[int],
    gate: Gate,
) -> Validation:
    """Capture validation images and ask the gate, with twice as many each time, until it has decided or has all.

    Parameters
    ----------
    lab, network, calibration
        Where, of what, and as what the captures are taken.
    fitted
        The backends to compare, and which of them may be released.
    first, most
        Captures for the first look, and for the last.
    seed
        Of the choice of images. With that of the release in use in it, tonight's gate does not judge by the images that
        last night's release was chosen by.
    gate
        What a candidate has to prove.

    Raises
    ------
    CalibrationError
        If the maps have moved since the fit: the camera or the display was bumped.
    """
    split = network.data.validation
    chosen = np.random.default_rng(seed).permutation(len(split))[:most]
    answers: dict[str, Answers] = {}
    looks: dict[int, Decision] = {}
    for start, stop in looks_of(first, len(chosen)):
        for place in range(start, stop, first):  # no more at once than for the first look: in colour 200 take gigabytes
            fresh = chosen[place : min(place + first, stop)]
            tiles = network.capture(lab, GROUP, split.images[fresh], calibration)
            require_still(fitted.twin, torch.from_numpy(split.images[fresh]), tiles)
            for name, said in answer(fitted.backends, network.maps_of(tiles), split.labels[fresh]).items():
                answers[name] = answers[name].followed_by(said) if name in answers else said
        looks[stop] = decide(answers["none"], {name: answers[name] for name in fitted.candidates}, gate)
        if looks[stop].settled:
            break
    return Validation(looks[stop], answers, looks, gate)


def seed_of(name: str) -> int:
    """A number for a generator that is a release's own."""
    return zlib.crc32(name.encode())


def looks_of(first: int, most: int) -> list[tuple[int, int]]:
    """From and to which capture each look is taken: doubling, until there are no more."""
    stops = [min(first, most)]
    while stops[-1] < most:
        stops.append(min(2 * stops[-1], most))
    return list(zip([0, *stops], stops, strict=False))


def evaluate(
    lab: "Lab", network: Deployment, calibration: Calibration, fitted: Compensated, count: int | Literal["all"]
) -> dict[str, Any]:
    """Capture test images, if any, and say how each backend does on them: for figures, never for a decision."""
    if not count:
        return {}
    test = network.data.test.spread(count)
    tiles = network.capture(lab, "test", test.images, calibration, keep_frames=False)
    maps = network.maps_of(tiles)
    percent = {name: answers.percent for name, answers in answer(fitted.backends, maps, test.labels).items()}
    lab.figure(
        f"{network.design.measure} on the test set", figures.accuracy_bars(percent), f"On {len(test)} test images."
    )
    return {"evaluation": {"test_images": len(test), "methods": percent}}


def answer(backends: Mapping[str, nn.Module], maps: Tensor, labels: NDArray[np.int64]) -> dict[str, Answers]:
    """How each backend does on the same captures."""
    return {method: answers_of(backend, maps, labels) for method, backend in backends.items()}
