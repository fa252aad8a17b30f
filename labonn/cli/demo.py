"""The demo: the shipped protocols, one after the other, on the shipped simulated bench."""

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labonn.cli.answer import Answer
from labonn.cli.running import show_outcome
from labonn.errors import ConfigError
from labonn.protocol.runtime import run_protocol

if TYPE_CHECKING:
    from rich.console import Console

    from labonn.protocol import Outcome


def shipped_bench(name: str) -> Path:
    """Give the file of a simulated bench that comes with labonn.

    Raises
    ------
    ConfigError
        If there is none of that name.
    """
    spec = find_spec("sim")  # found, not imported: the simulated laboratory is a process of its own
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = Path(folder) / "benches" / f"{name}.bench.toml"
        if path.is_file():
            return path
    raise ConfigError(f"this installation of labonn has no simulated bench {name!r}: install it again")


def run_demo(lab: Path, task: str, seed: int) -> Answer:
    """Train, deploy, recalibrate, evaluate on the whole test set."""
    bench = shipped_bench("mono")
    training = run_protocol("train_and_deploy", bench, lab, {"task": task, "seed": str(seed)}, world_seed=seed)
    if training.exit_code:
        return Answer(
            training.as_json(), lambda console: show_outcome(console, training), training.exit_code, training.error
        )
    settings = {"seed": str(seed), "evaluate": "true"}
    recalibration = run_protocol("recalibrate", bench, lab, settings, world_seed=seed)
    content = merge(training, recalibration)
    return Answer(
        content, lambda console: _show(console, content, recalibration), recalibration.exit_code, recalibration.error
    )


def merge(training: "Outcome", recalibration: "Outcome") -> dict[str, Any]:
    """Join what both runs say into the object that the demo promises."""
    content = recalibration.as_json()
    learned: Mapping[str, Any] = training.result["accuracy"]
    accuracy = {"teacher": learned["teacher"], "simulated": learned["simulated"]} | content.get("accuracy", {})
    seconds = training.as_json()["seconds"] | content["seconds"]
    seconds["total"] = round(training.seconds["total"] + recalibration.seconds["total"], 3)
    rest = {key: value for key, value in training.result.items() if key not in ("accuracy", "seconds", "release")}
    training_run = {"training_run": training.run_folder.name, "training_report": str(training.report)}
    return rest | training_run | content | {"accuracy": accuracy, "seconds": seconds}


def _show(console: "Console", content: Mapping[str, Any], recalibration: "Outcome") -> None:
    if "methods" not in content:
        show_outcome(console, recalibration)
        return
    from rich.table import Table

    simulated, deployed = content["accuracy"]["simulated"], content["methods"]["none"]
    table = Table(title="Accuracy on the whole test set", title_justify="left")
    table.add_column("")
    table.add_column("%", justify="right")
    table.add_column("of the drop returned, %", justify="right")
    table.add_row("teacher, electronic", f"{content['accuracy']['teacher']:.1f}", "")
    table.add_row("student, simulated", f"{simulated:.1f}", "")
    for name, value in content["methods"].items():
        returned = (
            ""
            if name == "none" or simulated <= deployed
            else f"{100 * (value - deployed) / (simulated - deployed):.0f}"
        )
        label = "deployed, calibrated, not compensated" if name == "none" else f"deployed, compensated: {name}"
        table.add_row(label, f"{value:.1f}", returned)
    console.print(table)
    console.print(f"released: {content.get('release') or 'no'}; {content['seconds']['total']:.0f} s in all")
    console.print(f"report: {content['report']}")
