"""A month of `mono` with drift and two knocks, watched hourly: ``python -m tests.benchmarks.month --work DIR``.

Virtual time. Three policies share one bench, each with a laboratory of its own: no recalibration, one every night, and
one when the watch says that it is due. The truth is the accuracy on test images, of which each frame is read for all
three. A month that is cut short goes on at its next start: the drift is the same function of time in every world of one
seed, so a new world is taken to the hour at which the old one ended.

``--stable N`` measures false alarms instead: N months of watches of a bench that stands still, each with reference
captures of its own, from a pool of real captures.
"""

import argparse
import json
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from tests.bench.conftest import Simulated, bench_of, simulated
from tests.benchmarks.compensation import trained
from tests.benchmarks.month_report import draw, stable_table, table
from tests.benchmarks.nights import DRIFT, PROTOCOLS, run
from tests.benchmarks.results import RESULTS, write_section

CELLS = RESULTS.parent / "results"
POLICIES = ("none", "nightly", "drift")
NAME = "month"
NIGHT_H = 24
KNOCKS_H = (219.5, 467.5)
KNOCKS = (((15.0, -10.0), 0.0), ((-20.0, 6.0), 600.0))
"""By how much: pictures on the camera down and right, in its pixels, and focus, in um."""


@contextmanager
def bench_at(work: Path, *, drifting: bool) -> Iterator[Simulated]:
    """Start the world."""
    file = bench_of(work / f"{NAME}-bench", NAME)
    world = file.parent / "mono.world.toml"
    content = world.read_text(encoding="utf-8")
    assert DRIFT + "false" in content
    world.write_text(content.replace(DRIFT + "false", DRIFT + str(drifting).lower()), encoding="utf-8")
    with simulated(file) as found:
        yield found


def knocked(world: Simulated, hour: float, knocks_h: Sequence[float]) -> None:
    """Let the bench be as it is after the knocks so far."""
    so_far = [knock for at, knock in zip(knocks_h, KNOCKS, strict=False) if at <= hour]
    if so_far:
        shift = [sum(one[axis] for one, _ in so_far) for axis in (0, 1)]
        focus = sum(one for _, one in so_far)
        world.set(
            effects__knock__on=True, effects__knock__at_s=0.0, effects__knock__shift_px=shift,
            effects__knock__focus_um=focus,
        )  # fmt: skip


def prepared(work: Path, bench: Path, seed: int) -> dict[str, Path]:
    """Deploy and recalibrate once, and give every policy a laboratory that begins there."""
    labs = {policy: work / f"{NAME}-{seed}-{policy}" for policy in POLICIES}
    if all((lab / "begun").is_file() for lab in labs.values()):
        return labs
    lab, model = trained(work, seed)
    first = work / f"{NAME}-{seed}-first"
    for part in ("models", "cache"):
        shutil.copytree(lab / part, first / part, dirs_exist_ok=True)
    run(PROTOCOLS / "deploy_again.py", bench, first, {"model": model})
    run("recalibrate", bench, first, {"methods": "none", "seed": str(seed)})
    for folder in labs.values():
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(first, folder)
        (folder / "begun").touch()
    return labs


def recalibrate(bench: Path, lab: Path, policy: str, hour: int, seed: int, records: Path) -> None:
    """Recalibrate, and write down what that took."""
    settings = {"methods": "none", "seed": str(1000 * seed + hour)}
    result = run("recalibrate", bench, lab, settings).result
    line = {
        "kind": "recalibration", "hour": hour, "policy": policy, "released": result["released"],
        "captures": result["captures"] + result["validation_captures"],
    }  # fmt: skip
    with records.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def boundaries(hours: int, knocks_h: Sequence[float]) -> list[int]:
    """Hours after which a session ends: nights, and those before a knock."""
    knocks = {int(at) for at in knocks_h}
    return [hour for hour in range(1, hours + 1) if hour % NIGHT_H == 0 or hour in knocks or hour == hours]


def month(work: Path, records: Path, arguments: argparse.Namespace) -> bool:
    """Go on with the month; whether it is over."""
    begin_s, hours, seed = time.monotonic(), 24 * arguments.days, arguments.seed
    records.touch()
    lines = [json.loads(line) for line in records.read_text().splitlines()]
    hour = max((line["hour"] for line in lines if line["kind"] == "hour"), default=-1)
    with bench_at(work, drifting=True) as world:
        labs = prepared(work, world.file, seed)
        while hour < hours:
            if time.monotonic() - begin_s > 60 * arguments.minutes:
                return False
            last = next(end for end in boundaries(hours, arguments.knocks) if end > hour)
            knocked(world, hour + 1, arguments.knocks)
            settings = {
                "labs": json.dumps({name: str(lab) for name, lab in labs.items()}), "records": str(records),
                "first_hour": str(hour + 1), "last_hour": str(last), "truth_every": str(arguments.truth_every),
                "test_images": str(arguments.images),
            }  # fmt: skip
            outcome = run(PROTOCOLS / "month_hours.py", world.file, labs["none"], settings)
            hour = int(outcome.result["hour"])
            if outcome.result["due"]:
                recalibrate(world.file, labs["drift"], "drift", hour, seed, records)
            if hour % NIGHT_H == 0:
                recalibrate(world.file, labs["nightly"], "nightly", hour, seed, records)
            print(f"hour {hour} of {hours}, {time.monotonic() - begin_s:.0f} s", flush=True)
    return True


def stable(work: Path, records: Path, arguments: argparse.Namespace) -> bool:
    """Go on with months of a bench that stands still; whether there are enough."""
    begin_s, months, seed = time.monotonic(), arguments.stable, arguments.seed
    pool = work / f"{NAME}-{seed}-pool.npz"
    with bench_at(work, drifting=False) as world:
        labs = prepared(work, world.file, seed)
        settings = {"pool": str(pool), "records": str(records), "months": str(months), "seed": str(seed)}
        settings["watches"] = str(arguments.watches)
        settings["seconds"] = str(max(1.0, 60 * arguments.minutes - (time.monotonic() - begin_s)))
        outcome = run(PROTOCOLS / "stable_months.py", world.file, labs["none"], settings)
    return bool(outcome.result["months"] >= months)


def read(records: Path) -> list[dict[str, Any]]:
    """Read what was found; an hour that was begun twice counts once, as it was the last time."""
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for text in records.read_text(encoding="utf-8").splitlines():
        line = json.loads(text)
        found[(line["kind"], line.get("hour"), line.get("policy"), line.get("month"))] = line
    return list(found.values())


def main() -> None:
    """Measure, draw, and write the section."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder for what can be made again")
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--truth-every", type=int, default=24, help="hours between looks at the truth")
    parser.add_argument("--images", type=int, default=10_000, help="test images of a look at the truth")
    parser.add_argument("--knocks", type=float, nargs="*", default=KNOCKS_H, help="hours after which it is knocked")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--stable", type=int, default=0, help="measure so many stable months instead")
    parser.add_argument("--watches", type=int, default=720, help="in a stable month")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="stop after so long; a next start goes on")
    parser.add_argument("--into", type=Path, help="folder of what was measured; docs/results by default")
    parser.add_argument("--dry-run", action="store_true", help="print the section, and write nothing")
    arguments = parser.parse_args()
    work, folder = arguments.work.absolute(), (arguments.into or CELLS).absolute()
    work.mkdir(parents=True, exist_ok=True)
    date = f"{datetime.now(UTC):%Y-%m-%d}"
    if arguments.stable:
        records = folder / f"{NAME}-stable-{arguments.seed}.jsonl"
        over = stable(work, records, arguments)
        section, name = stable_table(read(records), arguments, date), "month-stable"
    else:
        records = folder / f"{NAME}-{arguments.seed}.jsonl"
        over = month(work, records, arguments)
        section, name = table(read(records), arguments, date), "month"
    if arguments.dry_run or not over:
        print(section)
        raise SystemExit(None if over else "not over yet; the same command goes on")
    if name == "month":
        draw(read(records), arguments.knocks, RESULTS.parent / "pictures" / "month.png")
    write_section(name, section)


if __name__ == "__main__":
    np.seterr(all="raise", under="ignore")
    main()
