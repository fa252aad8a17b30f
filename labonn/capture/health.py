"""Is a bench as it should be? Identities, darkness, light, shutter, frame rate, temperature, each of them measured."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from labonn.capture.checklist import Check
from labonn.capture.light import choose_exposure, light, take_stack
from labonn.capture.scene import plain_scene
from labonn.errors import StaleFrameError
from labonn.instruments import Bench, Instrument

_FRAMES = 4
_READINGS = 5
_LOW_POWER = 0.5  # of the working power: the second level at which meter and camera are compared


def identity(instrument: Instrument) -> Check:
    """Ask an instrument who it is."""
    advice = "another instrument or firmware than at the last good check: recalibrate"
    return Check(str(instrument), instrument.identify(), advice=advice)


def interlock_readings(bench: Bench) -> list[Check]:
    """Read everything that an interlock watches, now."""
    by_name = {instrument.name: instrument for instrument in bench.instruments}
    checks = []
    for condition in bench.config.interlocks.conditions if bench.config.interlocks else ():
        value = getattr(by_name[condition.instrument], condition.reading)
        measured = ("yes" if value else "no") if isinstance(value, bool) else float(value)
        failure = None if condition.allows(value) else "the bench may not be lit so"
        checks.append(Check(f"interlock: {condition}", measured, failure=failure))
    return checks


def temperature(bench: Bench) -> Check:
    """Read the bench's thermometer; it must have one."""
    assert bench.thermometer is not None
    advice = "optics move with temperature: wait until the room is as it was, or recalibrate"
    return Check("temperature", bench.thermometer.celsius, "\u00b0C", drift=2.0, advice=advice)


@dataclass(frozen=True)
class DarkFrames:
    """Two frames with the shutter closed and the light off."""

    level: float
    """Mean count."""
    noise: float
    """Standard deviation of a pixel from one frame to the other, in counts."""
    frame: NDArray[np.uint16]
    """The second of them, (H, W)."""
    alike: bool
    """Whether they are the same to the last pixel, which noise does not allow."""


def dark_frames(bench: Bench) -> DarkFrames:
    """Take two frames in the dark, at the exposure that the bench file begins with."""
    bench.make_dark()
    bench.camera.exposure_ms = bench.camera.table.exposure_ms
    first, second = bench.camera.snap(), bench.camera.snap()
    difference = second.astype(np.float64) - first
    return DarkFrames(
        level=float((first.mean() + second.mean()) / 2),
        noise=float(difference.std() / np.sqrt(2)),
        frame=second,
        alike=bool(np.array_equal(first, second)),
    )


def dark_checks(dark: DarkFrames, bench: Bench) -> list[Check]:
    """Say what two dark frames tell of the camera."""
    full = bench.camera.saturation
    stale = "the camera delivered the same frame twice: check its trigger and buffers" if dark.alike else None
    return [
        Check(
            "dark level",
            dark.level,
            "counts",
            low=0.5,  # what is cut off at zero has no dark level
            high=0.2 * full,
            drift=max(2.0, 0.005 * full),
            advice="check the camera's black level (offset), and that no light reaches it with the shutter closed",
        ),
        Check(
            "read noise",
            dark.noise,
            "counts",
            low=0.01,
            high=0.02 * full,
            drift=max(0.2, 0.3 * dark.noise),
            advice="check the camera's gain and cooling, and its cable for interference",
            failure=stale,
        ),
    ]


@dataclass(frozen=True)
class LightLevel:
    """What meter and camera see of the light; None where there is no such instrument."""

    told_mw: float | None
    meter_mw: float | None
    signal: float
    """Mean of the camera's frames above their dark level, in counts, white on the display."""


@dataclass(frozen=True)
class LightLevels:
    """The light behind the closed shutter, through the open one, and at a lower power where that can be set."""

    exposure_ms: float
    closed: LightLevel
    open: LightLevel
    low: LightLevel | None


def light_levels(bench: Bench, dark_level: float) -> LightLevels:
    """Compare what meter and camera see with the shutter closed and open, and at two powers.

    The light must be armed, if there is one. The exposure is right for a white display at the end.

    Raises
    ------
    CalibrationError
        If no exposure fits a white display.
    """
    told_mw = None if bench.light is None else bench.light.working_power_mw
    if bench.has_slm:
        bench.slm.show(np.zeros(bench.slm.shape, np.float32))
    with light(bench):
        exposure_ms = choose_exposure(bench, plain_scene(1.0, bench), "a white display")
        through = _light_level(bench, told_mw, dark_level)
        bench.shutter.close()
        closed = _light_level(bench, told_mw, dark_level)
        bench.shutter.open()
        low = None
        if bench.light is not None and told_mw is not None:
            bench.light.set_power_mw(_LOW_POWER * told_mw)
            low = _light_level(bench, _LOW_POWER * told_mw, dark_level)
            bench.light.set_power_mw(told_mw)
    return LightLevels(exposure_ms, closed, through, low)


def _light_level(bench: Bench, told_mw: float | None, dark_level: float) -> LightLevel:
    meter_mw = None
    if bench.meter is not None:
        meter_mw = float(np.mean([bench.meter.power_mw for _ in range(_READINGS)]))
    return LightLevel(told_mw, meter_mw, float(take_stack(bench, _FRAMES).mean.mean()) - dark_level)


def light_checks(levels: LightLevels, bench: Bench, meter_share: float) -> list[Check]:
    """Say what the light levels tell of light, shutter, meter and camera.

    Parameters
    ----------
    levels
        What was measured.
    bench
        The bench that it was measured on.
    meter_share
        How much of the light's power the meter should see: 1 in the whole beam.
    """
    checks = []
    if bench.meter is not None:
        checks += _meter_checks(levels, bench.meter.table.noise_mw, meter_share)
    per_ms = levels.open.signal / levels.exposure_ms
    leak_percent = 100 * levels.closed.signal / levels.open.signal if levels.open.signal > 0 else float("inf")
    checks += [
        Check(
            "camera, shutter open",
            per_ms,
            "counts/ms",
            low=0.0,
            drift=0.1 * per_ms,
            advice="compare with the meter: if both moved, it is the light; else the optics between, or the camera",
        ),
        Check(
            "light through the closed shutter",
            leak_percent,
            "% of open",
            low=-1.0,
            high=1.0,
            advice="look at the shutter: it does not shut the light out, or light comes around it",
        ),
    ]
    if levels.low is not None:
        checks += _proportion_checks(levels.open, levels.low)
    return checks


def _meter_checks(levels: LightLevels, noise_mw: float, share: float) -> list[Check]:
    closed_mw, open_mw, told_mw = levels.closed.meter_mw, levels.open.meter_mw, levels.open.told_mw
    assert closed_mw is not None
    assert open_mw is not None
    expected_mw = None if told_mw is None else share * told_mw
    return [
        Check(
            "meter, shutter closed",
            closed_mw,
            "mW",
            low=-noise_mw,
            high=noise_mw,
            advice="shield the meter from the room's light and set its zero; check that the shutter closes",
        ),
        Check(
            "meter, shutter open",
            open_mw,
            "mW",
            low=10 * noise_mw if expected_mw is None else 0.8 * expected_mw,
            high=None if expected_mw is None else 1.2 * expected_mw,
            drift=0.05 * abs(open_mw),
            advice="check the beam on the meter's head and its wavelength; behind a beam splitter, --set meter_share",
        ),
    ]


def _proportion_checks(working: LightLevel, low: LightLevel) -> list[Check]:
    assert working.told_mw is not None
    assert low.told_mw is not None
    told = low.told_mw / working.told_mw
    seen = low.signal / working.signal if working.signal > 0 else float("nan")
    checks = []
    if working.meter_mw is not None and low.meter_mw is not None:
        metered = low.meter_mw / working.meter_mw if working.meter_mw else float("nan")
        advice = "the light's power does not follow its setting, or the meter's range is wrong"
        checks.append(
            Check("meter at half power", metered, "of full", 0.9 * told, 1.1 * told, drift=0.05, advice=advice)
        )
        told = metered
    advice = "the camera is not linear: look for saturation, an automatic gain or exposure, a wrong black level"
    checks.append(Check("camera at half power", seen, "of full", 0.95 * told, 1.05 * told, drift=0.05, advice=advice))
    return checks


@dataclass(frozen=True)
class FrameRate:
    """How long a frame takes by the bench's clock, on average."""

    exposure_ms: float
    single_ms: float
    """Where each is asked for by itself."""
    sequence_ms: float
    """Where the camera runs."""


def frame_rate(bench: Bench, frames: int) -> FrameRate:
    """Take frames as fast as they come, one by one and in a sequence, at the exposure that is set.

    Raises
    ------
    StaleFrameError
        If the camera delivers one of them twice.
    InstrumentError
        If it delivers fewer.
    """
    with light(bench):
        begin_s = bench.clock.now_s()
        single = [bench.camera.snap() for _ in range(frames)]
        between_s = bench.clock.now_s()
        running = [frame.pixels for frame in bench.camera.frames(frames)]
        end_s = bench.clock.now_s()
    for taken, how in ((single, "one by one"), (running, "in a sequence")):
        for number, (before, after) in enumerate(pairwise(taken), start=1):
            if np.array_equal(before, after):
                raise StaleFrameError(
                    f"{bench.camera}: of {frames} frames taken {how}, numbers {number} and {number + 1} are the same to"
                    " the last pixel; check its trigger and buffers"
                )
    milliseconds = 1e3 / frames
    return FrameRate(bench.camera.exposure_ms, milliseconds * (between_s - begin_s), milliseconds * (end_s - between_s))


def frame_rate_checks(rate: FrameRate, readout_ms: float | None) -> list[Check]:
    """Say what frame rates tell; with the camera's readout time, whether it is as fast as it should be."""
    nominal = None if readout_ms is None else 1e3 / (rate.exposure_ms + readout_ms)
    checks = []
    for how, period_ms in (("one by one", rate.single_ms), ("in a sequence", rate.sequence_ms)):
        per_s = 1e3 / period_ms if period_ms > 0 else float("inf")
        checks.append(
            Check(
                f"frame rate, {how}",
                per_s,
                "frames/s",
                low=None if nominal is None else 0.8 * nominal,
                high=1.02e3 / rate.exposure_ms,  # faster than it exposes: it does not expose as long as it says
                drift=0.15 * per_s,
                advice="check the camera's cable and port, its readout mode, and what else this computer does",
            )
        )
    return checks
