"""The newest capture of a run, as feature maps: what the student expects of its image, what the bench made of it."""

import base64
import io
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.signal import correlate

from labonn.capture import Calibration
from labonn.errors import LabonnError
from labonn.records.frame_reading import frame_counts, read_frames
from labonn.records.models import load_model
from labonn.records.releases import current_release
from labonn.records.runs import FRAMES, RunRecord
from labonn.report.mosaic import maps_strip
from labonn.web.desk import Desk

Floats = NDArray[np.float32]
_SCALE = 2


@dataclass(frozen=True)
class Maps:
    """Strips of maps of one image, as data of pictures."""

    number: int
    """Which capture of its group."""
    group: str
    simulated: str
    captured: str
    difference: str
    off_percent: float
    """Root mean square of the difference, in per cent of the simulated maps'."""


@dataclass(frozen=True)
class Outlines:
    """Where the tiles are in a frame."""

    shape: tuple[int, int]
    corners: NDArray[np.float64]
    """(T, 4, 2) as (y, x)."""


def newest_maps(desk: Desk, record: RunRecord, after: tuple[str, int]) -> Maps | None:
    """Give the maps of the newest capture; None where there is none that is newer than `after`, or no model to compare.

    Raises
    ------
    RecordError
        If the frames, or the model, cannot be read.
    """
    used = record.captured_with
    model = (record.notes.get("in use") or {}).get("model") or record.notes.get("model")
    if used is None or not used.groups or not isinstance(model, str):
        return None
    frames, group = desk.run_folder(record.id) / FRAMES, used.groups[-1]
    count = frame_counts(frames).get(group, 0)
    if not count or (group, count) == after:
        return None
    rows = read_frames(frames, group, ["shown", "tiles"], start=count - 1)
    kernels = kernels_of(desk.place.lab, model)
    if kernels is None:
        return None
    tiles, image = rows["tiles"][0], rows["shown"][0]
    if tiles.ndim != 3 or len(tiles) != len(kernels):
        return None
    captured = signed(tiles)
    simulated = signed(expected_tiles(image, kernels))
    largest = np.maximum(np.abs(simulated).max(axis=(1, 2)), np.abs(captured).max(axis=(1, 2)))
    difference = captured - simulated
    off = float(np.sqrt(np.mean(difference**2) / max(float(np.mean(simulated**2)), 1e-12)))
    expected, seen, between = (_png(maps_strip(maps, largest)) for maps in (simulated, captured, difference))
    return Maps(count, group, expected, seen, between, 100 * off)


@lru_cache(maxsize=4)
def kernels_of(lab: Path, model: str) -> Floats | None:
    """Give the kernels that a model was trained with, (T, taps, taps); None for one in colour.

    Halves of a pair gather the same light, as `labonn.optics.Frontend.kernels` has it.
    """
    stored = load_model(lab, model)
    taps = np.abs(stored.weights["student"]["frontend.free_taps"])
    if taps.ndim != 3:
        return None
    if len(taps) == 1 or stored.description["design"].get("optic", {}).get("pairs") == "free":
        return np.asarray(taps, np.float32)
    sums = np.maximum(taps.sum(axis=(1, 2), keepdims=True), 1e-12)
    mean = np.repeat((sums[0::2] + sums[1::2]) / 2, 2, axis=0)
    return np.asarray(taps * (mean / sums), np.float32)


def expected_tiles(image: Floats, kernels: Floats) -> Floats:
    """Give what noiseless optics show of an image (h, w) through kernels (T, taps, taps): (T, h, w)."""
    return np.stack([correlate(image, kernel, mode="same") for kernel in kernels])


def signed(tiles: Floats) -> Floats:
    """Subtract each negative half from its positive one: (2K, h, w) -> (K, h, w)."""
    return tiles if len(tiles) == 1 else tiles[0::2] - tiles[1::2]


def outlines(desk: Desk, bench: str, record: RunRecord | None) -> Outlines | None:
    """Give where the tiles are: by the run's own calibration, else by that of the release in use; None if unknown."""
    try:
        if record is not None and record.captured_with is not None:
            path = desk.run_folder(record.id) / Path(record.captured_with.calibration).name
        else:
            release = current_release(desk.place.lab, bench)
            if release is None or release.calibration is None:
                return None
            path = release.file(release.calibration)
        calibration = Calibration.load(path)
    except LabonnError:
        return None
    height, width = calibration.dark.shape
    return Outlines((height, width), calibration.tile_outlines_px())


def _png(colours: NDArray[np.uint8]) -> str:
    picture = Image.fromarray(colours)
    picture = picture.resize((picture.width * _SCALE, picture.height * _SCALE), Image.Resampling.NEAREST)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_level=1)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
