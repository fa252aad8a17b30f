"""What the report of a characterisation shows: a line and a picture for each calibration, and all that were kept."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from labonn.capture import Calibrator
from labonn.capture.before import Measured
from labonn.capture.calibration import middle_colour
from labonn.capture.colour import NAMES
from labonn.capture.geometry import nominal_affine
from labonn.design import lay_out, load_design
from labonn.instruments import COLOURS
from labonn.protocol.deployment import in_use
from labonn.records import calibration_history, current_release
from labonn.report import figures

if TYPE_CHECKING:
    from labonn.protocol.lab import Lab


def calibrator_of(lab: "Lab", design: str, image_taps: int) -> Calibrator:
    """Give the bench's calibrations: of the network that is in use, or of the design that is named where none is."""
    if current_release(lab.folder, lab.bench_config.name) is not None:
        return in_use(lab)[1].calibrator(lab)
    layout, shape = lay_out(load_design(design).optic), (image_taps, image_taps)
    return Calibrator(lab.bench, lab.folder, lab.run_record.id, layout, shape)


def summary(name: str, measured: Measured) -> dict[str, Any]:
    """One line of the table: what was found, in a sentence, and how sure it is."""
    found = {key: value for key, value in measured.values.items() if isinstance(value, int | float | str)}
    said = ", ".join(
        f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}" for key, value in found.items()
    )
    error = "" if measured.fit_error is None else f"{measured.fit_error:.3g} ({measured.fit_error_of})"
    return {"calibration": name, "is": said or "see its picture", "fit error": error}


def history(lab: "Lab") -> list[dict[str, Any]]:
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


def by_colour(title: str, of_tiles: NDArray[Any], of_one: int = 1) -> list[tuple[str, NDArray[Any]]]:
    """Give what there is of tiles (T, ...), or of each colour of them (T, C, ...), with its title."""
    if of_tiles.ndim == of_one:
        return [(title, of_tiles)]
    return [(f"{title}, {NAMES[one]}", of_tiles[:, colour]) for colour, one in enumerate(COLOURS)]


def draw(lab: "Lab", name: str, measured: Measured, calibrator: Calibrator) -> None:
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
        picture = figures.geometry_shifts(nominal, middle_colour(arrays["affine"])[:, :, 2] - nominal, camera)
        lab.figure("geometry", picture, "Where the tiles lie, against where the bench file puts them.")
    elif name == "maps":
        for title, gain in by_colour("gain behind the pattern", arrays["gain"]):
            picture = figures.tile_bars((gain / gain.mean()).tolist())
            lab.figure(title, picture, "Light of each map, 1 in the mean.")
    elif name == "tile-gain":
        for title, gain in by_colour("tile gain", np.array(values["gain"])):
            lab.figure(title, figures.tile_bars(gain.tolist()), "Light of each tile, 1 in the mean.")
    elif name == "psf":
        for title, psf in by_colour("psf", arrays["psf"], of_one=3):
            lab.figure(title, figures.psf_grid(psf, values["pixel_um"]), "Measured under a flat phase.")
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
