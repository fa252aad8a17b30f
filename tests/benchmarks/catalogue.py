"""How fast runs are found among 100,000: ``python -m tests.benchmarks.catalogue``, about two minutes."""

import argparse
import json
import platform
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from labonn.records.catalogue import FILE, rebuild
from tests.benchmarks.results import write_section

REPEATS = 9


def make_runs(lab: Path, count: int) -> None:
    """Write the records of a laboratory's years."""
    begin = datetime(2020, 1, 1, tzinfo=UTC)
    for number in range(count):
        chance = random.Random(number)
        moment = begin + timedelta(minutes=30 * number)
        protocol = chance.choice(["recalibrate", "watch_drift", "evaluate", "characterise"])
        name = f"{moment:%Y%m%dT%H%M%SZ}-{protocol}-{''.join(chance.choices('abcdefghij', k=4))}"
        folder = lab / "runs" / name
        if folder.is_dir():
            continue
        folder.mkdir(parents=True)
        record = {
            "schema": 2,
            "id": name,
            "protocol": protocol,
            "bench": chance.choice(["mono", "poly"]),
            "optic": {"serial_number": "SIM-SLM-0001"},
            "status": chance.choice(["done"] * 8 + ["failed", "refused"]),
            "start_utc": moment.isoformat(),
            "start_monotonic_s": 0.0,
            "operator": "operator",
            "reason": "a sentence that says why, as long as they are",
            "seconds": {"total": chance.uniform(10, 200)},
            "parameters": {f"parameter {n}": n for n in range(12)},
            "instruments": {"instruments": {f"instrument {n}": {"setting": n, "other": "text"} for n in range(30)}},
            "result": {"release": f"mono-{number}", "methods": {"none": 90.0, "twin+ntkd": 98.0}},
        }
        (folder / "run.json").write_text(json.dumps(record), encoding="utf-8")


def process_ms(lab: Path, *options: str) -> float:
    """Time of ``labonn runs list`` from its start to its end, and what it said thrown away."""
    command = [sys.executable, "-m", "labonn", "runs", "list", "--lab", str(lab), *options]
    begin_s = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return 1e3 * (time.perf_counter() - begin_s)


def inside_ms(lab: Path) -> float:
    """Time of the same inside a process that has everything imported."""
    from labonn.cli.listing import list_command

    begin_s = time.perf_counter()
    list_command(lab, None, None, {"protocol": None, "bench": None, "release": None, "status": None}, 20)
    return 1e3 * (time.perf_counter() - begin_s)


def repeated(measure: Callable[[], float], before: Callable[[], None] = lambda: None) -> str:
    """Median and worst, once tried for nothing."""
    values = []
    for _ in range(REPEATS + 1):
        before()
        values.append(measure())
    return f"{statistics.median(values[1:]):.0f} | {max(values[1:]):.0f}"


def main() -> None:
    """Measure, and write the section."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--lab", type=Path, help="make the runs here, or use those that are here, and leave them")
    parser.add_argument("--dry-run", action="store_true", help="print the section, and write nothing")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        lab = arguments.lab or Path(name)
        make_runs(lab, arguments.runs)
        begin_s = time.perf_counter()
        assert rebuild(lab) >= arguments.runs
        rebuilt_s = time.perf_counter() - begin_s
        added = iter(range(REPEATS + 1))

        def add_run() -> None:
            folder = lab / "runs" / f"20990101T000000Z-evaluate-{next(added):04}"
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            (folder / "run.json").write_text(json.dumps({"id": folder.name, "protocol": "evaluate", "status": "done"}))

        rows = {
            "whole process": repeated(lambda: process_ms(lab)),
            "the same, with filters": repeated(
                lambda: process_ms(lab, "--status", "refused", "--bench", "poly", "--since", "2021-01-01")
            ),
            "whole process, after a folder came that the catalogue had not been told of": repeated(
                lambda: process_ms(lab), add_run
            ),
            "whole process, the file to be checked for damage": repeated(
                lambda: process_ms(lab), lambda: (lab / f"{FILE}.checked").unlink(missing_ok=True)
            ),
            "inside": repeated(lambda: inside_ms(lab)),
            "for comparison: Python that does nothing": repeated(_nothing_ms),
        }
        section = "\n".join(
            [
                f"## The catalogue of {arguments.runs:,} runs",
                "",
                f"`python -m tests.benchmarks.catalogue`, {datetime.now(UTC):%Y-%m-%d}; {platform.machine()}, 2 cores."
                f" `labonn runs list`, the latest 20 of {arguments.runs:,} (asked: at most 300 ms). Making it"
                f" again from the folders took {rebuilt_s:.0f} s.",
                "",
                f"| | median of {REPEATS}, ms | worst, ms |",
                "|---|---|---|",
                *(f"| {what} | {values} |" for what, values in rows.items()),
            ]
        )
    if arguments.dry_run:
        print(section)
    else:
        write_section("catalogue", section)


def _nothing_ms() -> float:
    begin_s = time.perf_counter()
    subprocess.run([sys.executable, "-c", "pass"], check=True)
    return 1e3 * (time.perf_counter() - begin_s)


if __name__ == "__main__":
    main()
