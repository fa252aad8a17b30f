"""Calibration against the truth, on random worlds: what `labonn run characterise` finds, and what really is the case.

``python -m tests.benchmarks.characterise`` (20 worlds, about 20 minutes on 2 cores). The truth comes through the
simulated laboratory's test door, which labonn does not have.
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

from labonn.capture.characterisation import KINDS
from labonn.capture.measurements import MEASUREMENTS, Before
from labonn.cli.demo import shipped_bench
from labonn.cli.entry import WAIT_WITHOUT_SPINNING
from labonn.design import lay_out, load_design
from labonn.errors import CalibrationError
from labonn.instruments import Bench, open_bench
from tests.benchmarks.results import write_section

MEASURED = [name for name in KINDS if name != "phase-table"]
ROWS = {
    "geometry, px rms": (0.1, "each tile's image, where it lands"),
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

    def psf(self, tile: int, side: int) -> NDArray[np.float64]:
        """PSF of a tile under what the SLM shows, in camera pixels about the lenslet's axis."""
        reply = self.ask(op="psf", tile=tile, side=side)
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
    centres = np.array(real["geometry"]["tile_centres_px"])
    found_at, lands_at, correlations = [], [], []
    for tile, psf in enumerate(psfs):
        real_psf = truth.psf(tile, psf.shape[0])
        # The axis of a lenslet with aberrations cannot be seen; where its image lands can.
        found_at.append(before.affine[tile, :, 2] + centroid(psf))
        lands_at.append(centres[tile] + centroid(real_psf))
        moved = shifted(real_psf, centres[tile] - before.affine[tile, :, 2])
        correlations.append(float(np.corrcoef(moved.ravel(), psf.ravel())[0, 1]))
    gain, black = sensor["gain_e_per_dn"], sensor["black_dn"]
    read_e = effects["read_noise"]["rms_e"]
    settling = effects["settling"]
    settled_ms = settling["latency_ms"] + settling["display_tau_ms"] * log(100)
    real_gain = real_tile_gain(bench, truth, before)
    transfer = values["photon-transfer"]
    return {
        "geometry, px rms": float(np.sqrt(np.mean((np.array(found_at) - np.array(lands_at)) ** 2))),
        "tile gain, %": 100 * float(np.sqrt(np.mean((np.array(values["tile-gain"]["gain"]) / real_gain - 1) ** 2))),
        "black level, %": 100 * abs(values["dark"]["level_counts"] / black - 1),
        "read noise, %": 100 * abs(transfer["read_noise_e"] / read_e - 1),
        "conversion gain, %": 100 * abs(transfer["gain_e_per_dn"] / gain - 1),
        "settle time, ms": abs(values["settling"]["settled_ms"] - settled_ms),
        "PSF, 1 - correlation": 1 - min(correlations),
    }


def centroid(psf: NDArray[np.float64]) -> NDArray[np.float64]:
    """Centre of mass, (down, right), from the middle of the window."""
    y, x = np.mgrid[: psf.shape[0], : psf.shape[1]]
    middle = (np.array(psf.shape) - 1) / 2
    return np.array([(psf * y).sum(), (psf * x).sum()]) / psf.sum() - middle


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
        gains.append(float(truth.psf(tile, 255).sum() * (1 - corner * square / 2).mean()))
    return np.array(gains) / np.mean(gains)


def table(found: dict[int, dict[str, float]], refused: dict[int, str]) -> str:
    """Write every figure's median and worst over the worlds that were calibrated, and why the others were not."""
    lines = [
        "## Calibration against the truth, bench `mono`",
        "",
        f"`python -m tests.benchmarks.characterise`, {datetime.now(UTC):%Y-%m-%d}; {len(found) + len(refused)} random"
        f" worlds (seeds 0-{max([*found, *refused])}), each characterised from nothing. Errors against what the world's"
        " test door says; a geometry is right where the image of a point lands where calibrated geometry and measured"
        " PSF together say.",
        "",
        "| error | median | worst | asked | worlds within |",
        "|---|---|---|---|---|",
    ]
    for name, (asked, note) in ROWS.items():
        errors = [row[name] for row in found.values()]
        within = sum(error <= asked for error in errors)
        what = f"{name} ({note})" if note else name
        lines.append(
            f"| {what} | {statistics.median(errors):.3g} | {max(errors):.3g} | {asked:g} |"
            f" {within} of {len(found) + len(refused)} |"
        )
    lines += ["", *(f"* refused, seed {seed}: {why}" for seed, why in refused.items())]
    return "\n".join(lines)


def main() -> None:
    """Measure, and write the section."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worlds", type=int, default=20)
    arguments = parser.parse_args()
    os.environ.update(WAIT_WITHOUT_SPINNING)
    found: dict[int, dict[str, float]] = {}
    refused: dict[int, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        file = shutil.copytree(shipped_bench("mono").parent, Path(folder) / "benches") / "mono.bench.toml"
        name = f"characterise-{os.getpid()}"
        text = file.read_text(encoding="utf-8").replace('name = "mono"', f'name = "{name}"')
        file.write_text(text, encoding="utf-8")
        with open_bench(file) as bench:
            truth = Truth(name)
            for seed in range(arguments.worlds):
                try:
                    found[seed] = compare(bench, truth, seed)
                except CalibrationError as error:
                    refused[seed] = str(error)
                    print(seed, error, flush=True)
                else:
                    print(seed, {key: round(value, 4) for key, value in found[seed].items()}, flush=True)
    write_section("characterise", table(found, refused))


if __name__ == "__main__":
    main()
