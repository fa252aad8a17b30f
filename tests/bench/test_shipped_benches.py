"""Every bench that comes with the simulated laboratory opens, takes a frame of what it is shown, and goes dark.

A quarter of the polychromatic one, eight of its sub-apertures, is calibrated and captured with, too.
"""

import base64
import os
import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import convolve, gaussian_filter
from scipy.signal import fftconvolve

from labonn.capture import Calibrator, Pattern, Registration, capture, ready_for_captures
from labonn.capture.light import light
from labonn.design import lay_out, load_design
from labonn.errors import CalibrationError
from labonn.instruments import open_bench

from .conftest import BENCHES, Simulated, simulated

NAMES = sorted(path.name.removesuffix(".bench.toml") for path in BENCHES.glob("*.bench.toml"))
PATIENT = ("period_ms = 250\n", "period_ms = 2000\n")  # this computer may have much else to do
TAP_UM, PITCH_UM, SIDE_TAPS = 20.7, 786.6, 121  # of poly: a sub-aperture's light reaches 48 taps, into its neighbours


def copied(folder: Path, name: str, *changes: tuple[str, str], world: tuple[tuple[str, str], ...] = ()) -> Path:
    """Copy a shipped bench, changed."""
    file = shutil.copytree(BENCHES, folder / "benches") / f"{name}.bench.toml"
    own_name = (f'name = "{name}"', f'name = "{folder.name}-{os.getpid()}"')
    for one, pairs in ((file, (own_name, PATIENT, *changes)), (file.with_name(f"{name}.world.toml"), world)):
        content = one.read_text(encoding="utf-8")
        for old, new in pairs:
            assert old in content, old
            content = content.replace(old, new, 1)
        one.write_text(content, encoding="utf-8")
    return file


@pytest.fixture
def laboratory(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulated]:
    """Give the world of a shipped bench."""
    with simulated(copied(tmp_path_factory.mktemp(request.param), request.param)) as started:
        yield started


@pytest.fixture
def quarter(tmp_path: Path) -> Iterator[Simulated]:
    """Give the world of 2 x 4 of the 4 x 8 sub-apertures of `poly`."""
    world = (("grid = [4, 8]", "grid = [2, 4]"), ("shape = [960, 1872]", "shape = [480, 936]"))
    file = copied(tmp_path, "poly", ("camera_px = [960, 1872]", "camera_px = [480, 936]"), world=world)
    masks = file.with_name("poly.masks.npz")
    with np.load(masks) as whole:
        some = {"levels": whole["levels"][:8], "waves_per_level": whole["waves_per_level"]}
    np.savez_compressed(masks, **some)
    with simulated(file) as started:
        yield started


@pytest.mark.parametrize(("laboratory", "name"), [(name, name) for name in NAMES], indirect=["laboratory"], ids=NAMES)
def test_it_opens_takes_a_frame_and_goes_dark(laboratory: Simulated, name: str) -> None:
    world = tomllib.loads((BENCHES / f"{name}.world.toml").read_text(encoding="utf-8"))
    laboratory.ask(op="psf", tile=0, side=8)  # answers when the first pattern's PSFs are known
    with open_bench(laboratory.file) as bench:
        assert bench.has_slm == ("slm" in world)
        assert bench.config.geometry.wavelength_nm == world["source"]["wavelength_nm"]
        with light(bench):
            bench.display.show(np.zeros(bench.display.shape))
            black = bench.camera.snap().astype(float)
            bench.display.show(np.full(bench.display.shape, 0.5))
            grey = bench.camera.snap().astype(float)
        assert grey.shape == tuple(side // bench.camera.binning for side in world["camera"]["shape"])
        assert grey.mean() > black.mean() + 50
        colours = len(world["source"].get("channels_nm", [0]))
        assert bench.display.shape[0] == colours * world["display"]["shape"][0]
        assert bench.display.plane_shape == tuple(world["display"]["shape"])
        assert bench.camera.filters == ("RGGB" if colours == 3 else None)
    assert laboratory.truth()["dark"] is True
    assert laboratory.truth()["time_lit_s"] > 0


def pictures(count: int, seed: int) -> np.ndarray:
    """Textures, (N, 3, 32, 32) in [0, 1]: colours that go together, as in photographs."""
    rng = np.random.default_rng(seed)
    textures = np.stack(
        [gaussian_filter(rng.normal(size=(3, 32, 32)), (0.6, w, w)) for w in np.linspace(0.7, 2, count)]
    )
    low, high = (edge(textures, axis=(1, 2, 3), keepdims=True) for edge in (np.min, np.max))
    return ((textures - low) / (high - low)).astype(np.float32)


def through(psfs: np.ndarray, centres: np.ndarray, images: np.ndarray) -> np.ndarray:
    """What a world shows of images (N, 3, h, w): all sub-apertures' light on all tiles, (N, T, 3, h, w).

    PSFs are integrated over a tap's cell, (T, 3, side, side), tap by tap; the image's squares are the second integral,
    of a parabola through neighbours.
    """
    square = np.outer(*[[1 / 24, 22 / 24, 1 / 24]] * 2)
    reach, (height, width) = psfs.shape[-1] // 2, images.shape[2:]
    at = centres - centres.min(axis=0)
    tiles = np.empty((len(images), len(psfs), 3, height, width), np.float32)
    for colour in range(3):
        everywhere = np.zeros(at.max(axis=0) + psfs.shape[-1])
        for (y, x), psf in zip(at, psfs[:, colour], strict=True):
            everywhere[y : y + psf.shape[0], x : x + psf.shape[1]] += convolve(psf, square, mode="constant")
        for image, shown in enumerate(images[:, colour]):
            light = fftconvolve(everywhere, shown)
            for tile, (y, x) in enumerate(at + reach):
                tiles[image, tile, colour] = light[y : y + height, x : x + width]
    return tiles


@pytest.mark.slow
def test_poly_is_captured_in_colour(quarter: Simulated, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiles are the pictures through the world's true PSFs, tile by tile and colour by colour."""
    monkeypatch.setattr("labonn.capture.measurements._FRAMES", 8)
    whole = load_design("cifar10-poly").optic
    height_mm, width_mm = whole.aperture_mm
    layout = lay_out(whole.model_copy(update={"aperture_mm": (height_mm / 2, width_mm / 2), "kernels": 4}))
    assert (layout.rows, layout.columns) == (2, 4)
    psfs = np.empty((len(layout.sub_apertures), 3, SIDE_TAPS, SIDE_TAPS))
    for channel in range(3):  # the world keeps a channel's PSFs
        for tile in range(len(psfs)):
            reply = quarter.ask(op="psf", tile=tile, channel=channel, pixel_um=TAP_UM, side=SIDE_TAPS)
            psfs[tile, channel] = np.frombuffer(base64.b64decode(reply["base64"]), "<f4").reshape(reply["shape"])
    centres = np.rint(layout.tile_centres_um(PITCH_UM) / TAP_UM).astype(int)
    probes, images = pictures(6, seed=1), pictures(2, seed=2)
    with open_bench(quarter.file) as bench:
        pattern = Pattern(None, probes, through(psfs, centres, probes))
        calibrator = Calibrator(bench, tmp_path, "trial", layout, (32, 32), pattern)
        calibration, used = ready_for_captures(calibrator, lambda _: None)
        assert [one.kind for one in used] == ["exposure", "dark", "colour", "flat", "geometry", "maps"]
        filters = np.array(quarter.truth()["effects"]["bayer"]["response"])
        matrix = np.array(calibrator.current["colour"].values["matrix"])
        np.testing.assert_allclose(matrix, filters / np.diag(filters), atol=0.015)
        tiles = np.stack([shot.tiles for shot in capture(bench, images, Registration(calibration))])
        checked = bench.camera._checked
        monkeypatch.setattr(bench.camera, "_checked", lambda raw: np.roll(checked(raw), 1, axis=1))
        with pytest.raises(CalibrationError, match=r"the filters begin at another pixel; say filters = 'GRBG'"):
            ready_for_captures(calibrator, lambda _: None)  # all that is kept would hold for another month
    assert quarter.truth()["dark"] is True
    expected = through(psfs, centres, images)
    likeness = np.array(
        [
            [np.corrcoef(tiles[:, tile, c].ravel(), expected[:, tile, c].ravel())[0, 1] for c in range(3)]
            for tile in range(len(psfs))
        ]
    )
    assert np.median(likeness, axis=0).min() > 0.98, np.round(likeness, 3)
    assert likeness.min() > 0.95, np.round(likeness, 3)  # of the dimmest tile and colour
