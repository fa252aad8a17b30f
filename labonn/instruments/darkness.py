"""The shortest way to dark: the shutter and the light of a bench file, connected for nothing else."""

import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from labonn.errors import BenchInUse, InstrumentError
from labonn.instruments.bench_config import BenchConfig, read_bench
from labonn.instruments.clock import SystemClock
from labonn.instruments.control import NotHeld, ask_holder
from labonn.instruments.instrument import Instrument, Shared, Site
from labonn.instruments.light import Light
from labonn.instruments.lock import Holder, exclusively, holder_of
from labonn.instruments.processes import kill
from labonn.instruments.registry import make_instrument
from labonn.instruments.shutter import Shutter
from labonn.instruments.world import Doors, fill_in, start_world, world_named

T = TypeVar("T")

_ANSWER_LIMIT_S = 10.0
_KILL_LIMIT_S = 5.0
_SLICE_S = 0.05


def each_at_once(things: Iterable[T], act: Callable[[T], None]) -> list[Exception]:
    """Do something to all things at the same time, so that none waits for another that hangs; give what failed."""
    things = list(things)

    def outcome(thing: T) -> Exception | None:
        try:
            act(thing)
        except Exception as error:  # noqa: BLE001 - every failure is given back, and the others must have their turn
            return error
        return None

    if not things:
        return []
    with ThreadPoolExecutor(len(things), thread_name_prefix="to dark") as pool:
        return [failure for failure in pool.map(outcome, things) if failure is not None]


class WayToDark:
    """Shutter and light of one bench, made but not connected.

    Parameters
    ----------
    bench_file
        The bench file.
    doors
        For a simulated bench: where its instruments answer.

    Raises
    ------
    ConfigError
        If the bench file is wrong.
    """

    def __init__(self, bench_file: Path, doors: Doors) -> None:
        self._file = bench_file
        self._doors = doors
        self._config = read_bench(bench_file)
        self._shared = Shared()
        self._instruments = self._make()

    @property
    def name(self) -> str:
        """The bench's name."""
        return self._config.name

    def get_ready(self) -> None:
        """Load what takes long to load."""
        for instrument in self._instruments:
            instrument.get_ready()

    def make_dark(self) -> bool:
        """Connect, close the shutter and turn the light off, each whatever the other does; may be tried again.

        Returns
        -------
        Whether the bench was lit.

        Raises
        ------
        BenchInUse
            If a living process holds the bench.
        InstrumentError
            If it could not be made dark.
        """
        with ExitStack() as held:
            held.enter_context(exclusively(self.name))
            if self._config.world is not None:
                held.enter_context(world_named(self.name))
            instruments = self._instruments

            def darken(instrument: Instrument) -> None:
                instrument.connect()
                instrument.make_dark()

            failures = each_at_once(instruments, darken)
            each_at_once(instruments, lambda instrument: instrument.disconnect())
            self._shared.close()
            self._shared = Shared()
            self._instruments = self._make()
        if failures:
            raise InstrumentError(
                f"bench {self.name!r} could not be made dark, LOOK AT IT: " + "; ".join(map(str, failures))
            ) from failures[0]
        return found_lit(instruments)

    def _make(self) -> tuple[Instrument, ...]:
        site = Site(self._file.resolve().parent, SystemClock(), self._shared, only_dark=True)
        return tuple(
            make_instrument(
                name,
                fill_in(self._config.instruments[name], self._doors, f"{self._file}: instruments.{name}"),
                kind,
                site,
                str(self._file),
            )
            for name, kind in _dark_makers(self._config)
        )


def found_lit(instruments: Iterable[Instrument]) -> bool:
    """Whether there was light when these were connected: the shutter open, and the light, if there is one, on."""
    instruments = tuple(instruments)
    shutters_open = [one.found_open for one in instruments if isinstance(one, Shutter)]
    lights_on = [one.found_on for one in instruments if isinstance(one, Light)]
    return any(shutters_open) and (any(lights_on) or not lights_on)


@dataclass(frozen=True)
class Darkened:
    """How a bench was made dark."""

    by: str
    """Who did it: the process that holds the bench, or this command."""
    was_lit: bool
    """Whether it was lit before."""
    seconds: float


def darken_bench(path: Path | str) -> Darkened:
    """Make a bench dark, whoever holds it, and when nobody does.

    The holder is told to; its run ends as aborted. A holder that does not answer is killed.

    Raises
    ------
    ConfigError
        If the bench file is wrong.
    InstrumentError
        If the bench could not be made dark.
    """
    path = Path(path)
    config = read_bench(path)
    began_s = time.perf_counter()
    holder = holder_of(config.name)
    by = "this command"
    try:
        answer = ask_holder(config.name, "dark", _ANSWER_LIMIT_S)
        return Darkened(str(holder), bool(answer.get("was_lit")), time.perf_counter() - began_s)
    except NotHeld:
        pass
    except InstrumentError:
        # Its watchdog may have been quicker.
        if holder is not None and holder.lives:
            _kill(holder)
        by = f"this command, after {holder} did not answer and was killed"
    doors: Doors = {} if config.world is None else start_world(path).doors
    way = WayToDark(path, doors)
    deadline = time.monotonic() + _KILL_LIMIT_S
    while True:
        try:
            was_lit = way.make_dark()
        except BenchInUse:
            # The watchdog of one that was killed just now holds the lock while it makes the bench dark.
            if time.monotonic() > deadline:
                raise
            time.sleep(_SLICE_S)
        else:
            return Darkened(by, was_lit, time.perf_counter() - began_s)


def _kill(holder: Holder) -> None:
    try:
        kill(holder.pid, holder.started_s, _KILL_LIMIT_S)
    except PermissionError as error:
        raise InstrumentError(
            f"{holder} does not answer and cannot be ended: {error}; turn the key of the laser, then end that process"
        ) from error


def _dark_makers(config: BenchConfig) -> list[tuple[str, Any]]:
    light = config.roles.light
    return [(config.roles.shutter, Shutter), *([] if light is None else [(light, Light)])]
