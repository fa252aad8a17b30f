"""What can be wrong with a frame, how often it was, and taking a frame again until it is right."""

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from labonn.capture.ahead import Taken
from labonn.errors import InstrumentError, InterlockTripped, StaleFrameError
from labonn.instruments import Bench

logger = logging.getLogger(__name__)

Frame = NDArray[np.uint16]

MOST_TRIES = 3
"""How often a frame is taken before the camera is given up."""


class Fault(StrEnum):
    """What is wrong with a frame."""

    DROPPED = "dropped"
    DUPLICATED = "duplicated"
    TRUNCATED = "truncated"
    STALE = "stale"
    SATURATED = "saturated"


_ADVICE = {
    Fault.DUPLICATED: "check its trigger and its buffers",
    Fault.TRUNCATED: "check its cable, and whether its connection is fast enough",
    Fault.STALE: "check its trigger and its buffers, and the display's settle_ms in the bench file",
    Fault.SATURATED: "dim the light, look for a reflection or a lamp, and recalibrate",
}


@dataclass(frozen=True)
class Finding:
    """A fault, and what was seen of it."""

    fault: Fault
    seen: str
    error: InstrumentError | None = None
    """What the camera failed with, where there is no frame at all."""


@dataclass
class CaptureCounts:
    """How many frames were asked for and delivered, and how many had to be taken again, by fault."""

    asked: int = 0
    delivered: int = 0
    retaken: Counter[str] = field(default_factory=Counter)

    def summary(self) -> dict[str, int]:
        """As plain numbers, for a record; faults that did not come are left out."""
        return {"asked": self.asked, "delivered": self.delivered, **dict(sorted(self.retaken.items()))}


def _nothing() -> None:
    pass


def _fine(frame: Frame) -> Finding | None:
    return None


class Taker:
    """Takes frames, looks at each, and takes it again where something is wrong with it.

    Parameters
    ----------
    bench
        An open bench.
    check
        Says what is wrong with a frame, given the one that the camera delivered before it, if any.
    counts
        Is kept up to date.
    """

    def __init__(self, bench: Bench, check: Callable[[Frame, Frame | None], Finding | None], counts: CaptureCounts):
        self._bench = bench
        self._check = check
        self._counts = counts
        self._before: Frame | None = None

    def flush(self) -> None:
        """Take a frame for nothing: what the camera still held is delivered now, and what comes is compared with it.

        Raises
        ------
        InstrumentError
            If none arrives.
        """
        self._repeat("a frame to begin with", _Steps(_nothing, lambda _: None, _fine))

    def drain(self) -> None:
        """Take a frame for nothing, if one comes."""
        self._try(_Steps(_nothing, lambda _: None, _fine))

    def take(
        self,
        what: str,
        prepare: Callable[[], None] = _nothing,
        examine: Callable[[Frame], Finding | None] = _fine,
        *,
        again: Callable[[int], None] | None = None,
        first: Taken | None = None,
    ) -> tuple[Frame, tuple[Fault, ...]]:
        """Take one frame.

        Parameters
        ----------
        what
            What it is of, for messages.
        prepare
            Shows it, or waits until it is shown.
        examine
            Says what is wrong with a frame beyond what can be seen without knowing what it is of.
        again
            Shows it again, before each further try, told how many there were; `prepare` where None.
        first
            What came of the first try, if that was made already.

        Returns
        -------
        The frame, and what was wrong with those that were thrown away for it.

        Raises
        ------
        StaleFrameError
            If the camera goes on delivering frames of something else.
        InstrumentError
            If it delivers none, or none that is whole and within its range.
        """
        self._counts.asked += 1
        steps = _Steps(
            prepare,
            again or (lambda _: prepare()),
            lambda frame: self._check(frame, self._before) or examine(frame),
            first,
        )
        frame, faults = self._repeat(what, steps, count=True)
        self._counts.delivered += 1
        return frame, faults

    def _repeat(self, what: str, steps: "_Steps", *, count: bool = False) -> tuple[Frame, tuple[Fault, ...]]:
        faults: list[Fault] = []
        steps.prepare()
        while True:
            frame, finding = self._try(steps if not faults else replace(steps, first=None))
            if finding is None:
                assert frame is not None
                return frame, tuple(faults)
            faults.append(finding.fault)
            if len(faults) == MOST_TRIES:
                raise _given_up(f"{self._bench.camera}: {what}", finding, faults) from finding.error
            if count or finding.fault == Fault.DROPPED:
                self._counts.retaken[str(finding.fault)] += 1
            logger.warning("%s: %s: %s; it is taken again", self._bench.camera, what, finding.seen)
            steps.again(len(faults))

    def _try(self, steps: "_Steps") -> tuple[Frame | None, Finding | None]:
        try:
            frame = self._bench.camera.snap() if steps.first is None else steps.first.result()
        except InterlockTripped:
            raise
        except InstrumentError as error:
            return None, Finding(Fault.DROPPED, str(error).removeprefix(f"{self._bench.camera}: "), error)
        finding = steps.examine(frame)
        self._before = frame
        return frame, finding


@dataclass(frozen=True)
class _Steps:
    """What is done around the taking of one frame."""

    prepare: Callable[[], None]
    again: Callable[[int], None]
    examine: Callable[[Frame], Finding | None]
    first: Taken | None = None


def _given_up(where: str, finding: Finding, faults: list[Fault]) -> InstrumentError:
    said = f"{where}: {finding.seen}"
    tries = f"tried {len(faults)} times in a row ({', '.join(faults)})"
    if finding.fault == Fault.DROPPED:
        return InstrumentError(f"{said}; {tries}")
    kind = StaleFrameError if finding.fault in (Fault.DUPLICATED, Fault.STALE) else InstrumentError
    return kind(f"{said}; {tries}; {_ADVICE[finding.fault]}")
