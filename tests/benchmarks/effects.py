"""Each effect of the simulated laboratory alone: a page of pictures, and a number: it moves what it should.

``python -m tests.benchmarks.effects`` (about 2 minutes) draws docs/pictures/effects.png and fails if an effect does not
show. Each row of three: an ideal laboratory, the same with one effect, and the difference (red more, blue less).
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import matplotlib
import numpy as np
from numpy.typing import NDArray

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from PIL import Image

import sim
from sim.clock import VirtualClock
from sim.effects import Effects
from sim.world import World
from sim.world_file import WorldFile, read_world

PAGE = Path(__file__).parents[2] / "docs" / "pictures" / "effects.png"
MONO = Path(sim.__file__).parent / "benches" / "mono.world.toml"
BLACK_DN = 60.0
Frame = NDArray[np.float64]
Judge = Callable[[Frame, Frame], float]


@dataclass(frozen=True)
class Case:
    """One effect: how strong it is here, when and how it is looked at, and what must come of it."""

    values: dict[str, Any]
    judge: Judge
    between: tuple[float, float]
    says: str
    scene: str = "letter"
    pattern: str = "smooth"
    at_s: float = 100.0
    exposure_ms: float = 12.0
    settle_s: float = 1.0
    others: dict[str, dict[str, Any]] = field(default_factory=dict)
    part: str = "tile"


def total(before: Frame, after: Frame) -> float:
    """Light after, as a part of before."""
    return float(after.sum() / before.sum())


def changed(before: Frame, after: Frame) -> float:
    """Root mean square of the difference, as a part of that of the picture before."""
    return float(np.linalg.norm(after - before) / np.linalg.norm(before))


def moved(before: Frame, after: Frame) -> float:
    """How far the picture has moved, in pixels: where its correlation with the one before is highest."""
    spectra = [np.fft.rfft2(frame - frame.mean()) for frame in (before, after)]
    correlation = np.fft.irfft2(spectra[1] * spectra[0].conj(), before.shape)
    place = np.unravel_index(int(correlation.argmax()), before.shape)
    sides = before.shape
    return float(np.hypot(*(min(at, side - at) for at, side in zip(place, sides, strict=True))))


def noise(before: Frame, after: Frame) -> float:
    """Standard deviation of the difference, in grey levels."""
    return float((after - before).std())


def spots(before: Frame, after: Frame) -> float:
    """How many pixels differ by more than 30 grey levels."""
    return float((np.abs(after - before) > 30).sum())


def columns(before: Frame, after: Frame) -> float:
    """Standard deviation of the columns' means of the difference, in grey levels."""
    return float((after - before).mean(axis=0).std())


def rows(before: Frame, after: Frame) -> float:
    """Light that the lowest rows keep, as a part of what the highest do."""
    ratio = after.sum(axis=1) / np.maximum(before.sum(axis=1), 1.0)
    bright = np.flatnonzero(before.sum(axis=1) > 0.3 * before.sum(axis=1).max())
    return float(ratio[bright[-8:]].mean() / ratio[bright[:8]].mean())


def chequered(before: Frame, after: Frame) -> float:
    """Red pixels against green ones, next to what they were."""
    red, green = (float(after[0::2, o::2].sum() / before[0::2, o::2].sum()) for o in (0, 1))
    return red / green


LATE = {"settling": {"display_tau_ms": 2.6, "slm_tau_ms": 2.6, "latency_ms": 4.0}}
CASES: dict[str, Case] = {
    "phase_table": Case({"scale": 1.18, "gamma": 1.15}, changed, (0.03, 1.0), "scale 1.18, gamma 1.15"),
    "fringing": Case({"sigma_px": 0.8}, changed, (0.02, 1.0), "0.8 px", pattern="steps"),
    "zero_order": Case({"fill_factor": 0.8}, changed, (0.1, 1.0), "fill 0.8"),
    "slm_dead_pixels": Case({"share": 0.05}, changed, (0.02, 0.5), "5 % of pixels"),
    "slm_flicker": Case({"depth": 0.2, "frequency_hz": 480.0}, changed, (0.005, 0.5), "20 % of the phase"),
    "aberrations": Case(
        {"defocus_waves": 0.3, "astigmatism_waves": 0.2, "coma_waves": 0.1}, changed, (0.1, 1.0), "0.4 waves"
    ),
    "phase_screen": Case({"rms_waves": 0.15, "correlation_mm": 0.2}, changed, (0.05, 1.0), "0.15 waves rms"),
    "fabrication": Case(
        {"phase_waves": 0.1, "correlation_um": 40.0, "kernel_noise": 0.2, "cell_um": 26.0},
        changed,
        (0.05, 1.0),
        "0.1 waves, 20 % of a cell",
    ),
    "field_dependence": Case(
        {"defocus_waves": 0.4, "coma_waves": 0.2}, changed, (0.02, 1.0), "0.4 waves in the corner"
    ),
    "bandwidth": Case({"fwhm_nm": 20.0}, changed, (0.01, 1.0), "20 nm", pattern="steps"),
    "chromatic": Case(
        {"focal_um_per_nm": 20.0, "efficiency_fwhm_nm": 200.0},
        total,
        (0.75, 0.999),
        "20 nm band, 20 um / nm",
        others={"bandwidth": {"fwhm_nm": 100.0}},
    ),
    "partial_coherence": Case({"extent_um": 60.0, "points": 5}, changed, (0.02, 1.0), "source of 60 um"),
    "measured_psf": Case({"pixel_um": 3.45, "efficiency": 0.5}, changed, (0.1, 2.0), "a ring from a PNG"),
    "beam": Case({"waist_mm": 3.0, "offset_mm": [0.5, 0.0]}, total, (0.05, 0.6), "waist 3 mm", part="all"),
    "tile_gain": Case({"spread": 0.15}, changed, (0.03, 0.5), "15 %", part="all"),
    "blur": Case({"sigma_um": 30.0}, changed, (0.05, 1.0), "30 um"),
    "misalignment": Case(
        {"shift_px": 8.0, "display_rotation_deg": 4.0, "display_scale": 0.03, "grid_rotation_deg": 0.5},
        moved,
        (1.0, 40.0),
        "8 px, 4 degrees",
    ),
    "shear": Case({"display": 0.15, "grid": 0.02}, changed, (0.03, 1.0), "0.15 of the picture"),
    "tile_shift": Case({"spread_px": 6.0}, moved, (0.5, 20.0), "6 px"),
    "vignetting": Case(
        {"tile_corner": 0.8, "sensor_corner": 0.3}, total, (0.6, 0.97), "80 % in the corner", scene="white"
    ),
    "stray_light": Case({"veil": 0.1, "pedestal": 0.05, "slope": 0.5}, total, (1.02, 2.0), "veil 10 %"),
    "ghosts": Case(
        {"strength": 0.3, "offset_px": [40.0, -30.0], "blur_px": 3.0}, total, (1.15, 1.35), "30 %", part="all"
    ),
    "speckle": Case(
        {"contrast": 1.0, "grain_px": 2.0, "decorrelation_ms": 2.0}, changed, (0.3, 0.5), "contrast 1 in 2 ms, 12 ms"
    ),
    "display_gamma": Case({"gamma": 2.2}, total, (0.3, 0.9), "2.2", scene="ramp"),
    "display_grid": Case({"fill_factor": 0.5}, total, (0.49, 0.51), "half the area"),
    "display_dead_pixels": Case({"dark": 0.05, "white": 0.02}, changed, (0.01, 0.5), "5 % dark, 2 % white"),
    "light_noise": Case({"rms": 0.2}, changed, (0.001, 0.8), "20 %"),
    "laser_drift": Case({"per_sqrt_h": 0.2}, changed, (0.02, 0.95), "20 % in an hour, after 4 h", at_s=14_400.0),
    "quantum_efficiency": Case({}, total, (0.97, 1.0), "0.986 at 532 nm"),
    "shot_noise": Case({}, noise, (1.0, 30.0), "Poisson"),
    "read_noise": Case({"rms_e": 30.0}, noise, (11.0, 12.1), "30 electrons: 11.5 DN"),
    "dark_current": Case({"e_per_s": 20_000.0, "spread": 0.3}, total, (1.02, 3.0), "20 ke / s"),
    "pixel_gain": Case({"spread": 0.1}, changed, (0.09, 0.11), "10 %"),
    "column_offset": Case({"rms_dn": 20.0}, columns, (17.0, 23.0), "20 DN"),
    "hot_pixels": Case({"share": 0.01, "e_per_s": 60_000.0}, spots, (300.0, 750.0), "1 % of pixels"),
    "blooming": Case({"share": 1.0}, spots, (500.0, 60_000.0), "all of the excess", exposure_ms=60.0),
    "bayer": Case({"response": [[0.2], [1.0], [0.1]]}, chequered, (0.15, 0.25), "red sees 0.2 of the green"),
    "rolling_shutter": Case(
        {"line_us": 7.0},
        changed,
        (0.03, 1.0),
        "7 us a row, while the display settles",
        settle_s=1e-3,
        others=LATE,
        part="all",
    ),
    "settling": Case(LATE["settling"], total, (0.3, 0.95), "1 ms after the command", settle_s=1e-3),
    "timing_jitter": Case({"rms_ms": 4.0}, changed, (0.005, 2.0), "4 ms", settle_s=1e-3, others=LATE),
    "thermal_drift": Case(
        {"shift_px_per_sqrt_h": 4.0, "focus_um_per_sqrt_h": 300.0},
        moved,
        (1.0, 40.0),
        "4 px, 0.3 mm in an hour, after 4 h",
        at_s=14_400.0,
    ),
    "knock": Case({"at_s": 50.0, "shift_px": [12.0, -9.0], "focus_um": 500.0}, moved, (14.0, 16.0), "12 and -9 px"),
}


def world_file(case: Case, name: str | None, folder: Path) -> WorldFile:
    """Build four sub-apertures of the mono world with one effect, and what the case needs besides."""
    content = read_world(MONO).model_dump(by_alias=True)
    content.update(laser=None)
    content["slm"]["shape"] = [544, 544]
    content["lenslets"]["grid"] = [2, 2]
    content["camera"]["shape"] = [540, 540]
    for effect in content["effects"].values():
        effect["on"] = False
    for other, values in case.others.items():
        content["effects"][other].update(on=True, **values)
    if name is not None:
        content["effects"][name].update(on=True, **case.values)
        if name == "measured_psf":
            content["effects"][name]["file"] = _ring(folder)
    return WorldFile.model_validate(content)


def _ring(folder: Path) -> Path:
    along = np.arange(64) - 31.5
    radius = np.hypot(along[:, None], along[None, :])
    plt.imsave(folder / "ring.png", np.exp(-((radius - 12) ** 2) / 8), cmap="gray")
    return folder / "ring.png"


def pattern(name: str, shape: tuple[int, int]) -> NDArray[np.uint8]:
    """A phase that splits each point into some; `steps`: into more, with the steps of 2 pi that real patterns have."""
    down, right = np.arange(shape[0])[:, None], np.arange(shape[1])[None, :]
    if name == "steps":
        wave = np.sin(2 * np.pi * down / 40) + np.sin(2 * np.pi * right / 31)
        return np.asarray(np.mod(np.round(127 + 150 * wave), 255), np.uint8)
    wave = np.sin(2 * np.pi * down / 64) + np.sin(2 * np.pi * right / 48)
    return np.asarray(np.round(127 + 60 * wave), np.uint8)


def scene(name: str, shape: tuple[int, int]) -> NDArray[np.uint8]:
    """What the display shows, 0 to 255."""
    width = shape[1]
    picture = np.zeros(shape, np.uint8)
    if name == "white":
        picture[32:-32, 32:-32] = 255
    elif name == "ramp":
        picture[32:-32, 32:-32] = np.linspace(0, 255, width - 64).astype(np.uint8)
    else:  # an F, which is like none of its mirror images
        for part in (np.s_[60:-60, 120:190], np.s_[60:130, 120:400], np.s_[220:290, 120:330]):
            picture[part] = 255
        picture[440:450, 440:450] = 255
    return picture


def take(file: WorldFile, case: Case) -> Frame:
    """One frame, less the black level."""
    world = World("effects", file, 0, VirtualClock())
    world.show("slm", pattern(case.pattern, file.plane_shape))
    world.illumination.set_shutter(True)
    world.clock.sleep_until_s(case.at_s)
    world.camera.set_exposure_ms(case.exposure_ms)
    world.show("display", scene(case.scene, file.display.shape))
    world.clock.sleep_until_s(case.at_s + case.settle_s)
    snap = world.camera.snap()
    assert snap is not None
    return snap.frame.astype(np.float64) - BLACK_DN


def main() -> int:
    """Take all pairs of frames, judge them, draw the page; 1 if an effect does not do what it should."""
    missing = sorted(set(Effects.model_fields) - set(CASES))
    if missing:
        raise SystemExit(f"no case for {', '.join(missing)}")
    seen, wrong = [], []
    with TemporaryDirectory() as folder:
        for name, case in CASES.items():
            before = take(world_file(case, None, Path(folder)), case)
            after = take(world_file(case, name, Path(folder)), case)
            if case.part == "tile":
                before, after = (frame[12:268, 12:268] for frame in (before, after))
            value = case.judge(before, after)
            good = case.between[0] <= value <= case.between[1]
            seen.append((name, case, before, after, value, good))
            print(
                f"{name:20} {case.judge.__name__:10} {value:9.4g}  {'' if good else 'NOT'} within {case.between}",
                flush=True,
            )
            if not good:
                wrong.append(name)
    draw(seen)
    print(f"{PAGE}: {len(seen)} effects, {len(wrong)} wrong {wrong or ''}")
    return 1 if wrong else 0


def draw(seen: list[tuple[str, Case, Frame, Frame, float, bool]]) -> None:
    """Draw the page: three cases a row, three pictures each."""
    across = 3
    figure, axes = plt.subplots(-(-len(seen) // across), 3 * across, figsize=(15, 1.72 * -(-len(seen) // across)))
    for axis in axes.flat:
        axis.set_axis_off()
    for number, (name, case, before, after, value, good) in enumerate(seen):
        row, first = divmod(number, across)
        top = max(float(np.percentile(before, 99.9)), 1.0)
        span = max(float(np.percentile(np.abs(after - before), 99.8)), 2.0)
        pictures = (before, {"cmap": "gray", "vmin": 0, "vmax": top}), (after, {"cmap": "gray", "vmin": 0, "vmax": top})
        pictures = (*pictures, (after - before, {"cmap": "RdBu_r", "vmin": -span, "vmax": span}))
        for axis, (picture, look) in zip(axes[row, 3 * first : 3 * first + 3], pictures, strict=True):
            axis.imshow(picture, interpolation="antialiased", **look)
        title = f"{name}: {case.says}" + ("" if good else "  WRONG")
        axes[row, 3 * first].set_title(title, fontsize=7.5, loc="left", pad=9, color="black" if good else "red")
        axes[row, 3 * first + 1].set_title(f"{case.judge.__name__} {value:.3g}", fontsize=6.5, loc="left", pad=2)
        axes[row, 3 * first + 2].set_title(f"+- {span:.0f} DN", fontsize=6.5, loc="right", pad=2)
    figure.subplots_adjust(left=0.005, right=0.995, top=0.985, bottom=0.003, wspace=0.04, hspace=0.2)
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    with BytesIO() as drawn:
        figure.savefig(drawn, dpi=80)
        Image.open(drawn).quantize(128, method=Image.Quantize.FASTOCTREE).save(
            PAGE, optimize=True
        )  # a third of the size


if __name__ == "__main__":
    sys.exit(main())
