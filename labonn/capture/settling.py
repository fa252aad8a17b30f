"""How a display follows a command, as the camera sees it: the step from black to white, exposure by exposure.

    level(t) = 1 - exp(-(t - latency) / tau) after the latency, 0 before

is averaged over each exposure and fitted to the levels, so that a few exposures that a busy computer begins late do
not count; where it does not fit, running medians of the levels are interpolated.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import log
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter
from scipy.optimize import curve_fit

from labonn.capture.checklist import Check
from labonn.capture.light import Stack, light, take_stack
from labonn.capture.scene import plain_scene
from labonn.errors import CalibrationError
from labonn.instruments import Bench

SETTLED = 0.99
_TAUS = log(1 / (1 - SETTLED))  # time constants until then
_REST = 3.0  # settle times that the display is left alone between two steps
_REFERENCES = 4
_LARGEST_RESIDUAL = 0.02  # of the step, and what half of the points must lie within
_NOISE = 0.005  # of the step: how well levels agree that were taken in time
_MEDIAN_OF = 3
_LEAST_STEP = 10.0  # times the noise of a pixel: less is no step


@dataclass(frozen=True)
class StepResponse:
    """The step from black to white."""

    delay_ms: NDArray[np.float64]
    """From the moment when the display had taken the command to the beginning of each exposure, (N,)."""
    level: NDArray[np.float64]
    """What each exposure saw, (N,): 0 is the black before, 1 the white at rest."""
    exposure_ms: float
    command_ms: float
    """How long the display took the command, on average."""
    latency_ms: float
    """From the command to the first light of the new picture."""
    settled_ms: float
    """From the moment when the display had taken the command until 99 % of the step are there."""
    uncertainty_ms: float
    """Of `settled_ms`: two standard deviations of the fit, or two steps between the delays."""
    fitted_level: NDArray[np.float64] | None
    """The fit at each delay, (N,); None where it did not fit."""

    @property
    def by(self) -> Literal["fit", "interpolation"]:
        """How the times were found."""
        return "interpolation" if self.fitted_level is None else "fit"


def measure_step(
    bench: Bench,
    exposure_ms: float,
    delays_ms: NDArray[np.float64],
    on_point: Callable[[], None] | None = None,
) -> StepResponse:
    """Step the display from black to white, again and again, and look at it after each of some delays.

    The light must be armed, if there is one.

    Parameters
    ----------
    bench
        An open bench.
    exposure_ms
        Short against the step; it is set.
    delays_ms
        When the exposures begin after the command, (N,), rising.
    on_point
        Told after each.

    Raises
    ------
    CalibrationError
        If the camera sees no step, or the display has not settled after the longest delay.
    """
    black, white = plain_scene(0.0, bench), plain_scene(1.0, bench)
    bench.camera.exposure_ms = exposure_ms
    delays, levels, commands = [], [], []
    with light(bench):
        dark, bright = _at_rest(bench, black), _at_rest(bench, white)
        lit = _lit_pixels(dark, bright, bench)
        floor, ceiling = float(dark.mean[lit].mean()), float(bright.mean[lit].mean())
        for delay_ms in delays_ms:
            bench.display.show(black, wait=False)
            bench.clock.sleep_ms(_REST * bench.display.settle_ms)
            asked_s = bench.clock.now_s()
            bench.display.show(white, wait=False)
            taken_s = bench.clock.now_s()
            bench.clock.sleep_ms(float(delay_ms))
            delays.append(1e3 * (bench.clock.now_s() - taken_s))
            commands.append(1e3 * (taken_s - asked_s))
            levels.append((float(bench.camera.snap()[lit].mean()) - floor) / (ceiling - floor))
            if on_point is not None:
                on_point()
    return evaluate_step(np.array(delays), np.array(levels), bench.camera.exposure_ms, float(np.mean(commands)))


def evaluate_step(
    delay_ms: NDArray[np.float64], level: NDArray[np.float64], exposure_ms: float, command_ms: float = 0.0
) -> StepResponse:
    """Find latency and settle time from levels after delays.

    Raises
    ------
    CalibrationError
        If the last level is not settled.
    """
    order = np.argsort(delay_ms)
    delay_ms, level = delay_ms[order], level[order]
    if not abs(level[-1] - 1) < 2 * (1 - SETTLED):
        raise CalibrationError(
            f"the display shows {100 * level[-1]:.1f} % of a step {delay_ms[-1]:.1f} ms after the command, and not"
            " 100 %: it has not settled; check its refresh rate, and give a longer settle_ms in the bench file"
        )
    fit = _fit(delay_ms, level, exposure_ms)
    if fit is not None:
        latency_ms, tau_ms, uncertainty_ms = fit
        fitted = _model(delay_ms, latency_ms, tau_ms, exposure_ms)
        rising = (level > 1 - SETTLED) & (level < SETTLED)
        if np.median(np.abs(fitted - level)[rising if rising.any() else slice(None)]) < _LARGEST_RESIDUAL:
            settled_ms = latency_ms + tau_ms * _TAUS
            return StepResponse(
                delay_ms, level, exposure_ms, command_ms, command_ms + latency_ms, settled_ms, uncertainty_ms, fitted
            )
    middle_ms, smooth = delay_ms + exposure_ms / 2, median_filter(level, _MEDIAN_OF, mode="nearest")
    latency_ms = _last_below(middle_ms, smooth, 1 - SETTLED)
    settled_ms = _last_below(middle_ms, smooth, SETTLED)
    apart_ms = 2 * float(np.median(np.diff(delay_ms)))
    return StepResponse(delay_ms, level, exposure_ms, command_ms, command_ms + latency_ms, settled_ms, apart_ms, None)


def step_checks(step: StepResponse, bench: Bench) -> list[Check]:
    """Say what the step response tells of the display and of the bench file."""
    enough_ms = np.ceil(10 * 1.05 * step.settled_ms) / 10
    return [
        Check(
            "display settles to 99 %",
            step.settled_ms,
            "ms",
            high=bench.display.settle_ms + step.uncertainty_ms,
            drift=max(1.0, 0.15 * step.settled_ms),
            advice=f"frames may show two pictures: say settle_ms = {enough_ms:g} in [instruments.{bench.display.name}],"
            " or check the display's refresh rate",
        ),
        Check(
            "display-to-camera latency",
            step.latency_ms,
            "ms",
            drift=max(1.0, 0.15 * abs(step.latency_ms)),
            advice="check refresh rate, cable and what else this computer shows",
        ),
    ]


def _at_rest(bench: Bench, picture: NDArray[np.float32]) -> Stack:
    bench.display.show(picture, wait=False)
    bench.clock.sleep_ms(_REST * bench.display.settle_ms)
    return take_stack(bench, _REFERENCES)


def _lit_pixels(dark: Stack, bright: Stack, bench: Bench) -> NDArray[np.bool_]:
    step = bright.mean - dark.mean
    most = float(np.quantile(step, 0.999))
    if not most > _LEAST_STEP * dark.noise:
        raise CalibrationError(
            f"the camera sees no step from black to white on the display ({most:.1f} counts in"
            f" {bench.camera.exposure_ms:g} ms, where its noise is {dark.noise:.1f}): check that the display's light"
            " reaches the camera"
        )
    return np.asarray(step > most / 2)


def _model(delay_ms: Any, latency_ms: float, tau_ms: float, exposure_ms: float) -> NDArray[np.float64]:
    begin = np.maximum(np.asarray(delay_ms, np.float64) - latency_ms, 0)
    end = np.maximum(np.asarray(delay_ms, np.float64) + exposure_ms - latency_ms, 0)
    return np.asarray((end - begin - tau_ms * (np.exp(-begin / tau_ms) - np.exp(-end / tau_ms))) / exposure_ms)


def _fit(
    delay_ms: NDArray[np.float64], level: NDArray[np.float64], exposure_ms: float
) -> tuple[float, float, float] | None:
    """Latency, time constant, and two standard deviations of the settle time; None where the search fails."""
    span_ms = float(delay_ms[-1]) + exposure_ms
    begin_ms, rise_ms = (_last_below(delay_ms, level, share) for share in (0.05, 0.63))
    guess = (begin_ms, min(max(rise_ms - begin_ms, 0.02 * span_ms), span_ms))
    try:
        (latency_ms, tau_ms), covariance = curve_fit(
            lambda delay, latency, tau: _model(delay, latency, tau, exposure_ms),
            delay_ms,
            level,
            p0=guess,
            bounds=([-span_ms, 1e-3 * span_ms], [span_ms, span_ms]),
            loss="soft_l1",
            f_scale=_NOISE,
        )
    except (RuntimeError, ValueError):
        return None
    of_settled = np.array([1.0, _TAUS])
    return float(latency_ms), float(tau_ms), 2 * float(np.sqrt(of_settled @ covariance @ of_settled))


def _last_below(time_ms: NDArray[np.float64], level: NDArray[np.float64], share: float) -> float:
    """When the level passes a share for good, between the last time below it and the next."""
    below = np.flatnonzero(level < share)
    if not len(below):
        return float(time_ms[0])
    last = int(below[-1])
    if last + 1 == len(level):
        return float(time_ms[last])
    before, after = level[last], level[last + 1]
    return float(time_ms[last] + (time_ms[last + 1] - time_ms[last]) * (share - before) / (after - before))
