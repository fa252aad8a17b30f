r"""Where maps really lie: captured ones against those that are expected, for an optic that cannot be made flat.

Behind an SLM without a pattern every sub-aperture makes a spot, and discs say where its tile lies. A fixed optic makes
a kernel of every disc, whose middle need not be the kernel's own. What the student expects of a few images settles it:
with p the expected map and m the captured one, both over all images,

    m(x) = g p(x - s) + b,

s to a whole tap by the peak of their correlation, then by least squares, linear in a small rest of s.
"""

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage
from scipy.interpolate import BSpline

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

MOST_TAPS = 4
"""How far maps are looked for."""
_ROUNDS = 5
_STEADY_TAPS = 1e-3
_CUBIC = BSpline.basis_element(np.arange(-2, 3))


def shifts_taps(captured: Floats, expected: Floats) -> Doubles:
    """How far each captured map lies from the expected one, down and right.

    Parameters
    ----------
    captured, expected
        Maps of the same images, (N, T, h, w), in colour (N, T, C, h, w).

    Returns
    -------
    (T, 2), in colour (T, C, 2), taps.
    """
    places = captured.shape[1:-2]
    pairs = (maps.reshape(len(maps), -1, *maps.shape[-2:]).swapaxes(0, 1) for maps in (captured, expected))
    with ThreadPoolExecutor() as pool:  # little of it is Python's
        found = list(pool.map(_shift_taps, *pairs))
    return np.array(found).reshape(*places, 2)


def _shift_taps(captured: Floats, expected: Floats) -> Doubles:
    """Of one map of all images, (N, h, w) each."""
    m, p = captured.astype(np.float64), expected.astype(np.float64)
    shift = _whole_taps(m, p)
    inner = (slice(None), *(slice(MOST_TAPS, -MOST_TAPS) for _ in range(2)))
    splines = ndimage.spline_filter1d(ndimage.spline_filter1d(p, axis=1), axis=2)  # cubic
    seen = m[inner].ravel()
    for _ in range(_ROUNDS):
        columns = np.stack([*(part[inner].ravel() for part in _moved(splines, shift)), np.ones_like(seen)])
        (gain, *slopes, _), *_ = np.linalg.lstsq(columns @ columns.T, columns @ seen, rcond=None)
        if not gain > 0:
            break  # no copy of it at all: the fit of the gains says so, by name
        step = np.clip(np.array(slopes) / gain, -1, 1)
        shift = np.clip(shift - step, -MOST_TAPS, MOST_TAPS)
        if np.abs(step).max() < _STEADY_TAPS:
            break
    return shift


def _moved(splines: Doubles, shift: Doubles) -> tuple[Doubles, Doubles, Doubles]:
    """Cubic splines, (N, h, w) coefficients, moved down and right: their values, and slopes down and right."""
    (down, sloping_down), (right, sloping_right) = (_taps(by) for by in shift)
    along = partial(ndimage.correlate1d, mode="mirror")
    level, steep = along(splines, down, axis=1), along(splines, sloping_down, axis=1)
    return along(level, right, axis=2), along(steep, right, axis=2), along(level, sloping_right, axis=2)


def _taps(by: float) -> tuple[Doubles, Doubles]:
    """What a cubic spline's coefficients weigh in its values moved by so many taps, and in its slopes."""
    at = np.clip(np.arange(-MOST_TAPS - 2, MOST_TAPS + 3) + by, -2, 2)  # nothing beyond
    return _CUBIC(at), -_CUBIC.derivative()(at)


def _whole_taps(captured: Doubles, expected: Doubles) -> Doubles:
    size = [fft.next_fast_len(side + MOST_TAPS, real=True) for side in captured.shape[1:]]
    m, p = (maps - maps.mean(axis=(1, 2), keepdims=True) for maps in (captured, expected))
    score = fft.irfft2((fft.rfft2(m, size) * fft.rfft2(p, size).conj()).sum(axis=0), size)
    near = np.arange(-MOST_TAPS, MOST_TAPS + 1)
    best = np.unravel_index(int(np.argmax(score[np.ix_(near, near)])), (near.size, near.size))
    return near[list(best)].astype(np.float64)
