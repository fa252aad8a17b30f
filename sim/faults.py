"""Deciding which fault happens when, and remembering it for the truth."""

import threading
import time
from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any
from zlib import crc32

import numpy as np

from sim.clock import Clock
from sim.fault_plan import FaultPlan


@dataclass(frozen=True)
class Injected:
    """One fault that happened."""

    door: str
    kind: str
    number: int
    """Of the frame, as its metadata has it; of the request at this door, from the world's beginning."""
    at: int
    """Of the frame or request, from when the plan came into force."""
    request: str
    """What was asked; empty for frames."""
    world_s: float
    unix_s: float


class Faults:
    """The faults of one world.

    Each door draws from a stream of its own, one number for each frame or request: what happens at one door does not
    depend on how often another one is asked.
    """

    def __init__(self, clock: Clock, plan: FaultPlan) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._injected: list[Injected] = []
        self.follow(plan)

    @property
    def plan(self) -> FaultPlan:
        """The plan in force."""
        return self._plan

    def follow(self, plan: FaultPlan) -> None:
        """Put another plan into force; its counts begin now."""
        with self._lock:
            self._plan = plan
            self._counts: Counter[str] = Counter()
            self._draws: dict[str, np.random.Generator] = {}
            self._scheduled = {(fault.door, fault.at): fault.kind for fault in plan.schedule}

    def due(self, door: str) -> tuple[str | None, int]:
        """Count a frame or request: the fault that should happen now, and its number under this plan."""
        with self._lock:
            self._counts[door] += 1
            at = self._counts[door]
            chances = {name: rate for name, rate in self._plan.rates.items() if name.startswith(f"{door}.")}
            kind = self._scheduled.get((door, at))
            if not chances:
                return kind, at
            if door not in self._draws:
                self._draws[door] = np.random.default_rng([self._plan.seed, crc32(door.encode())])
            drawn = self._draws[door].random()
            for name, rate in sorted(chances.items()):
                drawn -= rate
                if drawn < 0.0:
                    return kind or name.partition(".")[2], at
            return kind, at

    def happened(self, door: str, kind: str, number: int, at: int, request: str = "") -> None:
        """Remember a fault that was injected."""
        fault = Injected(door, kind, number, at, request, self._clock.now_s(), time.time())
        with self._lock:
            self._injected.append(fault)

    def report(self) -> dict[str, Any]:
        """What was injected since the world began, as JSON values."""
        with self._lock:
            injected = list(self._injected)
            plan = self._plan
        counts = Counter(f"{fault.door}.{fault.kind}" for fault in injected)
        return {
            "plan": plan.model_dump(),
            "counts": dict(sorted(counts.items())),
            "injected": [asdict(fault) for fault in injected],
        }
