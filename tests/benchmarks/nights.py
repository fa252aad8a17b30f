"""A month of drift, compensated every night: ``python -m tests.benchmarks.nights --work DIR``.

The mono bench with its thermal drift switched on, in virtual time. Each night: recalibrate, measure the backend that is
in use then on test images, wait 24 hours. Uses the network that the benchmark of compensation trained in DIR, or trains
it; nights that are measured are kept in docs/results/, but a month that is cut short begins anew, as its world is gone.
"""

import argparse
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from statistics import mean
from typing import Any

from labonn.protocol import Outcome, run_protocol
from tests.bench.conftest import bench_of, simulated
from tests.benchmarks.compensation import trained
from tests.benchmarks.results import RESULTS, write_section

PROTOCOLS = Path(__file__).parent / "protocols"
CELLS = RESULTS.parent / "results" / "nights.json"
DRIFT = "[effects.thermal_drift] # a morning's work in an air-conditioned room; switch it on for longer\non = "
MUST, WISH = 1.0, 0.5


def run(script: str | Path, bench: Path, lab: Path, settings: dict[str, str]) -> Outcome:
    """Run a protocol; a refusal is an answer, too."""
    outcome = run_protocol(script, bench, lab, settings, quiet=True)
    if outcome.exit_code not in (0, 4):
        raise SystemExit(f"{script} ended with {outcome.exit_code}: {outcome.error}")
    return outcome


def measure(work: Path, nights: int, images: int, seed: int) -> list[dict[str, Any]]:
    """Give what each night found: accuracy before and after on the test images, whether it released."""
    lab, model = trained(work, seed)
    bench = bench_of(work / "nights", f"nights-{os.getpid()}")
    world = bench.parent / "mono.world.toml"
    content = world.read_text(encoding="utf-8")
    assert DRIFT + "false" in content
    world.write_text(content.replace(DRIFT + "false", DRIFT + "true"), encoding="utf-8")
    found: list[dict[str, Any]] = []
    with simulated(bench):
        run(PROTOCOLS / "deploy_again.py", bench, lab, {"model": model})
        for night in range(nights):
            outcome = run(
                "recalibrate", bench, lab, {"methods": "none", "seed": str(night), "evaluation_images": str(images)}
            )
            result = outcome.result
            over_test = result["evaluation"]["methods"]
            used = over_test[result["candidate"]] if result["released"] else over_test["none"]
            found.append(
                {"before": over_test["none"], "in use": used, "validation_captures": result["validation_captures"]}
                | {"released": result["released"], "date": f"{datetime.now(UTC):%Y-%m-%d}"}
            )
            print(night + 1, found[-1], flush=True)
            run(PROTOCOLS / "pass_time.py", bench, lab, {"hours": "24"})
    return found


def table(nights: list[dict[str, Any]], images: int, seed: int) -> str:
    """Write the section."""
    used, before = ([night[key] for night in nights] for key in ("in use", "before"))
    lines = [
        f"## {len(nights)} nights of drift, bench `mono`",
        "",
        f"`python -m tests.benchmarks.nights --work DIR --nights {len(nights)} --images {images} --seed {seed}`,"
        f" {nights[-1]['date']}; MNIST, {images:,} test images a night; the world's thermal drift on, 24 h of virtual"
        " time between nights; 32 captures for the fit each night.",
        "",
        "| | |",
        "|---|---|",
        f"| first night | {used[0]:.2f} % |",
        f"| worst night | {min(used):.2f} % (night {used.index(min(used)) + 1}) |",
        f"| the worst below the first | **{used[0] - min(used):.2f}** points (must: {MUST:g}, try for: {WISH:g}) |",
        f"| released | {sum(night['released'] for night in nights)} of {len(nights)} |",
        f"| validation captures, mean | {mean(night['validation_captures'] for night in nights):.0f} |",
        "",
        f"In use, by night: {', '.join(f'{value:.1f}' for value in used)}.",
        "",
        f"Before, by night: {', '.join(f'{value:.1f}' for value in before)}.",
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure a month, and write the section."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--nights", type=int, default=30)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    found = measure(arguments.work.absolute(), arguments.nights, arguments.images, arguments.seed)
    CELLS.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    write_section("nights", table(found, arguments.images, arguments.seed))


if __name__ == "__main__":
    main()
