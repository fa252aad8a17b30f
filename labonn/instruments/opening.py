"""Opening a bench: in order, for one process, watched; and leaving it dark on every way out."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol

import psutil

from labonn.errors import InstrumentError
from labonn.instruments.bench import Bench
from labonn.instruments.bench_config import BenchConfig, read_bench
from labonn.instruments.calls import Caller
from labonn.instruments.camera import Camera
from labonn.instruments.clock import Clock, SystemClock, WorldClock
from labonn.instruments.control import Control
from labonn.instruments.display import Display
from labonn.instruments.feed import Feed
from labonn.instruments.guard import Guard
from labonn.instruments.instrument import Instrument, Shared, Site
from labonn.instruments.interlocks import Watch, check_interlocks
from labonn.instruments.leaving import Leaving
from labonn.instruments.light import Light
from labonn.instruments.lock import bench_lock, take_note, write_down_control
from labonn.instruments.own_watchdog import LIMIT_S, OwnWatchdog
from labonn.instruments.power_meter import PowerMeter
from labonn.instruments.registry import make_instrument
from labonn.instruments.shutter import Shutter
from labonn.instruments.slm import SLM
from labonn.instruments.stage import Stage
from labonn.instruments.thermometer import Thermometer
from labonn.instruments.watchdog import Errand, Watchdog, let_go_of
from labonn.instruments.world import Doors, fill_in, start_world, world_named

logger = logging.getLogger(__name__)

_CLOSE_LIMIT_MS = 10_000.0
_DARK_LIMIT_S = 10.0
_KINDS: dict[str, Any] = {
    "display": Display,
    "slm": SLM,
    "camera": Camera,
    "shutter": Shutter,
    "light": Light,
    "meter": PowerMeter,
    "thermometer": Thermometer,
    "stage": Stage,
    "stage_down": Stage,
    "stage_right": Stage,
}


class AnyWatchdog(Protocol):
    """What makes the bench dark if this process cannot."""

    def start(self) -> None:
        """Get ready to watch."""

    def arm(self) -> None:
        """Watch closely: light comes."""

    def disarm(self) -> None:
        """Watch less closely: it is dark."""

    def stop(self) -> None:
        """End: the bench is closed."""


@contextmanager
def open_bench(
    path: Path | str, *, world_seed: int | None = None, control_folder: Path | None = None
) -> Iterator[Bench]:
    """Open the bench of a bench file; it is dark when this begins and dark again however it ends.

    While a bench is open in the main thread, SIGTERM and a closed terminal raise `KeyboardInterrupt`, as Ctrl-C does.
    Its interlocks are watched, others can stop it through its control channel, and a watchdog makes it dark if this
    process is killed or hangs while it is lit.

    Parameters
    ----------
    path
        The bench file.
    world_seed
        For a simulated bench: the seed of its world.
    control_folder
        Where the secret of the control channel is kept; the user's own folder where None.

    Raises
    ------
    ConfigError
        If the bench file, or a file that it names, is wrong. Nothing was touched.
    BenchInUse
        If another process holds the bench.
    InstrumentError
        If an instrument does not answer, or the bench could not be made dark.
    InterlockTripped
        If an interlock does not allow light, now or while the bench is open.
    Aborted
        If another process asked for it.
    """
    path = Path(path)
    config = rehearse(path)
    leaving = Leaving()
    with ExitStack() as held:
        left_by = held.enter_context(bench_lock(config.name))
        held.enter_context(leaving.active())
        clock, doors = _start_world(path, config, world_seed, held)
        shared = Shared()
        held.callback(_close_shared, config.name, shared)
        guard = Guard()
        feed = Feed(config.name)
        held.callback(feed.stop)
        site = Site(path.resolve().parent, clock, shared, guard, feed)
        control = Control(config.name, guard, control_folder)
        note = take_note(config.name)
        in_roles: dict[str, Any] = instruments_of(path, config, site, doors)
        in_roles["fitted_slm"] = in_roles.pop("slm", None)
        bench = Bench(path, config, clock, guard, control, left_by=left_by, left_note=note, **in_roles)
        with _dark_at_the_end(bench, leaving):
            for instrument in bench.instruments:
                instrument.connect()
            bench.make_dark()
            let_go_of(path.resolve())
            _say_how_it_was_left(bench)
            watchdog = _watchdog(bench, doors)
            held.callback(watchdog.stop)
            watchdog.start()
            guard.set_up(lambda: bench.make_dark(light_off=True), watchdog.arm, watchdog.disarm)
            held.callback(control.stop)
            door = control.start(lambda: bench.shutter.told_open)
            write_down_control(config.name, {"port": door.port, "secret_file": door.secret_file})
            with _watched(bench, held):
                yield bench


def rehearse(path: Path) -> BenchConfig:
    """Check a bench file and every table in it as opening does, before the lock, the world or an instrument is touched.

    Raises
    ------
    ConfigError
        If anything in it is wrong.
    """
    config = read_bench(path)
    made = instruments_of(path, config, Site(path.resolve().parent, SystemClock()))
    if config.interlocks is not None:
        check_interlocks(config.interlocks, {one.name: one for one in made.values()}, str(path))
    return config


def _start_world(path: Path, config: BenchConfig, seed: int | None, held: ExitStack) -> tuple[Clock, Doors]:
    if config.world is None:
        return SystemClock(), {}
    world = start_world(path, seed)
    held.enter_context(world_named(world.bench))
    if config.world.clock == "real":
        return SystemClock(), world.doors  # theirs is the same, and further away
    clock = WorldClock(world.clock_address)
    held.callback(clock.close)
    return clock, world.doors


def instruments_of(path: Path, config: BenchConfig, site: Site, doors: Doors | None = None) -> dict[str, Instrument]:
    """Make every instrument, by role; where the world's doors are not known yet, its tables say where they will be."""
    made = {}
    for role, name in config.roles.named().items():
        entry = config.instruments[name]
        if doors is not None:
            entry = fill_in(entry, doors, f"{path}: instruments.{name}")
        made[role] = make_instrument(name, entry, _KINDS[role], site, str(path))
    return made


def _say_how_it_was_left(bench: Bench) -> None:
    if bench.left_note is not None:
        logger.warning("bench %r: %s", bench.name, bench.left_note)
    if bench.found_lit:
        logger.warning(
            "bench %r was left LIT by %s; it is dark now", bench.name, bench.left_by or "whoever used it last"
        )


def _watchdog(bench: Bench, doors: Doors) -> AnyWatchdog:
    light = bench.light
    if light is not None and light.armed and light.start_own_watchdog(LIMIT_S):
        return OwnWatchdog(light)
    process = psutil.Process()
    return Watchdog(
        Errand(
            bench_file=bench.path.resolve(),
            holder_pid=process.pid,
            holder_started_s=process.create_time(),
            doors={door: dict(where) for door, where in doors.items()},
        )
    )


@contextmanager
def _watched(bench: Bench, held: ExitStack) -> Iterator[None]:
    def told(readings: Mapping[str, Any]) -> dict[str, Any]:
        camera = {"exposure_ms": bench.camera.exposure_ms, "shape": list(bench.camera.shape)}
        return {"lit": bench.shutter.told_open, "readings": dict(readings), "camera": camera}

    if bench.config.interlocks is None:
        bench.control.tell(lambda: told({}))
        yield
        return
    watch = Watch(bench.config.interlocks, {one.name: one for one in bench.instruments}, bench.guard)
    bench.control.tell(lambda: told(watch.readings))
    held.callback(watch.stop)
    try:
        watch.start()
        yield
    finally:
        watch.end()  # and no more: first the bench is made dark


@contextmanager
def _dark_at_the_end(bench: Bench, leaving: Leaving) -> Iterator[None]:
    try:
        yield
        bench.guard.check()
    except BaseException as error:
        with leaving.protected():
            for failure in _leave(bench):
                # The first failure is what is raised; what came on top of it must still be read by someone.
                logger.error("%s", failure)
                error.add_note(str(failure))
        tripped = bench.guard.error
        # What tripped the guard is the reason; how the code that was running took it is its consequence.
        if tripped is not None and isinstance(error, Exception) and type(error) is not type(tripped):
            raise tripped from error
        raise
    with leaving.protected():
        failures = _leave(bench)
    if failures:
        raise failures[0]


def _leave(bench: Bench) -> list[Exception]:
    """Make dark, then disconnect everything, once nobody else makes it dark as well; give what failed."""
    failures = _each((bench,), lambda open_bench: open_bench.make_dark())
    bench.guard.retire(_DARK_LIMIT_S)
    failures += _each(reversed(bench.instruments), lambda instrument: instrument.disconnect())
    return failures


def _each(things: Iterable[Any], act: Callable[[Any], None]) -> list[Exception]:
    """Do something to each thing in turn, whatever happened with those before it; give what failed."""
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
