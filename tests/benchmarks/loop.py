"""The whole loop over seeds: what is lost on the bench, and what 32 unlabelled captures bring back.

``python -m tests.benchmarks.loop digits`` (seeds 0-4, about 25 minutes on 2 cores) or ``... loop mnist --seeds 0``
(about 60 minutes; needs LABONN_DATA). A seed that is finished is kept in docs/results/ and not measured again.
"""

import argparse
import shutil
import statistics
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from labonn.cli.demo import shipped_bench
from tests.benchmarks.results import cells_file, keep_cell, read_cells, write_section

CEILING = Path(__file__).parent / "protocols" / "ceiling.py"
CEILING_CAPTURES = {"digits": "all", "mnist": "2000"}
ROWS = {
    "teacher": "teacher, electronic, raw images",
    "simulated": "student, simulated",
    "none": "on the bench, calibrated, not compensated",
    "e2e": "cross-entropy on the 32 captures, labelled",
    "twin+ntkd": "twin + NTKD, 32 captures, unlabelled",
    "ceiling": "ceiling: trained on {captures} captures",
}


def measure(task: str, seed: int, folder: Path) -> dict[str, Any]:
    """Run the demo's two protocols and the ceiling on a bench of the seed's own; give the accuracies in per cent."""
    from labonn.protocol import Outcome, run_protocol

    benches = shutil.copytree(shipped_bench("mono").parent, folder / "benches")
    bench = benches / "mono.bench.toml"
    bench.write_text(
        bench.read_text(encoding="utf-8").replace('name = "mono"', f'name = "{task}-{seed}"'), encoding="utf-8"
    )

    def run(script: str, settings: dict[str, str]) -> Outcome:
        outcome = run_protocol(script, bench, folder / "lab", {**settings, "seed": str(seed)}, world_seed=seed)
        if outcome.exit_code:
            raise SystemExit(f"{script} on seed {seed} ended with {outcome.exit_code}: {outcome.error}")
        return outcome

    first = run("train_and_deploy", {"design": f"{task}-mono", "evaluation_images": "400"})
    second = run("recalibrate", {"evaluation_images": "all"})
    third = run(str(CEILING), {"captures": CEILING_CAPTURES[task], "test_run": str(second.run_folder)})
    training, recalibration, ceiling = first.result, second.result, third.result
    return {
        **{name: training["accuracy"][name] for name in ("teacher", "simulated")},
        **recalibration["evaluation"]["methods"],
        "ceiling": ceiling["methods"]["ceiling"],
        "ceiling's captures": ceiling["captures"],
        "released": recalibration["released"],
        "demo's seconds": first.seconds["total"] + second.seconds["total"],
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "psf_correlation": training["psf_correlation"],
    }


def table(task: str, cells: dict[str, dict[str, Any]]) -> str:
    """Write the six rows, the drop and what returned, as a section of docs/results.md."""
    runs = [cells[seed] for seed in sorted(cells, key=int)]
    captures = runs[0]["ceiling's captures"]
    lines = [
        f"## The whole loop, {task}, bench `mono`",
        "",
        f"`python -m tests.benchmarks.loop {task}`, {max(run['date'] for run in runs)}; seeds of training and world: "
        f"{', '.join(sorted(cells, key=int))}; accuracy on the whole test set in per cent, mean and standard deviation "
        "over seeds.",
        "",
        "| | accuracy | by seed |",
        "|---|---|---|",
    ]
    for name, label in ROWS.items():
        lines.append(f"| {label.format(captures=f'{captures:,}')} | {_spread([run[name] for run in runs])} |")
    drop = [run["simulated"] - run["none"] for run in runs]
    back = [run["twin+ntkd"] - run["none"] for run in runs]
    able = [run["ceiling"] - run["none"] for run in runs]
    released = sum(run["released"] for run in runs)
    lines += [
        f"| drop from simulation, points | {_spread(drop)} |",
        "",
        f"Of the drop {_ratio(back, drop):.0f} % returned, of what can be recovered {_ratio(back, able):.0f} % "
        f"(ratios of means). The gate released {released} of {len(runs)}. Both protocols of the demo, here with 400 "
        f"test images in the first, took {statistics.median(run[_SECONDS] for run in runs):.0f} s (median).",
    ]
    return "\n".join(lines)


_SECONDS = "demo's seconds"


def _spread(values: list[float]) -> str:
    deviation = f" +- {statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.1f}{deviation} | {', '.join(f'{value:.1f}' for value in values)}"


def _ratio(part: list[float], whole: list[float]) -> float:
    return 100 * statistics.mean(part) / statistics.mean(whole)


def main() -> None:
    """Measure the seeds that are not measured yet, and write the section after each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("task", choices=tuple(CEILING_CAPTURES))
    parser.add_argument("--seeds", type=int, nargs="+", default=None)
    arguments = parser.parse_args()
    seeds = arguments.seeds or ([0, 1, 2, 3, 4] if arguments.task == "digits" else [0])
    file = cells_file(f"loop-{arguments.task}")
    cells = read_cells(file)
    for seed in seeds:
        if str(seed) not in cells:
            with tempfile.TemporaryDirectory() as folder:
                cells = keep_cell(file, str(seed), measure(arguments.task, seed, Path(folder)))
        write_section(f"loop-{arguments.task}", table(arguments.task, cells))


if __name__ == "__main__":
    main()
