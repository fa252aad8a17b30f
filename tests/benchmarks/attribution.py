"""Does the attribution name the right culprit? One dominant fault at a time on the simulated mono bench.

``python -m tests.benchmarks.attribution --work DIR`` (about 8 minutes on 2 cores). The bench is calibrated while
nothing is wrong; each fault comes afterwards, through the simulated laboratory's test door. The trained network is
kept in the work folder, and a fault that is finished in docs/results/.
"""

import argparse
import shutil
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from labonn.cli.demo import shipped_bench
from labonn.records import current_release
from tests.benchmarks.protocols.faults import FAULTS
from tests.benchmarks.results import cells_file, keep_cell, read_cells, write_section

BENCH = "attribution"
COSTLY_POINTS = 0.5
PROTOCOL = Path(__file__).parent / "protocols" / "faults.py"
CELLS = cells_file("attribution")


def measure(folder: Path, faults: list[str]) -> dict[str, Any]:
    """Train and deploy the digits' network, if that is not done, and go through the faults."""
    from labonn.protocol import run_protocol

    bench = folder / "benches" / "mono.bench.toml"
    if not bench.exists():
        shutil.copytree(shipped_bench("mono").parent, bench.parent)
        text = bench.read_text(encoding="utf-8").replace('name = "mono"', f'name = "{BENCH}"')
        bench.write_text(text, encoding="utf-8")

    def run(script: str, settings: dict[str, str]) -> dict[str, Any]:
        outcome = run_protocol(script, bench, folder / "lab", settings, world_seed=0)
        if outcome.exit_code:
            raise SystemExit(f"{script} ended with {outcome.exit_code}: {outcome.error}")
        return outcome.result

    if current_release(folder / "lab", BENCH) is None:
        run("train_and_deploy", {"evaluation_images": "100"})
    found: dict[str, Any] = run(str(PROTOCOL), {"faults": ",".join(faults)})["found"]
    return {fault: {**cell, "date": f"{datetime.now(UTC):%Y-%m-%d}"} for fault, cell in found.items()}


def table(cells: dict[str, Any]) -> str:
    """Write what was found as a section of docs/results.md."""
    found = {name: cell for name, cell in cells.items() if name != "none"}
    costly = {name: cell for name, cell in found.items() if cell["designed"] - cell["twin"] >= COSTLY_POINTS}
    right = sum(cell["culprit"] == name for name, cell in costly.items())
    lines = [
        "## Attribution",
        "",
        f"`python -m tests.benchmarks.attribution`, {max(cell['date'] for cell in cells.values())}; digits, bench "
        "`mono` with all that is wrong with it switched off, then calibrated; then one fault at a time, 32 captures, "
        "no labels. Accuracy of the simulated backend on 100 captures and on the twin, "
        "in per cent; costs in points, of what is restored alone in the twin.",
        "",
        f"The culprit was named in {right} of {len(costly)} worlds whose fault costs half a point or more on the twin; "
        f"where a fault costs less, none need be. Without a fault the accuracy was {cells['none']['real']:.1f} %, and "
        f"the culprit named: {cells['none']['culprit'] or 'none'}.",
        "",
        "| fault | captured | twin | culprit named | its cost | next | its cost |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, cell in found.items():
        first, second = list(cell["costs"].items())[:2]
        lines.append(
            f"| {name} | {cell['real']:.1f} | {cell['twin']:.1f} | {cell['culprit'] or 'none'} | {first[1][0]:.1f} | "
            f"{second[0]} | {second[1][0]:.1f} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure what is not measured yet, and write the section."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "labonn-attribution")
    parser.add_argument("--faults", nargs="+", choices=("none", *FAULTS), default=["none", *FAULTS])
    arguments = parser.parse_args()
    cells = read_cells(CELLS)
    for missing in [fault for fault in arguments.faults if fault not in cells]:
        cells = keep_cell(CELLS, missing, measure(arguments.work, [missing])[missing])
    write_section("attribution", table({fault: cells[fault] for fault in ("none", *FAULTS) if fault in cells}))


if __name__ == "__main__":
    main()
