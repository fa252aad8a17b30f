"""How the benches are, asked twice a second while anybody looks: a frozen snapshot a bench."""

import asyncio
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from labonn.errors import InstrumentError, LabonnError
from labonn.instruments.control import NotHeld, ask_holder
from labonn.instruments.lock import holder_of
from labonn.web.place import BenchFile, Place

logger = logging.getLogger(__name__)

PERIOD_S = 0.5
_ANSWER_LIMIT_S = 2.0
_LOOK_FOR_BENCHES_S = 5.0

Light = Literal["dark", "lit", "unknown"]


@dataclass(frozen=True)
class BenchState:
    """How a bench is, as far as can be known from outside."""

    bench: BenchFile
    light: Light
    doing: str
    """``idle``, ``running``, ``pausing``, ``paused``; ``held`` by what runs no protocol; ``left``; ``silent``."""
    holder: str | None = None
    remark: str | None = None
    """What is wrong, in words."""
    told: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    """What the holder says: the run, its step, readings of interlocks."""

    @property
    def run(self) -> str | None:
        """The run that holds the bench."""
        run = self.told.get("run")
        return None if run is None else str(run)

    @property
    def headline(self) -> str:
        """Say it in one line."""
        if self.doing == "idle":
            return "nobody holds it"
        if self.doing in ("left", "silent"):
            return self.remark or self.doing
        if self.run is None:
            return f"held by {self.holder}"
        step, done, total = (self.told.get(key) for key in ("step", "done", "total"))
        where = "" if step is None else f": {step}, {done} of {total}" if total else f": {step}"
        return f"{self.told.get('protocol')} {self.doing}{where}"


def look_at(bench: BenchFile) -> BenchState:
    """Ask how a bench is; takes no longer than two seconds."""
    holder = holder_of(bench.name)
    if holder is None:
        return BenchState(bench, "dark", "idle")
    if not holder.lives:
        return BenchState(
            bench,
            "unknown",
            "left",
            str(holder),
            f"left by {holder}, which ended without closing it: press dark, and look",
        )
    try:
        told = ask_holder(bench.name, "status", _ANSWER_LIMIT_S)
    except NotHeld:
        return BenchState(bench, "dark", "idle")
    except InstrumentError as error:
        if holder.control is None:  # it is being opened or closed: what it does first, and last, is to make it dark
            return BenchState(bench, "dark", "held", str(holder))
        return BenchState(bench, "unknown", "silent", str(holder), str(error))
    light: Light = "lit" if told.get("lit") else "dark"
    return BenchState(bench, light, str(told.get("state", "held")), str(holder), told.get("tripped"), told)


class States:
    """The snapshots of all benches.

    Parameters
    ----------
    place
        The laboratory.
    """

    def __init__(self, place: Place) -> None:
        self._place = place
        self.benches: dict[str, BenchState] = {}
        self.looked_s = 0.0
        """When they were taken, by the monotonic clock."""
        self._files: dict[str, BenchFile] = {}
        self._files_s = -_LOOK_FOR_BENCHES_S

    async def keep_looking(self) -> None:
        """Look, until cancelled."""
        while True:
            begin_s = time.monotonic()
            try:
                await self.look()
            except LabonnError as error:
                logger.warning("%s", error)
            except Exception:  # the page goes on, and says how old what it shows is
                logger.exception("looking at the benches failed")
            await asyncio.sleep(max(0.05, PERIOD_S - (time.monotonic() - begin_s)))

    async def look(self) -> None:
        """Look once, at all benches at the same time."""
        if time.monotonic() - self._files_s >= _LOOK_FOR_BENCHES_S:
            self._files_s = time.monotonic()
            self._files = await asyncio.to_thread(self._place.benches)
        found = await asyncio.gather(*(asyncio.to_thread(look_at, bench) for bench in self._files.values()))
        self.benches = {state.bench.name: state for state in found}
        self.looked_s = time.monotonic()

    @property
    def age_s(self) -> float:
        """How old they are."""
        return time.monotonic() - self.looked_s
