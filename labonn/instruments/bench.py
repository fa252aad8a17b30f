"""An open bench: its instruments in their roles, held by one process, left dark on every way out."""

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from labonn.errors import InstrumentError
from labonn.instruments.bench_config import BenchConfig, read_bench
from labonn.instruments.calls import Caller
from labonn.instruments.camera import Camera
from labonn.instruments.clock import Clock, SystemClock, WorldClock
from labonn.instruments.display import Display
from labonn.instruments.instrument import Instrument, Shared, Site
from labonn.instruments.leaving import Leaving
from labonn.instruments.lock import Holder, bench_lock
from labonn.instruments.registry import make_instrument
from labonn.instruments.shutter import Shutter
from labonn.instruments.slm import SLM
from labonn.instruments.world import start_world, world_named

logger = logging.getLogger(__name__)

_CLOSE_LIMIT_MS = 10_000.0


@dataclass(frozen=True)
class Bench:
    """The instruments of an open bench."""

    path: Path
    config: BenchConfig
    clock: Clock
    display: Display
    slm: SLM
    camera: Camera
    shutter: Shutter
    left_by: Holder | None = field(default=None)
    """The process that held the bench before and died: the bench may have been lit since."""

    @property
    def name(self) -> str:
        """The bench's name, unique on this machine."""
        return self.config.name

    @property
    def instruments(self) -> tuple[Instrument, ...]:
        """Every instrument, in the order in which they are connected: what makes dark comes first."""
        return (self.shutter, self.display, self.slm, self.camera)

    def settings(self) -> dict[str, Any]:
        """Snapshot of every instrument's identity and settings, ready for JSON."""
        return {
            "bench": self.name,
            "file": str(self.path),
            "geometry": self.config.geometry.model_dump(mode="json"),
            "instruments": {
                instrument.name: {"identity": instrument.identify(), **instrument.settings()}
                for instrument in self.instruments
            },
        }

    def make_dark(self) -> None:
        """Close the shutter, proven by its own reading, and show black; each is tried whatever the other does.

        Raises
        ------
        InstrumentError
            If an instrument did not do its part: the bench may still be lit.
        """
        failures = _each(self.instruments, lambda instrument: instrument.make_dark())
        if failures:
            raise InstrumentError(
                f"bench {self.name!r} could not be made dark, LOOK AT IT: " + "; ".join(map(str, failures))
            ) from failures[0]


@contextmanager
def open_bench(path: Path | str, *, world_seed: int | None = None) -> Iterator[Bench]:
    """Open the bench of a bench file; it is dark when this begins and dark again however it ends.

    While a bench is open in the main thread, SIGTERM and a closed terminal raise `KeyboardInterrupt`, as Ctrl-C does.

    Parameters
    ----------
    path
        The bench file.
    world_seed
        For a simulated bench: the seed of its world.

    Raises
    ------
    ConfigError
        If the bench file, or a file that it names, is wrong. Nothing was touched.
    BenchInUse
        If another process holds the bench.
    InstrumentError
        If an instrument does not answer, or the bench could not be made dark.
    """
    path = Path(path)
    config = read_bench(path)
    leaving = Leaving()
    # A rehearsal: every table is checked before the lock, the world or an instrument is touched.
    _make(path, config, SystemClock(), Shared(), None)
    with ExitStack() as held:
        left_by = held.enter_context(bench_lock(config.name))
        held.enter_context(leaving.active())
        clock = _start_clock(path, config, world_seed, held)
        shared = Shared()
        held.callback(_close_shared, config.name, shared)
        bench = _make(path, config, clock, shared, left_by)
        with _dark_at_the_end(bench, leaving):
            for instrument in bench.instruments:
                instrument.connect()
            bench.make_dark()
            yield bench


def _start_clock(path: Path, config: BenchConfig, world_seed: int | None, held: ExitStack) -> Clock:
    if config.world is None:
        return SystemClock()
    world = start_world(path, world_seed)
    held.enter_context(world_named(world.bench))
    clock = WorldClock(world.clock_address)
    held.callback(clock.close)
    return clock


def _make(path: Path, config: BenchConfig, clock: Clock, shared: Shared, left_by: Holder | None) -> Bench:
    site = Site(folder=path.resolve().parent, clock=clock, shared=shared)
    kinds: dict[str, Any] = {"display": Display, "slm": SLM, "camera": Camera, "shutter": Shutter}
    in_roles = {
        role: make_instrument(name, config.instruments[name], kinds[role], site, str(path))
        for role, name in config.roles.model_dump().items()
    }
    return Bench(path=path, config=config, clock=clock, left_by=left_by, **in_roles)


@contextmanager
def _dark_at_the_end(bench: Bench, leaving: Leaving) -> Iterator[None]:
    try:
        yield
    except BaseException as error:
        with leaving.protected():
            for failure in _leave(bench):
                # The first failure is what is raised; what came on top of it must still be read by someone.
                logger.error("%s", failure)
                error.add_note(str(failure))
        raise
    with leaving.protected():
        failures = _leave(bench)
    if failures:
        raise failures[0]


def _leave(bench: Bench) -> list[Exception]:
    """Make dark, then disconnect everything; give what failed."""
    failures = _each((bench,), lambda open_bench: open_bench.make_dark())
    failures += _each(reversed(bench.instruments), lambda instrument: instrument.disconnect())
    return failures


def _each(things: Any, act: Callable[[Any], None]) -> list[Exception]:
    """Do something to each thing, whatever happened with those before it; give what failed."""
    failures: list[Exception] = []
    for thing in things:
        try:
            act(thing)
        except Exception as error:  # noqa: BLE001 - every failure is given back, and the others must have their turn
            failures.append(error)
    return failures


def _close_shared(name: str, shared: Shared) -> None:
    caller = Caller(f"bench {name!r}")
    try:
        caller.call("closing its drivers", shared.close, _CLOSE_LIMIT_MS)
    except InstrumentError as error:
        # The bench is dark and its instruments are let go: a library that will not end is no reason to fail the run.
        logger.warning("%s", error)
    finally:
        caller.stop()
