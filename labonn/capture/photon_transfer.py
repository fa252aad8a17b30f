r"""The photon transfer of a camera: what a count is worth in electrons, and what it cannot see.

A uniform-enough scene is taken at several exposures, each in pairs of frames. With S the mean signal above black and D
the difference of a pair, both in counts (DN),

    var(D) / 2 = S / K + r^2 + 1/12        K: conversion gain in e-/DN;  r: read noise in DN;  1/12: rounding

so that the slope of the variance over the signal is 1 / K. The source's power differs between two frames by a common
factor, which is taken out of each pair before it is subtracted; fixed pattern cancels in the difference.

Source: J. R. Janesick, Photon Transfer (SPIE Press, 2007), chapter 5; EMVA Standard 1288, release 4.0, section 6.6.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labonn.capture.light import light, take_stack
from labonn.capture.scene import plain_scene
from labonn.errors import CalibrationError
from labonn.instruments import Bench

Doubles = NDArray[np.float64]

_ROUNDING_DN2 = 1.0 / 12.0  # variance of rounding to whole counts
_DARK_FRAMES = 16
_PAIRS = 2
_BINS = 24  # of signal, in which pixels of one exposure are taken together
_LEAST_PIXELS = 400  # of a bin, or its variance means nothing
_LEAST_EXPOSURES = 3
# Below this share of the range above black: clipping narrows the noise of pixels near saturation.
_MOST_OF_RANGE = 0.9
_HOT_SIGMAS = 8.0
_LONG_DARK = 10.0  # times the longest exposure: what shows hot pixels
_OVEREXPOSED = 4.0  # times the longest exposure
_BRIGHTEST = 0.99  # quantile of a frame's signal
_LIT = 0.3  # share of the brightest from which a pixel is lit
_LEAST_POINTS = 6


@dataclass(frozen=True)
class PhotonTransfer:
    """What a camera's counts mean."""

    gain_e_per_dn: float
    """Conversion gain."""
    gain_error: float
    """Standard error of the gain's fit, as a share of it."""
    read_noise_dn: float
    """Root mean square over the pixels, without the rounding to counts."""
    black_dn: float
    """Mean level of a dark frame at the shortest exposure."""
    full_scale_e: float
    """Electrons at which the signal saturates, by full well or by the converter, whichever comes first."""
    nonlinearity: float
    """Largest deviation of the mean signal from a line through the exposures, as a share of the largest signal."""
    hot_px: NDArray[np.intp]
    """(n, 2) rows and columns of pixels with far more dark signal than others."""
    stuck_px: NDArray[np.intp]
    """(n, 2) rows and columns of pixels that never change."""
    signal_dn: Doubles
    variance_dn2: Doubles
    """The points that were fitted, (points,) each."""

    @property
    def read_noise_e(self) -> float:
        """Read noise in electrons."""
        return self.read_noise_dn * self.gain_e_per_dn


def measure_photon_transfer(
    bench: Bench, exposures_ms: Sequence[float], on_step: Callable[[str], None] | None = None
) -> PhotonTransfer:
    """Measure the photon transfer with a white display under a flat phase; the shutter is closed when this ends.

    Parameters
    ----------
    bench
        An open bench.
    exposures_ms
        Exposures in rising order, at least three; the last one should nearly saturate the brightest part.
    on_step
        Told the name of each step as it begins.

    Raises
    ------
    CalibrationError
        If there is too little signal to fit, or the variance does not grow with it.
    """
    if len(exposures_ms) < _LEAST_EXPOSURES or list(exposures_ms) != sorted(exposures_ms):
        raise CalibrationError(
            f"photon transfer: exposures_ms = {list(exposures_ms)}: at least {_LEAST_EXPOSURES}, in rising order"
        )
    begin = on_step or (lambda _: None)
    before_ms = bench.camera.exposure_ms
    try:
        return _measure(bench, exposures_ms, begin)
    finally:
        bench.camera.exposure_ms = before_ms


def _measure(bench: Bench, exposures_ms: Sequence[float], begin: Callable[[str], None]) -> PhotonTransfer:
    camera = bench.camera
    begin("dark frames")
    bench.shutter.close()
    camera.exposure_ms = exposures_ms[0]
    dark = take_stack(bench, _DARK_FRAMES)
    camera.exposure_ms = _LONG_DARK * exposures_ms[-1]
    long_dark = take_stack(bench, 2).mean
    if bench.has_slm:
        bench.slm.show(np.zeros(bench.slm.shape, np.float32))
    points: list[Doubles] = []
    pairs: list[_Pair] = []
    lowest = np.full(camera.shape, camera.saturation, np.uint16)
    highest = np.zeros(camera.shape, np.uint16)
    with light(bench):
        bench.display.show(plain_scene(1.0, bench))
        for exposure_ms in exposures_ms:
            begin(f"pairs of frames of {exposure_ms:g} ms")
            camera.exposure_ms = exposure_ms
            for _ in range(_PAIRS):
                one, other = camera.snap(), camera.snap()
                for frame in (one, other):
                    np.minimum(lowest, frame, out=lowest)
                    np.maximum(highest, frame, out=highest)
                pair = _pair(exposure_ms, one, other, dark.mean, camera.saturation)
                points.append(_binned(pair))
                pairs.append(pair)
        begin("saturation")
        camera.exposure_ms = _OVEREXPOSED * exposures_ms[-1]
        full_scale_dn = float(np.quantile(camera.snap() - dark.mean, _BRIGHTEST))
    signal_dn, variance_dn2 = np.concatenate(points, axis=1)
    gain_e_per_dn, gain_error = fit_gain(signal_dn, variance_dn2)
    return PhotonTransfer(
        gain_e_per_dn=gain_e_per_dn,
        gain_error=gain_error,
        read_noise_dn=float(np.sqrt(max(0.0, dark.noise**2 - _ROUNDING_DN2))),
        black_dn=float(dark.mean.mean()),
        full_scale_e=full_scale_dn * gain_e_per_dn,
        nonlinearity=_nonlinearity(pairs),
        hot_px=_hot(long_dark),
        stuck_px=np.argwhere(lowest == highest),
        signal_dn=signal_dn,
        variance_dn2=variance_dn2,
    )


def fit_gain(signal_dn: Doubles, variance_dn2: Doubles) -> tuple[float, float]:
    """Fit variance = signal / gain + constant, each point weighted by what its own scatter is expected to be.

    Parameters
    ----------
    signal_dn, variance_dn2
        (points,) each.

    Returns
    -------
    The conversion gain in e-/DN, and its standard error as a share of it.

    Raises
    ------
    CalibrationError
        If there are too few points, or the variance does not grow with the signal.
    """
    if len(signal_dn) < _LEAST_POINTS or not np.ptp(signal_dn) > 0:
        raise CalibrationError(
            f"photon transfer: only {len(signal_dn)} points of signal and variance; give it more light, or longer"
            " exposures"
        )
    design = np.column_stack([signal_dn, np.ones_like(signal_dn)])
    # A variance scatters in proportion to itself.
    weight = 1.0 / variance_dn2
    solution, *_ = np.linalg.lstsq(design * weight[:, None], variance_dn2 * weight, rcond=None)
    slope = float(solution[0])
    if not slope > 0:
        raise CalibrationError(
            f"photon transfer: the variance does not grow with the signal (slope {slope:.3g} DN); check that the light"
            " reaches the camera and that it delivers raw counts"
        )
    residual = (variance_dn2 - design @ solution) * weight
    covariance = np.linalg.inv((design * weight[:, None]).T @ (design * weight[:, None]))
    error = float(np.sqrt(covariance[0, 0] * (residual**2).sum() / (len(signal_dn) - 2)))
    return 1.0 / slope, error / slope


@dataclass(frozen=True)
class _Pair:
    exposure_ms: float
    signal: Doubles
    """Mean of both frames above black, (H, W)."""
    difference: Doubles
    """Of the two, without what the source's power changed between them, (H, W)."""
    usable: NDArray[np.bool_]
    """Lit, and far enough below saturation, (H, W)."""


def _pair(
    exposure_ms: float,
    one: NDArray[np.uint16],
    other: NDArray[np.uint16],
    black: NDArray[np.float32],
    saturation: int,
) -> _Pair:
    first, second = one - black.astype(np.float64), other - black.astype(np.float64)
    signal = (first + second) / 2
    usable = signal < _MOST_OF_RANGE * (saturation - float(black.mean()))
    lit = usable & (signal > _LIT * float(np.quantile(signal, _BRIGHTEST)))
    power = float(first[lit].mean() / second[lit].mean()) if lit.any() else 1.0
    # Either frame is taken to their mean power, so that neither one's noise is stretched.
    difference = first * (1 + 1 / power) / 2 - second * (1 + power) / 2
    return _Pair(exposure_ms, signal, difference, usable)


def _binned(pair: _Pair) -> Doubles:
    """Mean signal and half the variance of the difference, (2, bins), of pixels of like signal."""
    signal, difference = pair.signal[pair.usable], pair.difference[pair.usable]
    order = np.argsort(signal)
    points = []
    for part in np.array_split(order, max(1, min(_BINS, order.size // _LEAST_PIXELS))):
        if part.size >= _LEAST_PIXELS:
            points.append((float(signal[part].mean()), float(difference[part].var()) / 2))
    return np.array(points, np.float64).reshape(-1, 2).T


def _nonlinearity(pairs: Sequence[_Pair]) -> float:
    """Largest deviation from a line through the origin, over pixels that are usable at every exposure."""
    usable = np.logical_and.reduce([pair.usable for pair in pairs])
    brightest = max(pairs, key=lambda pair: pair.exposure_ms).signal
    lit = usable & (brightest > _LIT * float(np.quantile(brightest, _BRIGHTEST)))
    if not lit.any():
        return float("nan")
    exposure_ms = np.array([pair.exposure_ms for pair in pairs])
    mean = np.array([pair.signal[lit].mean() for pair in pairs])
    slope = float(exposure_ms @ mean / (exposure_ms @ exposure_ms))
    return float(np.abs(mean - slope * exposure_ms).max() / mean.max())


def _hot(long_dark: NDArray[np.float32]) -> NDArray[np.intp]:
    middle = float(np.median(long_dark))
    sigma = 1.48 * float(np.median(np.abs(long_dark - middle)))
    return np.argwhere(long_dark > middle + _HOT_SIGMAS * max(sigma, 1.0))
