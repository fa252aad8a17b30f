"""How soon ``labonn recalibrate --if-due`` has its answer: ``python -m tests.benchmarks.if_due``, a minute.

From the start of the process: until it has ended, where nothing is due; until it holds the bench, where something is;
and with two started at once, how each ended. Who holds the bench is asked to stop then, before a run begins.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from labonn.instruments.lock import holder_of
from labonn.records import Run
from tests.bench.conftest import bench_of
from tests.benchmarks.catalogue import make_runs
from tests.benchmarks.results import write_section

REPEATS = 9
# An interrupt while a library in C is imported ends Python by SIGINT itself, which a shell calls 130, too.
STOPPED_AND_REFUSED = ([5, 130], [-2, 5])
NEVER = '\n[schedule]\ncron = "0 3 29 2 *"\nexpiry_h = 1e6\n[schedule.drift]\n'
ALWAYS = '\n[schedule]\ncron = "* * * * *"\nback_off_min = 1\n'


def command(bench: Path, lab: Path) -> list[str]:
    """Give the words of the one-shot."""
    return [sys.executable, "-m", "labonn", "recalibrate", str(bench), "--if-due", "--lab", str(lab), "--json"]


def not_due_s(bench: Path, lab: Path) -> float:
    """Time of a process that finds nothing due."""
    begin_s = time.perf_counter()
    done = subprocess.run(command(bench, lab), stdout=subprocess.PIPE, check=True)
    seconds = time.perf_counter() - begin_s
    assert json.loads(done.stdout)["due"] is False
    return seconds


def held_after_s(bench: Path, name: str, lab: Path) -> float:
    """From the start of a process that finds something due until it holds the bench; then it is asked to stop."""
    begin_s = time.perf_counter()
    with subprocess.Popen(command(bench, lab), stdout=subprocess.DEVNULL) as process:
        while (holder := holder_of(name)) is None or holder.pid != process.pid:
            assert process.poll() is None, "it never held the bench"
            time.sleep(0.002)
        seconds = time.perf_counter() - begin_s
        process.terminate()
    return seconds


def two_at_once(bench: Path, lab: Path) -> list[int]:
    """Exit codes of two that are started at the same time, in order; who has the bench is asked to stop at last."""
    both = [subprocess.Popen(command(bench, lab), stdout=subprocess.DEVNULL) for _ in range(2)]
    while all(process.poll() is None for process in both):
        time.sleep(0.01)
    for process in both:
        if process.poll() is None:
            process.terminate()
    return sorted(process.wait() for process in both)


def row(what: str, asked: str, values: Sequence[float]) -> str:
    """Median and worst."""
    return f"| {what} | {asked} | {statistics.median(values):.2f} | {max(values):.2f} |"


def main() -> None:
    """Measure, and write the section."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=10_000, help="runs in the laboratory's catalogue")
    parser.add_argument("--dry-run", action="store_true", help="print the section, and write nothing")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        name = f"if-due-{os.getpid()}"
        quiet, due = Path(folder, "quiet"), Path(folder, "due")
        make_runs(quiet, arguments.runs)
        bench = bench_of(Path(folder, "bench"), name)
        sound = bench.read_text(encoding="utf-8")
        bench.write_text(sound + NEVER, encoding="utf-8")
        Run.start(quiet, "recalibrate", bench=name).finish("done", exit_code=0)
        not_due_s(bench, quiet)  # makes the catalogue
        not_due = [not_due_s(bench, quiet) for _ in range(REPEATS)]
        bench.write_text(sound + ALWAYS, encoding="utf-8")
        held, endings = [], []
        for _ in range(REPEATS):
            held.append(held_after_s(bench, name, due))
        for _ in range(REPEATS):
            endings.append(two_at_once(bench, due))
    one_refused = sum(ending in STOPPED_AND_REFUSED for ending in endings)
    section = "\n".join(
        [
            "## `labonn recalibrate --if-due`",
            "",
            f"`python -m tests.benchmarks.if_due`, {datetime.now(UTC):%Y-%m-%d}; {platform.machine()}, 2 cores;"
            f" seconds from the start of the process; {arguments.runs:,} runs in the catalogue.",
            "",
            f"| | asked: at most | median of {REPEATS} | worst |",
            "|---|---|---|---|",
            row("not due: until it has ended", "1.5", not_due),
            row("due: until it holds the bench", "2", held),
            "",
            f"Two started at once on a bench that is due: in {one_refused} of {REPEATS} pairs one had the bench, and"
            " the other ended with 5.",
        ]
    )
    if arguments.dry_run:
        print(section)
    else:
        write_section("if-due", section)


if __name__ == "__main__":
    main()
