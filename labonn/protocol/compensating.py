"""From captures to backends: refit the optical twin, re-match the backend by every method that is asked for."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from labonn.compensation import (
    CANDIDATES,
    CANDIDATES_OF_PIXELS,
    AnyTwin,
    Captured,
    Lecture,
    Material,
    Method,
    rematch,
    twin_of,
)
from labonn.compensation.ridge_map import can_fold_in
from labonn.networks import split_backend
from labonn.protocol.progress import Step

Steps = Callable[[str, int | None], AbstractContextManager[Step]]
"""Shows a step of a run, as `Lab.step` does."""

TRUSTED_R2 = 0.8  # of held-out captures' variance, in the median over tiles: a twin that explains less is not relied on
FALLBACK = ("ntkd", "kd")
"""What may be released where the twin cannot be relied on."""


@dataclass(frozen=True)
class Compensated:
    """What captures made of a backend.

    Attributes
    ----------
    twin
        Fitted to them.
    captured
        The captures, as signed maps.
    backends
        By the names of their methods; "none", the one in use, comes first.
    candidates
        Those of them that may be released, the preferred one first.
    warning
        What the operator has to know about the captures, if anything.
    """

    twin: AnyTwin
    captured: Captured
    backends: dict[str, nn.Module]
    candidates: tuple[str, ...]
    warning: str | None


def compensate(
    show: Steps,
    backend: nn.Module,
    lecture: Lecture,
    shown: NDArray[np.int64],
    tiles: Tensor,
    methods: Sequence[str],
    *,
    seed: int,
    releasing: bool = True,
) -> Compensated:
    """Refit the optical twin to captures, and re-match the backend by the methods and by what may be released.

    Parameters
    ----------
    show
        Shows the steps.
    backend
        The one in use; it is not changed.
    lecture
        The training set, what the teacher says of it, and the student.
    shown
        (n,) which training images were captured.
    tiles
        (n, T, H, W), in colour (n, T, C, H, W), what the optics made of them.
    methods
        To compare with.
    seed
        For everything random.
    releasing
        Whether to re-match by the methods that may be released, named or not.

    Raises
    ------
    CalibrationError
        If the captures are no captures of these images through these optics.
    """
    indices, frontend = torch.from_numpy(shown), lecture.student.frontend
    with show("refitting the optical twin", frontend.colours) as step:
        twin = twin_of(frontend, lecture.images[indices], tiles, on_colour=step.advance)
    explained = float(twin.held_out_r2.median())
    trusted = explained >= TRUSTED_R2
    reliable = CANDIDATES_OF_PIXELS if lecture.of_pixels else CANDIDATES
    candidates = reliable if trusted else FALLBACK
    captured = Captured(indices, frontend.maps_of(tiles))
    backends = {"none": backend}
    material = Material(backend, captured, twin, lecture, seed=seed)
    if set(methods) == set(get_args(Method)) and not can_fold_in(split_backend(backend)[1]):
        methods = [method for method in methods if method != "map"]  # all that there are for such a backend
    wanted = dict.fromkeys((*methods, *candidates) if releasing else methods)
    if any(method.startswith("twin") for method in wanted):
        with show("predicting the training set", len(lecture.images)) as step:
            material.predict(step.advance)
    for method in wanted:
        if method not in backends:
            with show(f"re-matching: {method}", material.steps_of(method)) as step:
                solving = partial(step.say, "solving for the first layer")
                backends[method] = rematch(backend, method, material, seed=seed, on_step=step.advance, on_part=solving)
    return Compensated(twin, captured, backends, candidates, None if trusted else _warning(explained, len(shown)))


def _warning(explained: float, captures: int) -> str:
    return (
        f"the optical twin explains {explained:.0%} of the held-out captures' variance, less than the {TRUSTED_R2:.0%} "
        f"that are relied on: re-matched on the {captures} captures alone ({' and '.join(FALLBACK)}), which needs more "
        f"of them; try --set captures={10 * captures}, and see in the report where captures and twin differ"
    )
