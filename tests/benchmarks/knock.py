"""From a knock to a release, in real time: ``python -m tests.benchmarks.knock --work DIR``, about 4 minutes.

The mono bench in real time, with an MNIST network that was recalibrated on it. Then the camera is knocked out of focus,
and `labonn recalibrate BENCH --json` is run as an operator would, in a process of its own, the teacher's kernel cached.
How long each step took is in its report; memory is the largest that the process had.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from labonn.instruments import read_bench
from labonn.records import read_run
from tests.bench.conftest import bench_of, simulated
from tests.benchmarks.compensation import trained
from tests.benchmarks.nights import PROTOCOLS, run
from tests.benchmarks.results import write_section

LIMIT_S, WISH_S, LIMIT_GB, LEAST_POINTS = 60, 30, 3.0, 3.0


def measure(work: Path, seed: int, focus_um: float, shift_px: float) -> dict[str, Any]:
    """Deploy, recalibrate, knock, and recalibrate as a command; gives its answer, the seconds, the memory."""
    lab, model = trained(work, seed)
    bench = bench_of(work / "knock", f"knock-{os.getpid()}", ('clock = "virtual"', 'clock = "real"'))
    with simulated(bench) as world:
        run(PROTOCOLS / "deploy_again.py", bench, lab, {"model": model})
        run("recalibrate", bench, lab, {"methods": "none"})
        world.set(
            effects__knock__on=True,
            effects__knock__at_s=0.0,
            effects__knock__shift_px=[shift_px, -shift_px],
            effects__knock__focus_um=focus_um,
        )
        command = [sys.executable, "-m", "labonn", "recalibrate", str(bench), "--lab", str(lab), "--json"]
        begin_s, began = time.perf_counter(), time.time()
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
        seconds = time.perf_counter() - begin_s
    answer: dict[str, Any] = json.loads(done.stdout)
    if done.returncode not in (0, 4):
        raise SystemExit(f"recalibrate ended with {done.returncode}: {answer['error']}")
    steps = read_run(lab / "runs" / answer["run"]).seconds
    record = lab / "releases" / "current" / read_bench(bench).name
    release_s = record.stat().st_mtime - began if answer["released"] else None
    memory_gb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    return answer | {"release_s": release_s, "whole_s": seconds, "memory_gb": memory_gb, "steps": steps}


def table(found: dict[str, Any], seed: int, focus_um: float, shift_px: float) -> str:
    """Write the section."""
    before, after = found["accuracy"]["before"], found["accuracy"]["after"]
    steps = sorted(found["steps"].items(), key=lambda step: -step[1])
    lines = [
        "## From a knock to a release, in real time, bench `mono`",
        "",
        f"`python -m tests.benchmarks.knock --work DIR --seed {seed} --focus-um {focus_um:g} --shift-px {shift_px:g}`,"
        f" {datetime.now(UTC):%Y-%m-%d}; MNIST, 2 cores, which the simulated laboratory shares; the process's start"
        " included.",
        "",
        "| | must | try for | measured |",
        "|---|---|---|---|",
        f"| from start to release | {LIMIT_S} s | {WISH_S} s | {_seconds(found['release_s'])} |",
        f"| from start to the end of the command, its report drawn | | | {_seconds(found['whole_s'])} |",
        f"| peak memory | {LIMIT_GB:g} GB | | {found['memory_gb']:.1f} GB |",
        f"| accuracy before and after, on {found['validation_captures']} validation captures | a knock of"
        f" {LEAST_POINTS:g} points | | {before:.1f} %, {after:.1f} % |",
        f"| released | | | {'yes' if found['released'] else 'no: ' + str(found['error'])} |",
        "",
        "Seconds by step: " + ", ".join(f"{name} {seconds:.1f}" for name, seconds in steps if seconds >= 0.05) + ".",
    ]
    return "\n".join(lines)


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f} s"


def main() -> None:
    """Measure, and write the section."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--focus-um", type=float, default=1800.0)
    parser.add_argument("--shift-px", type=float, default=2.0)
    arguments = parser.parse_args()
    knock = (arguments.seed, arguments.focus_um, arguments.shift_px)
    found = measure(arguments.work.absolute(), *knock)
    print(json.dumps(found, indent=1))
    write_section("knock", table(found, *knock))


if __name__ == "__main__":
    main()
