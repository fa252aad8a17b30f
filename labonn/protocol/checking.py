"""The parts of a check of a bench: each measures, judges and draws, whatever became of those before it."""

from typing import TYPE_CHECKING

import numpy as np

from labonn.capture import health, settling, since_calibrated
from labonn.capture.checklist import NOT_HERE, Checklist, State
from labonn.protocol.result import Result
from labonn.records import current_calibrations, last_good_check, save_good_check
from labonn.report import figures, readable_checks, readable_instruments

if TYPE_CHECKING:
    from labonn.protocol.lab import Lab

SHORT_MS = 2.0  # exposures that look at the display while it settles


def begin(lab: "Lab") -> Checklist:
    """Begin a list of checks that is compared with the last good one of the bench."""
    last_good = last_good_check(lab.folder, lab.bench_config.name)
    return Checklist({} if last_good is None else last_good.values)


def check_identities(lab: "Lab") -> Checklist:
    """Ask every instrument who it is."""
    instruments = begin(lab)
    for instrument in lab.bench.instruments:
        with instruments.measuring(str(instrument)):
            instruments.add(health.identity(instrument))
    return instruments


def check_temperature(lab: "Lab", checks: Checklist) -> None:
    """Read the thermometer."""
    if lab.bench.thermometer is None:
        checks.skip(NOT_HERE, "temperature")
        return
    with lab.step("temperature"), checks.measuring("temperature"):
        checks.add(health.temperature(lab.bench))


def check_darkness(lab: "Lab", checks: Checklist) -> float | None:
    """Measure dark level and read noise; give the level."""
    level = None
    with lab.step("dark frames"), checks.measuring("dark frames"):
        dark = health.dark_frames(lab.bench)
        checks.add(*health.dark_checks(dark, lab.bench))
        lab.figure("dark frame", figures.dark_frame(dark.frame, dark.level), "Shutter closed, light off.")
        level = dark.level
    return level


def check_light(lab: "Lab", checks: Checklist, dark_level: float | None, meter_share: float) -> float | None:
    """Compare light and shutter with meter and camera; give the exposure that fits a white display."""
    bench = lab.bench
    if bench.light is None:
        checks.skip(NOT_HERE, "light")
    elif not bench.light.armed:
        checks.skip(f"not armed: [instruments.{bench.light.name}] has no max_power_mw", "light")
        return None
    if bench.meter is None:
        checks.skip(NOT_HERE, "meter")
    if dark_level is None:
        checks.skip("needs the dark frames", "light and shutter")
        return None
    exposure_ms = None
    with lab.step("light and shutter"), checks.measuring("light and shutter"):
        levels = health.light_levels(bench, dark_level)
        checks.add(*health.light_checks(levels, bench, meter_share))
        checks.add(*health.interlock_readings(bench))  # the light is still on, behind the closed shutter
        _draw_light(lab, levels, meter_share)
        exposure_ms = levels.exposure_ms
    return exposure_ms


def _draw_light(lab: "Lab", levels: health.LightLevels, meter_share: float) -> None:
    """Draw what meter and camera saw, where the light's power could be told."""
    if levels.low is None:
        return
    points = (levels.closed, levels.low, levels.open)
    told_mw = [0.0, *(point.told_mw or 0.0 for point in points[1:])]
    meter_mw = [point.meter_mw for point in points if point.meter_mw is not None]
    picture = figures.light_and_meter(
        told_mw, meter_mw or None, [point.signal for point in points], meter_share=meter_share
    )
    lab.figure("light", picture, "Closed shutter, half power, full power. Dashed: in proportion.")


def check_display(
    lab: "Lab", checks: Checklist, exposure_ms: float | None, delays: int
) -> settling.StepResponse | None:
    """Measure how fast the display follows, by looking at it at so many moments."""
    bench, response = lab.bench, None
    if exposure_ms is None:
        checks.skip("needs the light", "display")
        return None
    delays_ms = np.linspace(0, 2 * max(bench.display.settle_ms, SHORT_MS), delays)
    with lab.step("display", total=len(delays_ms)) as step, checks.measuring("display"):
        response = settling.measure_step(bench, min(SHORT_MS, exposure_ms), delays_ms, step.advance)
        checks.add(*settling.step_checks(response, bench))
        lab.note("settle time by", response.by)
        picture = figures.step_response(
            response.delay_ms + response.exposure_ms / 2,
            response.level,
            fitted_level=response.fitted_level,
            latency_ms=response.latency_ms - response.command_ms,
            settled_ms=response.settled_ms,
            promised_ms=bench.display.settle_ms,
        )
        lab.figure("display", picture, f"From black to white, seen in exposures of {response.exposure_ms:g} ms.")
    return response


def check_frame_rate(
    lab: "Lab", checks: Checklist, exposure_ms: float | None, frames: int, readout_ms: float | None
) -> None:
    """Measure how fast the camera delivers frames."""
    if exposure_ms is None:
        checks.skip("needs the light", "frame rate")
        return
    with lab.step("frame rate"), checks.measuring("frame rate"):
        lab.bench.camera.exposure_ms = lab.bench.camera.table.exposure_ms
        rate = health.frame_rate(lab.bench, frames)
        checks.add(*health.frame_rate_checks(rate, readout_ms))


def check_calibrations(lab: "Lab", step: settling.StepResponse | None) -> Checklist:
    """Compare the bench with the calibrations that are kept of it; nothing where there are none."""
    bench, kept = lab.bench, current_calibrations(lab.folder, lab.bench_config.name)
    found = since_calibrated.ages(bench, kept)
    failures = Checklist({})
    if step is not None:
        found += since_calibrated.settling_since(bench, step, kept)
        if kept:
            with lab.step("since the calibrations"), failures.measuring("since the calibrations"):
                found += since_calibrated.measure_since(bench, kept)
    checks = Checklist({one.check.name: one.kept for one in found})
    checks.add(*(one.check for one in found))
    checks.judged += failures.judged
    return checks


def conclude(
    lab: "Lab", instruments: Checklist, checks: Checklist, calibrations: Checklist, *, accept_drift: bool
) -> Result:
    """Keep the tables, and the check itself as the last good one if it is; say how it ended."""
    who, what, since = ([judged.as_row() for judged in part.judged] for part in (instruments, checks, calibrations))
    lab.table("Checks", readable_checks(what))
    if since:
        lab.table("Since the calibrations", readable_checks(since))
    lab.table("Instruments", readable_instruments(who))
    failed, drifted = (
        instruments.names(state) + checks.names(state) + calibrations.names(state)
        for state in (State.FAILED, State.DRIFTED)
    )
    bench = lab.bench_config.name
    last_good = last_good_check(lab.folder, bench)
    good = not failed and (accept_drift or not drifted)
    if good:
        save_good_check(lab.folder, bench, lab.run_record.id, instruments.values() | checks.values())
    result = {
        "failed": failed,
        "drifted": drifted,
        "good": good,
        "compared_with": None if last_good is None else last_good.run,
        "checks": what,
        "instruments": who,
        "calibrations": since,
    }
    if not failed:
        return Result(**result)
    exit_code = 3 if instruments.instrument_failed or checks.instrument_failed else 1
    return Result(**result, status="failed", exit_code=exit_code, reason="failed: " + ", ".join(failed))
