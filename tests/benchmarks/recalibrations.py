"""What `labonn recalibrate` takes in colour: ``python -m tests.benchmarks.recalibrations TASK --work DIR``.

TASK is cifar10 or carvana. The student of seed 0 is trained and deployed on the task's bench, unless DIR has it from
`tests.benchmarks.compensation`; then the bench is recalibrated as an operator does it, in a process of its own and in
virtual time, the teacher's answers kept since the deployment: first with what was deployed in use, and once more with
what that has released, which leaves little to gain, so that the gate needs more captures. Nothing else should run
meanwhile. Memory is the largest that the process had. The simulated laboratory is a process of its own, which has been
started before, and has computed its optics, as a real one would stand there.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from labonn.capture.light import light
from labonn.instruments import open_bench, read_bench
from labonn.records import list_releases, read_release, read_run, set_current_release
from tests.bench.conftest import simulated
from tests.benchmarks.compensation_tasks import TASKS, Task, bench_file, trained
from tests.benchmarks.results import cells_file, keep_cell, write_section

LIMIT_S, LIMIT_GB = 300, 6.0
CELLS = cells_file("recalibrations")
IN_COLOUR = [name for name in TASKS if name != "mnist"]
NAMED = 0.5  # seconds; a shorter step is not


def deployed(work: Path, task: Task) -> tuple[Path, Path]:
    """The laboratory and the file of the task's first bench, with what was deployed there in use."""
    bench = next(iter(task.designs))
    lab, _ = trained(work, 0, bench)
    file = bench_file(work, bench, 0)
    name = read_bench(file).name
    first = next(release for release in list_releases(lab) if read_release(lab, release).bench == name)
    set_current_release(lab, name, first)
    return lab, file


def see_light(file: Path) -> None:
    """Take a picture: from then on the simulated laboratory has the optics that it computes at its start."""
    with open_bench(file) as bench, light(bench):
        bench.display.show(np.ones(bench.display.shape, np.float32))
        bench.camera.snap()


def measure(task: Task, lab: Path, file: Path) -> dict[str, Any]:
    """Recalibrate a bench; gives the command's answer, the seconds it took, its memory."""
    command = [sys.executable, "-m", "labonn", "recalibrate", str(file), "--lab", str(lab), "--json"]
    begin_s, began = time.perf_counter(), time.time()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        answer: dict[str, Any] = json.loads(process.stdout.read())
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - begin_s
    if process.returncode not in (0, 4):
        raise SystemExit(f"recalibrate ended with {process.returncode}: {answer['error']}")
    released = lab / "releases" / "current" / read_bench(file).name
    return {
        "bench": next(iter(task.designs)),
        "measure": task.measure,
        "before": answer[task.measure]["before"],
        "after": answer[task.measure]["after"],
        "validation_captures": answer["validation_captures"],
        "released": answer["released"],
        "release_s": released.stat().st_mtime - began if answer["released"] else None,
        "whole_s": seconds,
        "memory_gb": used.ru_maxrss / 2**20,
        "steps": read_run(lab / "runs" / answer["run"]).seconds,
        "processor": _processor(),
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
    }


def table(cells: dict[str, dict[str, Any]]) -> str:
    """Write the section."""
    lines = [
        "## Recalibrating in colour",
        "",
        "`python -m tests.benchmarks.recalibrations TASK --work DIR`; seed 0, virtual time, 2 cores, which the"
        " simulated bench shares, and which stands ready; the process's start and its report included. Must: 300 s and"
        ' 6 GB. "Once more" is with the backend in use that the first has released.',
        "",
        "| bench | processor | until the release is in use | whole command | peak memory | before, after, on validation"
        " captures | released |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, cell in cells.items():
        until = "" if cell["release_s"] is None else f"{cell['release_s']:.0f} s"
        lines.append(
            f"| {_called(name, cell)}, {cell['date']} | {cell['processor']} | {until} | {cell['whole_s']:.0f} s"
            f" | {cell['memory_gb']:.1f} GB | {cell['measure']} {cell['before']:.1f} %, {cell['after']:.1f} % on"
            f" {cell['validation_captures']} | {'yes' if cell['released'] else 'no'} |"
        )
    for name, cell in cells.items():
        steps = sorted(cell["steps"].items(), key=lambda step: -step[1])
        named = ", ".join(f"{step} {seconds:.0f}" for step, seconds in steps if seconds >= NAMED and step != "total")
        lines += ["", f"Seconds by step, {_called(name, cell)}: {named}."]
    return "\n".join(lines)


def _called(name: str, cell: dict[str, Any]) -> str:
    return ", ".join([f"`{cell['bench']}`", *name.split(", ")[1:]])


def _processor() -> str:
    """Its name, and how wide its registers are, on which all of this depends."""
    described = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    name = next(line.split(":")[1].strip() for line in described.splitlines() if line.startswith("model name"))
    return f"{name}, {'AVX-512' if 'avx512f' in described else 'AVX2'}"


def main() -> None:
    """Measure a task's bench twice, and write the section."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=IN_COLOUR)
    parser.add_argument("--work", type=Path, required=True, help="folder for what can be made again")
    arguments = parser.parse_args()
    task = TASKS[arguments.task]
    lab, file = deployed(arguments.work.absolute(), task)
    with simulated(file):
        see_light(file)
        for name in (task.name, f"{task.name}, once more"):
            cells = keep_cell(CELLS, name, measure(task, lab, file))
            print(json.dumps(cells[name], indent=1))
            write_section("recalibrations", table(cells))


if __name__ == "__main__":
    main()
