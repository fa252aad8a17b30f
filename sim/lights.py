"""Pictures' light on the sensor, each computed once and mixed as the panels mix them.

Everything between the display and the sensor is linear, so the light of a frame that is taken while the display changes
is the mixture of the lights of the pictures on it. A picture's light may be asked for ahead (`foresee`): it is computed
while the display settles on it, and a camera in real time need not wait. Whoever comes first computes it. As many as
fit in some memory are kept: what is shown again, through optics that have not moved, is not rendered again.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch

from sim.optics import Moment
from sim.sensor import Floats

_KEPT_BYTES = 256 << 20
_LEAST_KEPT = 4


@dataclass(frozen=True)
class Situation:
    """All but the display's picture that a light depends on."""

    slm: tuple[tuple[str, float], ...]  # patterns and their weights
    moment: Moment
    binning: int


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
        """Begin to compute a picture's light, which will be asked for."""
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

    def each(self, pictures: Iterable[str], situation: Situation) -> None:
        """Have the light of each picture ready, for several mixtures of them."""
        for picture in pictures:
            self._of(picture, situation)

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
