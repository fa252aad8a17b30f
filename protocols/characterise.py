"""Measure everything about the bench that a calibration can know, each in the one right order, and keep it."""

from typing import Any

import numpy as np
from pydantic import BaseModel, Field, PositiveInt

from labonn.capture import Calibrator
from labonn.capture.before import Measured
from labonn.capture.characterisation import KINDS
from labonn.capture.geometry import nominal_affine
from labonn.design import lay_out, load_design
from labonn.errors import ConfigError
from labonn.protocol import Lab, Result
from labonn.protocol.deployment import in_use
from labonn.records import calibration_history, current_release
from labonn.report import figures


class Parameters(BaseModel):
    """What can be set."""

    only: str = Field("all", description=f"which to make, separated by commas: {', '.join(KINDS)}; or all")
    design: str = Field("digits-mono", description="design whose tiles are looked at, where no network is in use yet")
    image_taps: PositiveInt = Field(28, description="side of an image, in taps, where no network is in use yet")


def run(lab: Lab, parameters: Parameters) -> Result:
    """Make what was asked for, each with those before it as they were kept; stop at the first that fails."""
    rows: list[dict[str, Any]] = []
    wanted = chosen(parameters.only)
    calibrator = calibrator_of(lab, parameters)
    for name in wanted:
        kind = KINDS[name]
        if kind.needs_slm and not lab.bench.has_slm:
            rows.append({"calibration": name, "is": "not on this bench: it has a fixed optic"})
            continue
        if name == "maps" and calibrator.pattern is None and parameters.only.strip() == "all":
            rows.append({"calibration": name, "is": "no network is in use on this bench yet"})
            continue
        with lab.step(kind.title) as step:
            measured = calibrator.make(name, step.say)
        draw(lab, name, measured, calibrator)
        rows.append(summary(name, measured))
        lab.table("Calibrations", rows)
    lab.table("History", history(lab))
    return Result(made=[row["calibration"] for row in rows])


def calibrator_of(lab: Lab, parameters: Parameters) -> Calibrator:
    """Give the bench's calibrations: of the network that is in use, or of the design that was named where none is."""
    if current_release(lab.folder, lab.bench_config.name) is not None:
        return in_use(lab)[1].calibrator(lab)
    layout, shape = lay_out(load_design(parameters.design).optic), (parameters.image_taps, parameters.image_taps)
    return Calibrator(lab.bench, lab.folder, lab.run_record.id, layout, shape)


def chosen(only: str) -> list[str]:
    """Give the names that were asked for, in the right order."""
    if only.strip() == "all":
        return list(KINDS)
    names = {name.strip() for name in only.split(",") if name.strip()}
    if unknown := sorted(names - KINDS.keys()):
        raise ConfigError(f"only = {unknown[0]!r}: is no calibration; there are: {', '.join(KINDS)}, or all")
    return [name for name in KINDS if name in names]


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


def draw(lab: Lab, name: str, measured: Measured, calibrator: Calibrator) -> None:
    """Put the calibration's picture into the report."""
    values, arrays = measured.values, measured.arrays
    if name == "dark":
        dark = np.rint(arrays["mean"]).astype(np.uint16)
        lab.figure("dark frame", figures.dark_frame(dark, values["level_counts"]), "Mean of frames in the dark.")
    elif name == "flat":
        lab.figure("flat field", figures.flat_field_picture(arrays["flat"]), "A white display under a flat phase.")
    elif name == "geometry":
        camera = lab.bench.camera.shape
        nominal = nominal_affine(calibrator.layout, lab.bench.config.geometry, camera)[:, :, 2]
        picture = figures.geometry_shifts(nominal, arrays["affine"][:, :, 2] - nominal, camera)
        lab.figure("geometry", picture, "Where the tiles lie, against where the bench file puts them.")
    elif name == "maps":
        gain = arrays["gain"] / arrays["gain"].mean()
        lab.figure("gain behind the pattern", figures.tile_bars(gain.tolist()), "Light of each map, 1 in the mean.")
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
