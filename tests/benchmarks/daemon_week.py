"""A week of the daemon on the simulated mono bench: ``python -m tests.benchmarks.daemon_week --work DIR``, ten minutes.

In virtual time, the thermal drift on, nightly at three. The daemon looks every ten minutes; what is due is begun as a
process of its own, which is the one-shot with the world's time as its clock. In the second night the camera fails,
in the fourth the job is killed with ``kill -9`` while the bench is lit, over the fifth the computer is off, and on the
sixth day the bench file is broken for three hours. Uses the network in DIR, or trains it.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from labonn.instruments import WorldClock, read_bench
from labonn.instruments.world import start_world
from labonn.jobs.daemon import Daemon
from labonn.jobs.recalibrating import recalibrate_if_due
from labonn.protocol import Outcome, run_protocol
from labonn.records import Run, newest_model, read_run
from tests.bench.conftest import Simulated, bench_of, simulated
from tests.benchmarks.nights import PROTOCOLS, run
from tests.benchmarks.results import write_section

SCHEDULE = '\n[schedule]\ncron = "0 3 * * *"\ntime_zone = "UTC"\nsettings = { methods = "none" }\n'
DRIFT = "[effects.thermal_drift] # a morning's work in an air-conditioned room; switch it on for longer\non = "
BEGIN = datetime(2027, 1, 4, 12, tzinfo=UTC)  # a Monday
LOOK_MIN = 10
FAILS, KILLED, OFF, BROKEN = (BEGIN + timedelta(days=days) for days in (1, 3, 4, 5))


@dataclass(frozen=True)
class WorldTime:
    """The week's time: the world's, from the moment at which the week began."""

    bench: Path
    begun_s: float
    clock: WorldClock = field(compare=False)

    @classmethod
    def of(cls, bench: Path, begun_s: float | None = None) -> "WorldTime":
        """Read it from a world that runs already."""
        clock = WorldClock(start_world(bench).clock_address)
        return cls(bench, clock.now_s() if begun_s is None else begun_s, clock)

    def __call__(self) -> datetime:
        return BEGIN + timedelta(seconds=self.clock.now_s() - self.begun_s)


def dated(folder: Path, begun: datetime) -> None:
    """Let a run's record say the week's time, as it would if the computer's clock were the world's."""
    run = Run(folder, read_run(folder))
    run.change(start_utc=begun, status=run.record.status)


def do_job(bench: Path, lab: Path, begun_s: float) -> int:
    """Be the process of a job."""
    clock = WorldTime.of(bench, begun_s)

    def recalibrate(bench_path: Path, lab_dir: Path, settings: Mapping[str, str]) -> Outcome:
        begun = clock()
        outcome = run_protocol("recalibrate", bench_path, lab_dir, settings, quiet=True)
        dated(outcome.run_folder, begun)
        return outcome

    shot = recalibrate_if_due(bench, lab, clock=clock, recalibrate=recalibrate)
    return 0 if shot.outcome is None else shot.outcome.exit_code


@dataclass
class Week:
    """What happens in the week, and what was seen."""

    world: Simulated
    lab: Path
    clock: WorldTime
    jobs: list[dict[str, Any]] = field(default_factory=list)
    looks: int = 0
    longest_look_s: float = 0.0

    def run_job(self, words: Sequence[str]) -> int:
        """Begin what the daemon asks for, as a process, and do to it what the day brings."""
        assert words[0] == "recalibrate"
        begun, before = self.clock(), self.runs()
        job: dict[str, Any] = {"begun": f"{begun:%a %H:%M}"}
        command = [sys.executable, "-m", "tests.benchmarks.daemon_week", "--job", words[1], str(self.lab)]
        with ExitStack() as held:
            if FAILS <= begun < FAILS + timedelta(hours=15, minutes=10):
                held.enter_context(self.world.changed(camera__delivers=False))
                job["day"] = "the camera delivers nothing"
            process = subprocess.Popen([*command, str(self.clock.begun_s)])
            if KILLED <= begun < KILLED + timedelta(hours=15, minutes=10):
                threading.Thread(target=self._kill_when_lit, args=(process, job)).start()
            job["exit code"] = process.wait()
        for folder in sorted(self.runs() - before):
            if read_run(folder).status == "running":
                dated(folder, begun)
            job["run"] = folder.name
        self.jobs.append(job)
        print(job, flush=True)
        return int(job["exit code"])

    def runs(self) -> set[Path]:
        """Folders of all runs."""
        return set((self.lab / "runs").glob("*-recalibrate-*"))

    def _kill_when_lit(self, process: "subprocess.Popen[bytes]", job: dict[str, Any]) -> None:
        for settled_s in (2.0, 0.0):  # not at once, but in the middle of its captures
            while process.poll() is None and not self.world.truth()["lit"]:
                time.sleep(0.01)
            time.sleep(settled_s)
        killed_s = time.time()
        process.kill()
        while self.world.truth()["lit"] and time.time() - killed_s < 10:
            time.sleep(0.02)
        dark_s = float(self.world.truth()["dark_since_unix_s"]) - killed_s
        job["day"] = f"killed while lit; dark {max(0.0, dark_s):.1f} s later"


def measure(work: Path, days: float) -> Week:
    """Deploy, and let the days pass."""
    lab = work / "lab"
    name = f"week-{os.getpid()}"
    bench = bench_of(work / "bench", name)
    sound = bench.read_text(encoding="utf-8") + SCHEDULE
    bench.write_text(sound, encoding="utf-8")
    world_file = bench.parent / "mono.world.toml"
    content = world_file.read_text(encoding="utf-8")
    assert DRIFT + "false" in content
    world_file.write_text(content.replace(DRIFT + "false", DRIFT + "true"), encoding="utf-8")
    with simulated(bench) as world:
        model = newest_model(lab)
        if model is None:
            run("train_and_deploy", bench, lab, {"evaluation_images": "100"})
        else:
            run(PROTOCOLS / "deploy_again.py", bench, lab, {"model": model})
        clock = WorldTime.of(bench)
        week = Week(world, lab, clock)
        daemon = Daemon(lab, {bench: read_bench(bench).name}, week.run_job, clock)
        # The release is of before the week, as real time has it.
        while (now := clock()) < BEGIN + timedelta(days=days):
            if OFF <= now < OFF + timedelta(hours=30):
                clock.clock.sleep_ms(30 * 3.6e6)
            broken = BROKEN <= now < BROKEN + timedelta(hours=3)
            bench.write_text(sound.replace("0 3 * * *", "at three") if broken else sound, encoding="utf-8")
            jobs, begun_s = len(week.jobs), time.perf_counter()
            daemon.look(bench)
            week.looks += 1
            if len(week.jobs) == jobs:
                week.longest_look_s = max(week.longest_look_s, time.perf_counter() - begun_s)
            left_s = 60 * LOOK_MIN - (clock() - BEGIN).total_seconds() % (60 * LOOK_MIN)
            clock.clock.sleep_ms(1e3 * left_s)
    return week


def table(week: Week, days: float, seconds: float) -> str:
    """Write the section."""
    rows = []
    for job in week.jobs:
        record = read_run(week.lab / "runs" / job["run"])
        accuracy = (record.result or {}).get("accuracy")
        found = "" if accuracy is None else f"{accuracy['before']:.1f}, {accuracy['after']:.1f}"
        released = "yes" if (record.result or {}).get("released") else "no"
        rows.append(f"| {job['begun']} | {job.get('day', '')} | {record.status} | {found} | {released} |")
    log = next((week.lab / "jobs").glob("*/log.jsonl")).read_text(encoding="utf-8").splitlines()
    told = [json.loads(line)["event"] for line in log]
    return "\n".join(
        [
            f"## The daemon through {days:g} simulated days",
            "",
            f"`python -m tests.benchmarks.daemon_week --work DIR --days {days:g}`, {datetime.now(UTC):%Y-%m-%d};"
            f' bench `mono` in virtual time with its thermal drift, digits, `cron = "0 3 * * *"`;'
            f" {platform.machine()}, 2 cores, {seconds / 60:.0f} min. The daemon looked {week.looks} times, every"
            f" {LOOK_MIN} min; the longest look at which nothing was due took {1e3 * week.longest_look_s:.0f} ms. Each"
            " job was a process of its own. The computer was off from Friday noon for 30 h, and the bench file broken"
            " on Saturday for 3 h.",
            "",
            "| begun | what the day brought | ended | accuracy before and after, % | released |",
            "|---|---|---|---|---|",
            *rows,
            "",
            f"In the bench's log of jobs: {', '.join(told)}.",
        ]
    )


def main() -> None:
    """Let the week pass, and write the section."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, help="where the laboratory is kept")
    parser.add_argument("--days", type=float, default=7.0)
    parser.add_argument("--job", nargs=3, metavar=("BENCH", "LAB", "BEGUN_S"), help="be a job; for itself alone")
    parser.add_argument("--dry-run", action="store_true", help="print the section, and write nothing")
    arguments = parser.parse_args()
    if arguments.job:
        bench, lab, begun_s = arguments.job
        raise SystemExit(do_job(Path(bench), Path(lab), float(begun_s)))
    begun_s = time.perf_counter()
    week = measure(arguments.work.absolute(), arguments.days)
    section = table(week, arguments.days, time.perf_counter() - begun_s)
    if arguments.dry_run:
        print(section)
    else:
        write_section("daemon-week", section)


if __name__ == "__main__":
    main()
