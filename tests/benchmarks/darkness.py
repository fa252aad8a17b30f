"""How long a lit bench stays lit, after every event that ends it: ``python -m tests.benchmarks.darkness``.

On the simulated bench in real time, about 10 minutes on 2 cores; ``--only Ctrl-C --repeats 100`` tries one event alone,
about 10 minutes too, and writes a section of its own. The times run from the event to the moment at which
the world itself became dark (its shutter closed, or its laser off), by the same computer's clock.
"""

import argparse
import platform
import re
import signal
import statistics
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from tests.bench.conftest import AS_A_REAL_BENCH, Simulated, bench_of, simulated
from tests.bench.serial_bench import serial_bench
from tests.bench.ways_out import (
    Run,
    by_command,
    by_exception,
    by_signal,
    by_too_much_power,
    by_world,
    dark_after_s,
    lit_run,
)
from tests.benchmarks.results import write_section

Way = Callable[[Run], float]

WAYS: dict[str, tuple[Way, str]] = {
    "Ctrl-C": (by_signal("SIGINT"), "median 0.2 s, and the frame in flight"),
    "SIGTERM": (by_signal("SIGTERM"), ""),
    "closed terminal (SIGHUP)": (by_signal("SIGHUP"), ""),
    "exception in the script": (by_exception, ""),
    "`kill -9`": (by_signal("SIGKILL"), "2 s"),
    "hang (SIGSTOP)": (by_signal("SIGSTOP"), "2 s"),
    "interlock: power, set by another VISA client": (by_too_much_power, "two periods, 0.5 s"),
    "interlock: temperature": (by_world(thermometer__celsius=31.0), "two periods, 0.5 s"),
    "`labonn bench dark` from another shell, its start included": (by_command("bench", "dark"), ""),
    "`labonn control abort` from another shell, its start included": (by_command("control", "abort"), ""),
}
SERIAL = {"`kill -9`, shutter and laser on serial lines": (by_signal("SIGKILL"), "2 s")}
# The laser's own interlock input is not here: the laser itself turns off with it, whatever labonn does.


def measure(world: Simulated, way: Way, lab: Path) -> float:
    """Light the bench, let it happen, and give the seconds until it was dark."""
    with lit_run(world, lab) as run:
        try:
            after_s = dark_after_s(world, way(run))
            run.process.wait(60)
        finally:
            world.set(thermometer__celsius=21.5)
    return after_s


def table(times: dict[str, list[float]], promised: dict[str, str], repeats: int, only: str | None) -> str:
    """Write median and worst of every way out, as a section of docs/results.md."""
    lines = [
        f"## From an event to darkness{f': {only}' if only else ''}",
        "",
        f"`python -m tests.benchmarks.darkness --repeats {repeats}{f' --only {only!r}' if only else ''}`,"
        f" {datetime.now(UTC):%Y-%m-%d}; the simulated mono"
        f" bench in real time, lit and in the middle of captures, {repeats} times each; seconds from the event to the"
        f" moment at which the simulated laboratory itself was dark, as its test door says; {platform.machine()},"
        " 2 cores. Interlocks are looked at every 250 ms. Exposures are 5 ms.",
        "",
        "| event | promised | median | worst |",
        "|---|---|---|---|",
    ]
    for name, measured in times.items():
        lines.append(f"| {name} | {promised[name]} | {statistics.median(measured):.2f} | {max(measured):.2f} |")
    return "\n".join(lines)


def main() -> None:
    """Try every way out, and write the section."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", choices=[*WAYS, *SERIAL], help="this event alone")
    parser.add_argument("--dry-run", action="store_true", help="print the section, and write nothing")
    arguments = parser.parse_args()
    # What a shell has put into the background, or nohup started, ignores these, and so would the runs that get them.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
    times: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        name = "darkness-benchmark"
        file = bench_of(Path(folder, "bench"), name, ('clock = "virtual"', 'clock = "real"'), AS_A_REAL_BENCH)
        serial_file = serial_bench(Path(folder, "serial"), name, pty=True)
        with simulated(file) as world:
            serial = Simulated(serial_file, world.pid, world.door, world.doors)
            benches = [
                (bench, {way: tried for way, tried in ways.items() if arguments.only in (None, way)})
                for bench, ways in ((world, WAYS), (serial, SERIAL))
            ]
            for repeat in range(arguments.repeats):
                for bench, ways in benches:
                    for way_name, (way, _) in ways.items():
                        after_s = measure(bench, way, Path(folder, f"lab-{repeat}-{len(times)}-{abs(hash(way_name))}"))
                        times.setdefault(way_name, []).append(after_s)
                        print(f"{repeat + 1}/{arguments.repeats} {way_name}: {after_s:.3f} s", flush=True)
    promised = {way_name: promise for way_name, (_, promise) in (WAYS | SERIAL).items()}
    section = table(times, promised, arguments.repeats, arguments.only)
    if arguments.dry_run:
        print(section)
    else:
        slug = re.sub(r"[^a-z0-9]+", "-", f"darkness {arguments.only or ''}".lower()).strip("-")
        write_section(slug, section)


if __name__ == "__main__":
    main()
