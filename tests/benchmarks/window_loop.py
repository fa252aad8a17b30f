"""A recalibration whose display is a window: ``python -m tests.benchmarks.window_loop``, about 6 minutes on 2 cores.

Bench `mono` in real time; its display is labonn's window on the second screen of an X server, and the simulated
laboratory sees what is on that screen, read from the X server's memory.
"""

import argparse
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from labonn.protocol import Outcome, run_protocol
from labonn.records import current_release
from tests.bench.conftest import DISPLAY, WINDOW, WINDOW_DISPLAY, bench_of, simulated
from tests.bench.watch_screen import watched
from tests.benchmarks.results import write_section
from tests.screens import two_screens

NAME = "window-loop"


def section(deployed: Outcome | None, recalibrated: Outcome) -> str:
    """Write the section."""
    accuracy, result = recalibrated.result["accuracy"], recalibrated.result
    lines = [
        "## A window as the input display, bench `mono` in real time",
        "",
        f"`python -m tests.benchmarks.window_loop`, {datetime.now(UTC):%Y-%m-%d}, seed 0: `train_and_deploy`, then"
        f" `recalibrate`, with the driver `display` on the second of two screens. {result['captures']} captures for the"
        f" fit, {result['validation_captures']} for the gate.",
        "",
        "| accuracy on the gate's captures | per cent |",
        "|---|---|",
        f"| before | {accuracy['before']:.1f} |",
        f"| after | {accuracy['after']:.1f} |",
        f"| released | {'yes' if result['released'] else 'no'} |",
        f"| seconds, capture | {result['seconds']['capture']:.0f} |",
        f"| seconds, all | {recalibrated.seconds['total']:.0f} |",
    ]
    if deployed is not None:
        lines.append(f"| deployed, calibrated, test images | {deployed.result['accuracy']['deployed']:.1f} |")
    return "\n".join(lines)


def main() -> None:
    """Train and deploy, unless the laboratory has a release; recalibrate; write the section."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lab", type=Path, help="a laboratory to go on with")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, two_screens(WINDOW, (512, 912)) as screens:
        lab = arguments.lab or Path(folder) / "lab"
        changes = [('clock = "virtual"', 'clock = "real"'), (DISPLAY, WINDOW_DISPLAY)]
        file = bench_of(Path(folder) / "bench", NAME, *changes)
        with simulated(file) as world, watched(screens, WINDOW, NAME):
            deployed = None
            if current_release(lab, NAME) is None:
                deployed = run_protocol("train_and_deploy", world.file, lab, {"evaluation_images": "100"})
                assert deployed.exit_code == 0, deployed.error
                print(deployed.result, flush=True)
            recalibrated = run_protocol("recalibrate", world.file, lab, {})
            print(recalibrated.result, recalibrated.exit_code, recalibrated.error, flush=True)
            assert recalibrated.exit_code in (0, 4), recalibrated.error
    write_section("window-loop", section(deployed, recalibrated))


if __name__ == "__main__":
    main()
