"""The command that says what a design will reach and cost, before it is trained."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labonn.cli.answer import Answer
from labonn.design import (
    TARGETS,
    EnergyModel,
    design_hash,
    energy,
    lay_out,
    layer_costs,
    least_latency_ms,
    load_design,
    operations,
    parameters,
)
from labonn.errors import ConfigError
from labonn.records import estimate_report, keep_estimate

if TYPE_CHECKING:
    from rich.console import Console

    from labonn.design import Design
    from labonn.report import Page
    from labonn.training.estimate import Estimate


def estimate_command(
    design: str, lab: Path, *, images: int, initialisations: int, seed: int, earlier: int, references: bool
) -> Answer:
    """Estimate a design's accuracy, energy and latency, and write a page about it.

    Raises
    ------
    ConfigError
        If the file is wrong, or its kernels do not fit its optic.
    DataError
        If the data are missing or damaged, or not those that the design is for.
    RecordError
        If the disk refuses, or what a laboratory kept is damaged.
    """
    from labonn.cli.estimate_page import estimate_page
    from labonn.training.estimate.timing import backend_ms
    from labonn.training.model import can_be_built

    checked = load_design(design)
    lay_out(checked.optic)
    can_be_built(checked)
    content = costs(checked) | {"backend_ms_here": round(backend_ms(checked), 4), checked.measure: None}
    found = None
    if checked.measure == "accuracy":
        from labonn.data import load
        from labonn.training.estimate import Settings, estimate_design
        from labonn.training.estimate.timing import training_s
        from labonn.training.model import check_data

        data = load(checked.task)
        check_data(checked, data)
        settings = Settings(images=images, initialisations=initialisations, seed=seed, references=references)
        found = estimate_design(lab, checked, data, settings, most_earlier=earlier)
        content |= _figures(found, training_s(checked, data.train))
    else:
        content["why_not"] = "of images whose pixels have classes, no accuracy is estimated before training"
    command = ["labonn", "design", "estimate", design, "--images", str(images), "--initialisations"]
    command += [str(initialisations), "--seed", str(seed), "--earlier", str(earlier)]
    command += [] if references else ["--no-references"]
    page = estimate_page(checked, content, found, command)
    content["report"] = str(_write(page, estimate_report(lab, checked.name)))
    if found is not None:
        said = found.accuracy
        keep_estimate(
            lab, checked.name, design_hash(checked), accuracy=said.value, low=said.low, high=said.high,
            confidence=said.confidence, earlier_designs=found.earlier,
        )  # fmt: skip
    return Answer(content, lambda console: _show(console, content))


def costs(design: "Design") -> dict[str, Any]:
    """What an image costs: counts, energy by the documented model, and bounds of the latency on named targets."""
    done, cost, model = operations(design), energy(design), EnergyModel()
    height_mm, width_mm = design.optic.aperture_mm
    return {
        "design": design.name,
        "task": design.task,
        "parameters": parameters(design),
        "optic_mm2": round(height_mm * width_mm, 3),
        "macs": {"optical": done.optical, "digital": done.digital, "elementwise": done.elementwise},
        "layers": [asdict(layer) | {"energy_mj": model.compute_mj(layer.macs)} for layer in layer_costs(design)],
        "energy_mj": {
            "capture": round(cost.capture_mj, 4),
            "backend": round(cost.backend_mj, 6),
            "total": round(cost.total_mj, 4),
        },
        "photosites": cost.photosites,
        "energy_model": model.model_dump(),
        "latency_ms_at_least": {name: least_latency_ms(design, target) for name, target in TARGETS.items()},
    }


def _figures(found: "Estimate", training_s: float) -> dict[str, Any]:
    from labonn.cli.estimate_page import OTHERS
    from labonn.training.estimate.curve import told_apart

    predictors, interval = found.predictors, found.accuracy
    return {
        "accuracy": {
            "estimate": round(interval.value, 2),
            "low": round(interval.low, 2),
            "high": round(interval.high, 2),
            "confidence": interval.confidence,
        },
        "earlier_designs": found.earlier,
        "predictors": {
            "ntk": round(predictors.ntk, 2),
            "ntk_each": [round(value, 2) for value in predictors.ntk_each],
            **{name: None if (v := getattr(predictors, name)) is None else round(v, 2) for name in OTHERS},
            "alignment": round(predictors.alignment, 4),
            "kare": round(predictors.kare, 4),
            "bottleneck": predictors.bottleneck,
        },
        "learning_curve": {
            "images": list(predictors.curve.images),
            "wrong_percent": [round(100 * error, 3) for error in predictors.curve.errors],
            "exponent": round(predictors.curve.exponent, 3),
            "training_images": predictors.training_images,
            "told_apart": round(told_apart(predictors.training_images, predictors.parameters)),
        },
        "seconds": {
            "design": round(predictors.seconds["own"], 2),
            "references": round(predictors.seconds["references"], 2),
            "earlier": round(found.seconds["earlier"], 2),
            "training_at_least": round(training_s, 1),
        },
        "part_of_training": round(predictors.seconds["own"] / training_s, 4),
    }


def _write(page: "Page", path: Path) -> Path:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        page.write(path)
    except OSError as error:
        raise ConfigError(f"{path}: the report cannot be written: {error.strerror or error}") from error
    return path


def _show(console: "Console", content: dict[str, Any]) -> None:
    from rich.table import Table

    from labonn.report import flatten
    from labonn.report import show as written

    table = Table("", "", show_header=False, box=None, padding=(0, 2, 0, 0))
    hidden = ("layers", "energy_model", "report")
    for key, value in flatten({key: value for key, value in content.items() if key not in hidden}).items():
        table.add_row(key, written(value))
    console.print(table)
    console.print(f"report: {content['report']}", markup=False)
