"""The design in use on the bench: its layout, its kernels, the PSFs that realise them, and those that were measured."""

import asyncio
import base64
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from nicegui import ui

from labonn.design import Design, design_hash, energy, lay_out, operations, parameters
from labonn.errors import LabonnError, RecordError
from labonn.records.calibrations import current_calibrations
from labonn.records.estimates import KeptEstimate, latest_estimate
from labonn.records.models import StoredModel, load_model, newest_model
from labonn.records.releases import current_release
from labonn.report import png_of, show
from labonn.web.seen_maps import kernels_of
from labonn.web.shell import Visit, at, card, facts, link, text, view

if TYPE_CHECKING:
    from matplotlib.figure import Figure

T = TypeVar("T")

_DPI = 110
_MEASURES = {"accuracy": "accuracy", "miou": "mean overlap"}


@dataclass(frozen=True)
class Shown:
    """What is shown of a model; pictures as data."""

    model: str
    design: Design
    accuracy: dict[str, float]
    correlations: tuple[float, ...]
    """Of each PSF with what was asked for."""
    layout: str
    kernels: str | None
    psfs: str | None
    pattern: str | None
    training: str | None
    """The model of `labonn train` that has a report of how it was trained."""


@dataclass(frozen=True)
class Measured:
    """What the bench's sub-apertures were measured to do."""

    made_utc: str
    picture: str


async def design_view(visit: Visit) -> None:
    """Show it."""
    with view(visit, "/design", "Design"):
        try:
            model = await asyncio.to_thread(_model_of, visit)
            if model is None:
                with card("No network yet", wide=True):
                    text("p", "The design is shown here when a network was trained for a bench.")
                    link("Train and deploy one", visit.to("/run", protocol="train_and_deploy"))
                return
            waiting = text("p", "Drawing \u2026").classes("soft")
            await ui.context.client.connected()
            shown = await asyncio.to_thread(_shown, visit.desk.place.lab, model)
            measured = await asyncio.to_thread(_or_why_not, lambda: _measured(visit))
            estimate = await asyncio.to_thread(_or_why_not, lambda: _estimate(visit.desk.place.lab, shown.design))
        except LabonnError as error:
            _alert(error)
            return
        waiting.delete()
        _show(shown, measured, estimate)


def _or_why_not(read: Callable[[], T]) -> T | RecordError:
    """Give what is read, or why it cannot be: the rest is shown nevertheless."""
    try:
        return read()
    except RecordError as error:
        return error


def _alert(error: LabonnError) -> None:
    text("p", str(error)).classes("alert").props('role="alert"')


def _model_of(visit: Visit) -> str | None:
    """Give the model of the release in use; else the newest for the bench, else the newest."""
    lab, bench = visit.desk.place.lab, visit.bench
    if bench is not None and (release := current_release(lab, bench)) is not None:
        return release.model
    return newest_model(lab, bench=bench) or newest_model(lab)


@lru_cache(maxsize=4)
def _shown(lab: Path, name: str) -> Shown:
    """Read a model and draw it. A model never changes."""
    from labonn.report import figures

    model = load_model(lab, name)
    design = Design.model_validate(model.description["design"])
    arrays, kernels = model.arrays, kernels_of(lab, name)
    correlations = arrays.get("psf_correlation")
    psfs, target = _psf_arrays(model), arrays.get("psf_target")
    pattern = arrays.get("pattern_rad")
    if kernels is None and target is not None and target.ndim == 4:
        kernels = target  # in colour
    scores = model.description.get(design.measure) or model.description.get("accuracy", {})
    trained = str(model.description.get("trained_as", {}).get("model", name))
    return Shown(
        model=name,
        design=design,
        accuracy={key: float(value) for key, value in scores.items()},
        correlations=() if correlations is None else tuple(float(one) for one in correlations),
        layout=_png(figures.layout(lay_out(design.optic))),
        kernels=None
        if kernels is None or len(kernels) < 2
        else _png(figures.kernels(kernels[0::2] - kernels[1::2], kernels)),
        psfs=None if psfs is None else _png(figures.psf_pairs(*psfs)),
        pattern=None if pattern is None or pattern.ndim != 2 else _png(figures.phase_pattern(pattern)),
        training=trained if (lab / "models" / trained / "report.html").is_file() else None,
    )


def _measured(visit: Visit) -> Measured | None:
    """Give what the latest characterisation measured of the bench's PSFs, if there was one."""
    lab, bench = visit.desk.place.lab, visit.bench
    kept = None if bench is None else current_calibrations(lab, bench).get("psf")
    if kept is None:
        return None
    from labonn.report import figures

    psfs = np.asarray(kept.arrays()["psf"])
    grey = psfs if psfs.ndim == 3 else psfs.mean(axis=1)
    return Measured(kept.made_utc, _png(figures.psf_grid(grey, float(kept.values["pixel_um"]))))


def _psf_arrays(model: StoredModel) -> tuple[Any, Any, Any] | None:
    names = ("psf_target", "psf_realised", "psf_correlation")
    if any(name not in model.arrays or model.arrays[name].size == 0 for name in names):
        return None
    found = tuple(model.arrays[name] for name in names)
    return found if found[0].ndim == 3 else None  # type: ignore[return-value]


def _show(shown: Shown, measured: Measured | RecordError | None, estimate: KeptEstimate | RecordError | None) -> None:
    design, done = shown.design, operations(shown.design)
    optic, measure = design.optic, _MEASURES[design.measure]
    layout = lay_out(optic)
    with ui.element("div").classes("cards"):
        with card(design.name):
            facts(
                {
                    "task": design.task,
                    "optic": f"{optic.kind}, {optic.kernels} kernels of {optic.taps} x {optic.taps} taps",
                    "sub-apertures": f"{len(layout.sub_apertures)} in a grid of {layout.rows} x {layout.columns}",
                    "wavelengths": ", ".join(f"{one:g} nm" for one in optic.wavelengths_nm),
                    "backend": f"{design.backend.kind}, pooled by {design.backend.pool}",
                    "parameters": _count(parameters(design)),
                }
            )
        with card("Accuracy, and work"):
            digital = done.digital
            share = "" if digital is None else f", {100 * done.optical / (done.optical + digital):.1f} % of all"
            facts(
                {
                    **{f"{measure}, {name}": f"{value:.2f} %" for name, value in shown.accuracy.items()},
                    "done by light": f"{done.optical:,} MACs{share}",
                    "done digitally": f"{_count(digital)} MACs, and {done.elementwise:,} other operations",
                    "exposures": str(design.exposures),
                }
            )
            text("p", f"model {shown.model}").classes("soft")
            if shown.training is not None:
                link("How it was trained", f"/models/{shown.training}/report.html", new=True)
        _before(design, estimate)
        if shown.correlations:
            with card("PSFs"):
                worst = min(shown.correlations)
                place, mean = shown.correlations.index(worst), sum(shown.correlations) / len(shown.correlations)
                rows = {"mean": show(mean), "worst": f"{show(worst)}, of sub-aperture {place}"}
                text("p", "Correlation of what the pattern should give with what was asked for.").classes("soft")
                facts(rows)
        for title, picture in (
            ("Layout", shown.layout),
            ("Kernels", shown.kernels),
            ("Point spread functions: asked for, and as the pattern should give them", shown.psfs),
            ("Phase pattern", shown.pattern),
            *_of_the_bench(measured),
        ):
            if picture is not None:
                with card(title, wide=picture != shown.layout), ui.element("figure"):
                    made = ui.element("img").props(f'src="{picture}"')
                    made.props["alt"] = title
        if isinstance(measured, RecordError):
            with card("The bench's PSFs"):
                _alert(measured)


def _of_the_bench(measured: Measured | RecordError | None) -> list[tuple[str, str]]:
    if not isinstance(measured, Measured):
        return []
    return [(f"The bench's PSFs under a flat phase, measured {at(measured.made_utc)}", measured.picture)]


def _before(design: Design, estimate: KeptEstimate | RecordError | None) -> None:
    """Show what was known before it was trained: what it should reach, and what an image costs."""
    cost = energy(design)
    with card("Estimate, and energy"):
        foretold = {"before training": _foretold(estimate)} if isinstance(estimate, KeptEstimate) else {}
        facts(
            {
                **foretold,
                "an image": f"{cost.total_mj:.3f} mJ",
                "of it the capture": f"{cost.capture_mj:.3f} mJ, {cost.photosites:,} photosites",
                "and the backend": f"{cost.backend_mj:.4f} mJ",
            }
        )
        if estimate is None:
            text("p", "What it would reach was not estimated. With its name, or its file:").classes("soft")
            text("code", f"labonn design estimate {design.name}")
        elif isinstance(estimate, RecordError):
            _alert(estimate)
        else:
            text("p", f"estimated {at(estimate.made_utc.isoformat())}").classes("soft")
            link("The estimate", f"/designs/{design.name}/estimate.html", new=True)


def _foretold(estimate: KeptEstimate) -> str:
    certain = f"{estimate.low:.1f} to {estimate.high:.1f} % at {estimate.confidence:.0%}"
    return f"{estimate.accuracy:.1f} %, {certain}, corrected by {estimate.earlier_designs} earlier designs"


def _estimate(lab: Path, design: Design) -> KeptEstimate | None:
    """Give the latest estimate of this design; one of another with its name is none."""
    kept = latest_estimate(lab, design.name)
    return kept if kept is not None and kept.design_hash == design_hash(design) else None


def _count(value: int | None) -> str:
    return "depends on the backend" if value is None else f"{value:,}"


def _png(figure: "Figure") -> str:
    return "data:image/png;base64," + base64.b64encode(png_of(figure, _DPI)).decode()
