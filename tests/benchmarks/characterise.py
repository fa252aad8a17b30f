"""Calibration against the truth, on random worlds: what `labonn run characterise` finds, and what really is the case.

``python -m tests.benchmarks.characterise`` (20 worlds, about 20 minutes on 2 cores). Each world's figures are kept in
``docs/results/characterise.json``; those that are there are not measured again. The truth comes through the simulated
laboratory's test door, which labonn does not have.
"""

import argparse
import base64
import json
import os
import shutil
import socket
import statistics
import tempfile
from dataclasses import replace
from datetime import UTC, datetime
from math import log
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.signal import fftconvolve

from labonn.capture.before import Before
from labonn.capture.characterisation import KINDS
from labonn.capture.fiducials import FIDUCIAL_RADIUS_TAPS
from labonn.capture.measurements import MEASUREMENTS
from labonn.capture.point_image import BLUR_TAPS
from labonn.cli.demo import shipped_bench
from labonn.design import lay_out, load_design
from labonn.errors import CalibrationError
from labonn.instruments import Bench, open_bench
from tests.benchmarks.results import cells_file, keep_cell, read_cells, write_section

CELLS = cells_file("characterise")
TAPS = np.array([(y, x, 1.0) for y in np.arange(28) - 13.5 for x in np.arange(28) - 13.5])
MEASURED = [name for name, kind in KINDS.items() if name not in ("phase-table", "maps") and not kind.in_colour]
ROWS = {
    "geometry, px rms": (0.1, "over every tap of every tile"),
    "tile gain, %": (1.0, "rms over tiles, mean 1"),
    "black level, %": (3.0, ""),
    "read noise, %": (3.0, ""),
    "conversion gain, %": (2.0, ""),
    "settle time, ms": (2.0, "to 99 %"),
    "PSF, 1 - correlation": (0.02, "the worst tile"),
}


class Truth:
    """The test door of a bench's world."""

    def __init__(self, name: str) -> None:
        from sim import registry

        info = registry.living(name)
        assert info is not None
        host, port = str(info["test"]).rsplit(":", 1)
        self._address = (host, int(port))

    def ask(self, **request: Any) -> dict[str, Any]:
        """Ask one thing."""
        with socket.create_connection(self._address, timeout=300) as connection:
            connection.sendall(json.dumps({"id": 1, **request}).encode() + b"\n")
            reply: dict[str, Any] = json.loads(connection.makefile("r", encoding="utf-8").readline())
        assert reply["ok"], reply
        return reply

    def psf(self, tile: int, side: int, pixel_um: float) -> NDArray[np.float64]:
        """PSF of a tile under what the SLM shows, in pixels about the lenslet's axis."""
        reply = self.ask(op="psf", tile=tile, side=side, pixel_um=pixel_um)
        return np.frombuffer(base64.b64decode(reply["base64"]), "<f4").reshape(reply["shape"]).astype(np.float64)


def compare(bench: Bench, truth: Truth, seed: int) -> dict[str, float]:
    """Characterise the bench in the world of one seed; give each figure's error."""
    truth.ask(op="set", path="seed", value=seed)
    before = Before(lay_out(load_design("digits-mono").optic), (28, 28))
    for name in MEASURED:
        found = MEASUREMENTS[name](bench, before, lambda _: None)
        before = replace(
            before, values={**before.values, name: found.values}, arrays={**before.arrays, name: found.arrays}
        )
    real = truth.ask(op="truth")
    values, psfs = before.values, before.arrays["psf"]["psf"].astype(np.float64)
    sensor, effects = real["sensor"], real["effects"]
    pixel_um = bench.config.geometry.camera_pixel_um
    binned = pixel_um / sensor["pixel_um"]
    # The world counts the sensor's own pixels.
    centres = (np.array(real["geometry"]["tile_centres_px"]) - (binned - 1) / 2) / binned
    per_tap = np.array(real["geometry"]["display_to_camera"]) * bench.config.geometry.display_px_per_tap / binned
    places, correlations = [], []
    for tile, psf in enumerate(psfs):
        real_psf = truth.psf(tile, psf.shape[0], pixel_um)
        lands_at = centres[tile] + point_middle_px(real_psf, before.affine[tile, 0, 0])
        off_px = before.affine[tile] - np.column_stack([per_tap, lands_at])
        places.append(TAPS @ off_px.T)
        moved = shifted(real_psf, centres[tile] - before.affine[tile, :, 2])
        correlations.append(float(np.corrcoef(moved.ravel(), psf.ravel())[0, 1]))
    # A binned pixel is the mean of b x b: a count of it is worth b^2 times the electrons, with b times the noise.
    gain, black = binned**2 * sensor["gain_e_per_dn"], sensor["black_dn"]
    read_e = binned * effects["read_noise"]["rms_e"]
    settling = effects["settling"]
    settled_ms = settling["latency_ms"] + settling["display_tau_ms"] * log(100)
    real_gain = real_tile_gain(bench, truth, before)
    transfer = values["photon-transfer"]
    return {
        "geometry, px rms": float(np.sqrt(np.mean(np.square(places)))),
        "tile gain, %": 100 * float(np.sqrt(np.mean((np.array(values["tile-gain"]["gain"]) / real_gain - 1) ** 2))),
        "black level, %": 100 * abs(values["dark"]["level_counts"] / black - 1),
        "read noise, %": 100 * abs(transfer["read_noise_e"] / read_e - 1),
        "conversion gain, %": 100 * abs(transfer["gain_e_per_dn"] / gain - 1),
        "settle time, ms": abs(values["settling"]["settled_ms"] - settled_ms),
        "PSF, 1 - correlation": 1 - min(correlations),
    }


def point_middle_px(psf: NDArray[np.float64], per_tap: float) -> NDArray[np.float64]:
    """Where a disc's image is brightest after a blur of 1.5 taps, (down, right) from the axis: what geometry is."""
    reach = round(2 * per_tap)
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disc = np.clip(FIDUCIAL_RADIUS_TAPS * per_tap - np.hypot(y, x) + 0.5, 0, 1)
    blurred = gaussian_filter(fftconvolve(psf, disc, mode="same"), BLUR_TAPS * per_tap, mode="constant")
    brightest = np.array(np.unravel_index(int(np.argmax(blurred)), blurred.shape))
    around = blurred[tuple(slice(at - 1, at + 2) for at in brightest)]
    slope = np.array([around[2, 1] - around[0, 1], around[1, 2] - around[1, 0]]) / 2
    bend = np.array([around[2, 1] + around[0, 1], around[1, 2] + around[1, 0]]) - 2 * around[1, 1]
    return brightest - slope / bend - (np.array(blurred.shape) - 1) / 2


def shifted(picture: NDArray[np.float64], by_px: NDArray[np.float64]) -> NDArray[np.float64]:
    """Move a picture by a part of a pixel, band-limited."""
    rows = np.exp(-2j * np.pi * np.fft.fftfreq(picture.shape[0]) * by_px[0])[:, None]
    columns = np.exp(-2j * np.pi * np.fft.rfftfreq(picture.shape[1]) * by_px[1])[None, :]
    return np.fft.irfft2(np.fft.rfft2(picture) * rows * columns, picture.shape)


def real_tile_gain(bench: Bench, truth: Truth, before: Before) -> NDArray[np.float64]:
    """Light that each sub-aperture's PSF holds, times the sensor's vignetting over the tile's inner half; mean 1."""
    vignetting = truth.ask(op="truth")["effects"]["vignetting"]
    corner = vignetting["sensor_corner"] if vignetting["on"] else 0.0
    height, width = bench.camera.shape
    gains = []
    for tile, affine in enumerate(before.affine):
        reach = affine[0, 0] * before.image_shape[0] / 4
        y, x = (np.arange(affine[axis, 2] - reach, affine[axis, 2] + reach) for axis in (0, 1))
        square = (2 * y[:, None] / (height - 1) - 1) ** 2 + (2 * x[None, :] / (width - 1) - 1) ** 2
        gains.append(
            float(truth.psf(tile, 255, bench.config.geometry.camera_pixel_um).sum() * (1 - corner * square / 2).mean())
        )
    return np.array(gains) / np.mean(gains)


def table(cells: dict[str, dict[str, Any]]) -> str:
    """Write every figure's median and worst over the worlds that were calibrated, and why the others were not."""
    found = {seed: cell["errors"] for seed, cell in cells.items() if "errors" in cell}
    lines = [
        "## Calibration against the truth, bench `mono`",
        "",
        f"`python -m tests.benchmarks.characterise`, {max(cell['date'] for cell in cells.values())}; {len(cells)}"
        f" random worlds (seeds 0-{max(map(int, cells))}), each characterised from nothing. Errors against what the"
        " world's test door says. A tap lies where the image of a disc there is brightest after a blur of 1.5 taps: the"
        " calibrated geometry alone is compared with it, for every tap of the image.",
        "",
        "| error | median | worst | asked | worlds within |",
        "|---|---|---|---|---|",
    ]
    for name, (asked, note) in ROWS.items():
        errors = [row[name] for row in found.values()]
        within = sum(error <= asked for error in errors)
        what = f"{name} ({note})" if note else name
        lines.append(
            f"| {what} | {statistics.median(errors):.3g} | {max(errors):.3g} | {asked:g} | {within} of {len(cells)} |"
        )
    refused = {seed: cell["refused"] for seed, cell in cells.items() if "refused" in cell}
    lines += ["", *(f"* refused, seed {seed}: {why}" for seed, why in refused.items())]
    return "\n".join(lines)


def main() -> None:
    """Measure, and write the section."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worlds", type=int, default=20)
    parser.add_argument("--again", action="store_true", help="measure those that are kept again")
    arguments = parser.parse_args()
    kept = read_cells(CELLS)
    with tempfile.TemporaryDirectory() as folder:
        file = shutil.copytree(shipped_bench("mono").parent, Path(folder) / "benches") / "mono.bench.toml"
        name = f"characterise-{os.getpid()}"
        text = file.read_text(encoding="utf-8").replace('name = "mono"', f'name = "{name}"')
        file.write_text(text, encoding="utf-8")
        with open_bench(file) as bench:
            truth = Truth(name)
            for seed in (str(number) for number in range(arguments.worlds)):
                if seed in kept and not arguments.again:
                    continue
                cell: dict[str, Any] = {"date": f"{datetime.now(UTC):%Y-%m-%d}"}
                try:
                    cell["errors"] = compare(bench, truth, int(seed))
                except CalibrationError as error:
                    cell["refused"] = str(error)
                print(seed, cell, flush=True)
                kept = keep_cell(CELLS, seed, cell)
    write_section("characterise", table(dict(sorted(kept.items(), key=lambda item: int(item[0])))))


if __name__ == "__main__":
    main()
