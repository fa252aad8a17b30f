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
    """Train, deploy, recalibrate; all accuracies on the whole test set."""
    bench = shipped_bench("mono")
    training = run_protocol(
        "train_and_deploy", bench, lab, {"design": f"{task}-mono", "seed": str(seed)}, world_seed=seed
    )
    if training.exit_code:
        content = training.as_json()
        return Answer(content, lambda console: show_outcome(console, training), training.exit_code, training.error)
    settings = {"evaluation_images": "all", "seed": str(seed)}
    recalibration = run_protocol("recalibrate", bench, lab, settings, world_seed=seed)
    content = merge(training, recalibration)
    return Answer(
        content, lambda console: _show(console, content, recalibration), recalibration.exit_code, recalibration.error
    )


def merge(training: "Outcome", recalibration: "Outcome") -> dict[str, Any]:
    """Join what both runs say into the object that the demo promises."""
    first, second = training.as_json(), recalibration.as_json()
    content = {
        **second,
        "training": {key: first[key] for key in ("run", "report", "model", "psf_correlation", "psf_efficiency")},
        "seconds": {**first["seconds"], **second["seconds"]}
        | {"total": round(training.seconds["total"] + recalibration.seconds["total"], 3)},
    }
    evaluation = content.pop("evaluation", None)
    if evaluation is not None:
        # What recalibrate says of its validation captures gives way to the same of the whole test set.
        over_test = evaluation["methods"]
        after = {"before": over_test["none"], "after": over_test[second["candidate"]]}
        learned = {key: first["accuracy"][key] for key in ("teacher", "simulated")}
        validation = {"accuracy": second["accuracy"], "methods": second["methods"]}
        content |= {"accuracy": learned | after, "methods": over_test, "validation": validation}
        content["test_images"] = evaluation["test_images"]
    return content


def _show(console: "Console", content: Mapping[str, Any], recalibration: "Outcome") -> None:
    if "test_images" not in content:
        show_outcome(console, recalibration)
        return
    from rich.table import Table

    accuracy, methods = content["accuracy"], content["methods"]
    table = Table(title=f"Accuracy on all {content['test_images']} test images", title_justify="left")
    table.add_column("")
    table.add_column("%", justify="right")
    table.add_column("of the drop returned", justify="right")
    table.add_row("teacher, electronic", f"{accuracy['teacher']:.1f}", "")
    table.add_row("student, simulated", f"{accuracy['simulated']:.1f}", "")
    drop = accuracy["simulated"] - accuracy["before"]
    for name, value in methods.items():
        label = "on the bench, calibrated" if name == "none" else f"on the bench, compensated: {name}"
        share = f"{100 * (value - accuracy['before']) / drop:.0f} %" if name != "none" and drop > 0 else ""
        table.add_row(label, f"{value:.1f}", share)
    console.print(table)
    console.print(f"{content['captures']} images captured for the fit; {content['seconds']['total']:.0f} s in all")
    console.print(f"released: {content['release'] or 'no'}", markup=False)
    console.print(f"training's report: {content['training']['report']}", markup=False)
    console.print(f"report: {content['report']}", markup=False)
