"""Measure everything about the bench that a calibration can know, each in the one right order, and keep it."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from pydantic import BaseModel, Field, PositiveInt

from labonn.capture.characterisation import KINDS, usable
from labonn.capture.geometry import nominal_affine
from labonn.capture.measurements import MEASUREMENTS, Before, Measured
from labonn.design import lay_out, load_design
from labonn.errors import CalibrationError, ConfigError
from labonn.protocol import Lab, Result
from labonn.records import calibration_history, current_calibrations, keep_calibration
from labonn.records.disk import utc_now
from labonn.report import figures


class Parameters(BaseModel):
    """What can be set."""

    only: str = Field("all", description=f"which to make, separated by commas: {', '.join(KINDS)}; or all")
    design: str = Field("digits-mono", description="design whose sub-apertures and tiles are looked at")
    image_taps: PositiveInt = Field(28, description="side of an image on this bench, in taps")


def run(lab: Lab, parameters: Parameters) -> Result:
    """Make what was asked for, each with those before it as they were kept; stop at the first that fails."""
    wanted = chosen(parameters.only)
    layout = lay_out(load_design(parameters.design).optic)
    shape = (parameters.image_taps, parameters.image_taps)
    rows: list[dict[str, Any]] = []
    for name in wanted:
        kind = KINDS[name]
        if kind.needs_slm and not lab.bench.has_slm:
            rows.append({"calibration": name, "is": "not on this bench: it has a fixed optic"})
            continue
        current = current_calibrations(lab.folder, lab.bench_config.name)
        for needed in kind.needs:
            usable(needed, current, utc_now(), str(lab.bench_path))
        before = Before(
            layout,
            shape,
            {needed: current[needed].values for needed in kind.needs},
            {needed: current[needed].arrays() for needed in kind.needs},
        )
        made_with = {needed: current[needed].id for needed in kind.needs}
        with lab.step(kind.title) as step:
            measured = measure(lab, name, before, made_with, step.say)
        draw(lab, name, measured, before)
        rows.append(summary(name, measured))
        lab.table("Calibrations", rows)
    lab.table("History", history(lab))
    return Result(made=[row["calibration"] for row in rows])


def chosen(only: str) -> list[str]:
    """Give the names that were asked for, in the right order."""
    if only.strip() == "all":
        return list(KINDS)
    names = {name.strip() for name in only.split(",") if name.strip()}
    if unknown := sorted(names - KINDS.keys()):
        raise ConfigError(f"only = {unknown[0]!r}: is no calibration; there are: {', '.join(KINDS)}, or all")
    return [name for name in KINDS if name in names]


def measure(lab: Lab, name: str, before: Before, made_with: Mapping[str, str], say: Any) -> Measured:
    """Make one calibration and keep it, also where it fails; the one before it stays in use then."""
    kept: dict[str, Any] = {
        "bench": lab.bench_config.name,
        "kind": name,
        "run": lab.run_record.id,
        "made_with": made_with,
    }
    try:
        measured = MEASUREMENTS[name](lab.bench, before, say)
    except CalibrationError as error:
        keep_calibration(lab.folder, **kept, values={}, failure=str(error))
        raise
    keep_calibration(
        lab.folder,
        **kept,
        values=measured.values,
        arrays=measured.arrays,
        fit_error=measured.fit_error,
        fit_error_of=measured.fit_error_of,
    )
    return measured


def summary(name: str, measured: Measured) -> dict[str, Any]:
    """One line of the table: what was found, in a sentence, and how sure it is."""
    found = {key: value for key, value in measured.values.items() if isinstance(value, int | float | str)}
    said = ", ".join(
        f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}" for key, value in found.items()
    )
    error = "" if measured.fit_error is None else f"{measured.fit_error:.3g} ({measured.fit_error_of})"
    return {"calibration": name, "is": said or "see its picture", "fit error": error}


def history(lab: Lab) -> list[dict[str, Any]]:
    """Every calibration of this bench that was kept, the latest first."""
    kept = calibration_history(lab.folder, lab.bench_config.name)
    return [
        {
            "made": one.made_utc[:19].replace("T", " "),
            "calibration": one.kind,
            "fit error": "" if one.fit_error is None else f"{one.fit_error:.3g}",
            "state": "good" if one.good else f"failed: {one.reason}",
        }
        for one in reversed(kept)
    ]


def draw(lab: Lab, name: str, measured: Measured, before: Before) -> None:
    """Put the calibration's picture into the report."""
    values, arrays = measured.values, measured.arrays
    if name == "dark":
        dark = np.rint(arrays["mean"]).astype(np.uint16)
        lab.figure("dark frame", figures.dark_frame(dark, values["level_counts"]), "Mean of frames in the dark.")
    elif name == "flat":
        lab.figure("flat field", figures.flat_field_picture(arrays["flat"]), "A white display under a flat phase.")
    elif name == "geometry":
        camera = lab.bench.camera.shape
        nominal = nominal_affine(before.layout, lab.bench.config.geometry, camera)[:, :, 2]
        picture = figures.geometry_shifts(nominal, arrays["affine"][:, :, 2] - nominal, camera)
        lab.figure("geometry", picture, "Where the tiles lie, against where the bench file puts them.")
    elif name == "tile-gain":
        lab.figure("tile gain", figures.tile_bars(values["gain"]), "Light of each tile, 1 in the mean.")
    elif name == "psf":
        lab.figure("psf", figures.psf_grid(arrays["psf"], values["pixel_um"]), "Measured under a flat phase.")
    elif name == "phase-table":
        picture = figures.phase_table_curve(
            arrays["levels"], arrays["zeroth_order"], arrays["phase_rad"], values["levels_per_2pi"]
        )
        lab.figure("phase table", picture, "What gratings of each level leave in the zeroth order, and what follows.")
    elif name == "settling":
        picture = figures.step_response(
            arrays["delay_ms"] + values["exposure_ms"] / 2,
            arrays["level"],
            fitted_level=arrays["fitted_level"] if values["by"] == "fit" else None,
            latency_ms=values["latency_ms"] - values["command_ms"],
            settled_ms=values["settled_ms"],
            promised_ms=lab.bench.display.settle_ms,
        )
        lab.figure("settling", picture, "From black to white.")
    elif name == "photon-transfer":
        picture = figures.photon_transfer_plot(
            arrays["signal_dn"], arrays["variance_dn2"], values["gain_e_per_dn"], values["read_noise_dn"]
        )
        lab.figure("photon transfer", picture, "Pairs of frames at several exposures.")
