"""Does the attribution name the right culprit? One dominant fault at a time on the simulated mono bench.

``python -m tests.benchmarks.attribution`` (about 8 minutes on 2 cores). The bench is calibrated while nothing is wrong;
each fault comes afterwards, through the simulated laboratory's test door.
"""

import json
import os
import shutil
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from labonn.cli.demo import shipped_bench
from labonn.cli.entry import WAIT_WITHOUT_SPINNING
from tests.benchmarks.results import RESULTS, write_section

PROTOCOL = Path(__file__).parent / "protocols" / "faults.py"
CELLS = RESULTS.parent / "results" / "attribution.json"


def measure(folder: Path) -> dict[str, Any]:
    """Train and deploy the digits' network, and go through the faults."""
    from labonn.protocol import run_protocol

    benches = shutil.copytree(shipped_bench("mono").parent, folder / "benches")
    bench = benches / "mono.bench.toml"
    text = bench.read_text(encoding="utf-8").replace('name = "mono"', 'name = "attribution"')
    bench.write_text(text, encoding="utf-8")
    for script, settings in (("train_and_deploy", {"evaluation_images": "100"}), (str(PROTOCOL), {})):
        outcome = run_protocol(script, bench, folder / "lab", settings, world_seed=0)
        if outcome.exit_code:
            raise SystemExit(f"{script} ended with {outcome.exit_code}: {outcome.error}")
    return {**outcome.result["found"], "date": f"{datetime.now(UTC):%Y-%m-%d}"}


def table(cells: dict[str, Any]) -> str:
    """Write what was found as a section of docs/results.md."""
    found = {name: cell for name, cell in cells.items() if name not in ("none", "date")}
    right = sum(cell["culprit"] == name for name, cell in found.items())
    lines = [
        "## Attribution",
        "",
        f"`python -m tests.benchmarks.attribution`, {cells['date']}; digits, bench `mono` with all that is wrong "
        "switched off, calibrated; then one fault at a time, 32 captures, no labels. Accuracy of the simulated backend "
        "in per cent; costs in points, of what is restored alone in the twin.",
        "",
        f"The culprit was named in {right} of {len(found)} worlds; without a fault the accuracy was "
        f"{cells['none']['real']:.1f} %, and the culprit named: {cells['none']['culprit'] or 'none'}.",
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
    """Measure, and write the section."""
    os.environ.update(WAIT_WITHOUT_SPINNING)
    with tempfile.TemporaryDirectory() as folder:
        cells = measure(Path(folder))
    CELLS.parent.mkdir(parents=True, exist_ok=True)
    CELLS.write_text(json.dumps(cells, indent=1) + "\n", encoding="utf-8")
    write_section("attribution", table(cells))


if __name__ == "__main__":
    main()
