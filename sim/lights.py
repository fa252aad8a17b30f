"""Pictures' light on the sensor, each computed once and mixed as the panels mix them.

Everything between the display and the sensor is linear, so the light of a frame that is taken while the display changes
is the mixture of the lights of the pictures on it. A picture's light may be asked for ahead (`foresee`): it is computed
while the display settles on it, and a camera in real time need not wait. Whoever comes first computes it. As many as
fit in some memory are kept: what is shown again, through optics that have not moved, is not rendered again. Nor is a
picture that is nearly gone, where the optics have moved by next to nothing since it was all that was seen.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import torch

from sim.optics import Moment
from sim.sensor import Floats

_KEPT_BYTES = 256 << 20
_LEAST_KEPT = 4
_SLIGHT = 0.02  # a picture of less weight may be seen as it was through optics that have moved by no more than this:
_NEAR_PX, _NEAR_UM = 0.05, 1.0  # a hundredth of a hundredth of its light, where edges are steepest


@dataclass(frozen=True)
class Situation:
    """All but the display's picture that a light depends on."""

    slm: tuple[tuple[str, float], ...]  # patterns and their weights
    moment: Moment
    binning: int

    def is_near(self, other: "Situation") -> bool:
        """Whether all but little is the same; flicker, which comes and goes within every exposure, is little."""
        mine, theirs = self.moment.moved, other.moment.moved
        apart_px = max(abs(a - b) for a, b in zip(mine.shift_px, theirs.shift_px, strict=True))
        is_still = apart_px < _NEAR_PX and abs(mine.focus_um - theirs.focus_um) < _NEAR_UM
        return is_still and (self.slm, self.binning) == (other.slm, other.binning)


@dataclass(frozen=True)
class Seen:
    """Light on the sensor, (H, W), in units of white; and the mean of what is displayed, 0 to 1."""

    light: Floats
    radiance: float


Render = Callable[[Mapping[str, float], Situation], Seen]
_Known = tuple[str, Situation]


class Lights:
    """The lights of the last pictures; safe to use from several threads.

    Parameters
    ----------
    render
        Computes the light of a weighted mixture of pictures, by their keys.
    """

    def __init__(self, render: Render) -> None:
        self._render = render
        self._lock = threading.Lock()
        self._kept: OrderedDict[_Known, Future[Seen]] = OrderedDict()
        self._most_kept = _LEAST_KEPT
        self._ahead = ThreadPoolExecutor(1, thread_name_prefix="rendering ahead")

    def clear(self) -> None:
        """Forget them: the optics have changed."""
        with self._lock:
            self._kept.clear()

    def foresee(self, picture: str, situation: Situation) -> None:
        """Begin to compute a picture's light, which will be asked for; not in a world that is ending."""
        with suppress(RuntimeError):
            self._ahead.submit(self._of, picture, situation)

    def mixed(self, weights: Mapping[str, float], situation: Situation) -> Seen:
        """Light of a weighted mixture of pictures. Not to be written to.

        Where more than one picture is new, they are mixed before they are imaged, not after.
        """
        with self._lock:
            new = [picture for picture in weights if (picture, situation) not in self._kept]
        if len(new) > 1:
            return self._render(weights, situation)
        parts = [(weight, self._of(picture, situation)) for picture, weight in weights.items()]
        if len(parts) == 1 and parts[0][0] == 1.0:
            return parts[0][1]
        light = torch.from_numpy(parts[0][1].light) * parts[0][0]
        for weight, seen in parts[1:]:
            light.add_(torch.from_numpy(seen.light), alpha=weight)
        return Seen(np.asarray(light.numpy()), sum(weight * seen.radiance for weight, seen in parts))

    def one(self, picture: str, situation: Situation, weight: float) -> Seen:
        """Light of a picture that will be mixed with at most that weight. Not to be written to."""
        if weight < _SLIGHT:
            with self._lock:
                for (known, where), future in reversed(self._kept.items()):
                    if known == picture and future.done() and where.is_near(situation):
                        return future.result()
        return self._of(picture, situation)

    def _of(self, picture: str, situation: Situation) -> Seen:
        known = (picture, situation)
        with self._lock:
            future = self._kept.get(known)
            mine = future is None
            if future is None:
                future = self._kept[known] = Future()
                while len(self._kept) > self._most_kept:
                    self._kept.popitem(last=False)
            self._kept.move_to_end(known)
        if mine:
            try:
                seen = self._render({picture: 1.0}, situation)
                self._most_kept = max(_LEAST_KEPT, _KEPT_BYTES // seen.light.nbytes)
                future.set_result(seen)
            except BaseException as error:
                with self._lock:
                    self._kept.pop(known, None)
                future.set_exception(error)
                raise
        return future.result()
