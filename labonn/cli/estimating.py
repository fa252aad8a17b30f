"""The command that says what a design will reach and cost, before it is trained."""

from dataclasses import asdict
from io import BytesIO
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
    from labonn.training.estimate import Estimate

OTHERS = {
    "ntk_of_all": "the same, as if its parameters could learn from every image",
    "infinite_width": "infinite-width NTK on infinitely many kernels",
    "random_kernels": "random kernels, as many, single layer",
    "infinite_kernels": "random kernels, infinitely many, single layer",
    "lens": "the same backend behind a lens",
}


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
    content["report"] = str(_write(checked, content, found, lab))
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
            "ntk": round(predictors.seconds["ntk"], 2),
            "references": round(predictors.seconds["references"], 2),
            "earlier": round(found.seconds["earlier"], 2),
            "training_at_least": round(training_s, 1),
        },
        "part_of_training": round(predictors.seconds["ntk"] / training_s, 4),
    }


def _write(design: "Design", content: dict[str, Any], found: "Estimate | None", lab: Path) -> Path:
    from labonn.report import Page, figures, flatten

    page = Page(f"{design.name}, before it is trained")
    shown = {key: value for key, value in content.items() if key not in ("layers", "energy_model", "predictors")}
    if found is None:
        page.banner("neutral", content["why_not"])
    else:
        said = content["accuracy"]
        page.banner(
            "neutral",
            f"{said['estimate']} % of the test images, in simulation; between {said['low']} and {said['high']} % at"
            f" {said['confidence']:.0%}, corrected by {found.earlier} earlier designs",
        )
    page.facts(flatten(shown))
    page.heading("Layers of the backend, for one image")
    page.table(content["layers"])
    page.text("Energy is counted by the model below; docs/designing.md says where its figures are from.")
    page.facts(content["energy_model"])
    page.table(
        [{"target": name, "source": target.source} for name, target in TARGETS.items()],
        "Least latencies are bounds, from",
    )
    if found is not None:
        from labonn.training.estimate.curve import told_apart

        predictors = found.predictors
        page.heading("What foretells the accuracy")
        rows: list[dict[str, Any]] = [{"predictor": "this estimate", "per cent": found.accuracy.value}]
        rows.append({"predictor": "the finite student's NTK", "per cent": predictors.ntk})
        rows += [{"predictor": text, "per cent": getattr(predictors, name)} for name, text in OTHERS.items()]
        page.table(rows)
        png = BytesIO()
        figures.learning_curve(
            predictors.curve.images,
            [100 * error for error in predictors.curve.errors],
            extrapolated=(round(told_apart(predictors.training_images, predictors.parameters)), 100 - predictors.ntk),
            interval=(100 - found.accuracy.high, 100 - found.accuracy.low),
        ).savefig(png, format="png", dpi=144)
        page.figure(
            png.getvalue(),
            "Learning curve",
            "What regression with the student's kernel gets wrong of images that it leaves out; the law that is"
            " extrapolated; and the interval of the estimate.",
        )
    page.folded("The design", design.model_dump(mode="json", by_alias=True))
    path = estimate_report(lab, design.name)
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
