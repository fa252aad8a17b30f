r"""Whether a frame is of the image that is shown, or of one that was shown before.

A camera that lags, or a buffer that is one frame behind, delivers a good frame of an earlier image. Its maps are then
those that were captured of that image, but for noise; maps of another image are as far from them as the images are
apart, once blurred as the optics blur them. With m the mean over all tiles of a frame's maps, less its value in the
dark, and b the blurred image, a frame taken for image i is of the earlier image j if

    |m - m_j| < 0.2 c |b_i - b_j|   and   |m - m_j| < 0.1 |m_j|,

where c, counts for brightness, is the median of |m_k| / |b_k| over the last frames. Black (m = 0, b = 0), which is
shown before the first image, counts as an earlier one, without the second condition. On the simulated bench, with a
trained pattern and its aberrations, |m_i - m_j| is above 0.27 c |b_i - b_j| for frames of their own images (digits,
MNIST and random textures, in any order) and below 0.17 c |b_i - b_j| for stale ones. Images that differ by less than
noise cannot be told apart this way, and need not be.
"""

from collections import deque
from statistics import median

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from labonn.capture.calibration import Calibration
from labonn.capture.retakes import Fault, Finding

Floats = NDArray[np.float32]

_BLUR_TAPS = 2.0  # a kernel of 7 x 7 taps, as a Gaussian
_NEAR = 0.2
_ALIKE = 0.1
_REMEMBERED = 8  # a camera's buffers hold a few frames
_RATIOS = 32
# Before the first frame: calibration chose an exposure at which a bright image uses about half of the range.
_FIRST_RATIO = 0.25  # of the range, for brightness 1
_LEAST_BRIGHTNESS = 0.02


class Freshness:
    """Compares each frame of a capture with those before it.

    Parameters
    ----------
    calibration
        Of the bench.
    saturation
        The camera's largest count.
    """

    def __init__(self, calibration: Calibration, saturation: int) -> None:
        dark = np.mean(-calibration.background / calibration.gain, axis=0)
        self._dark = np.asarray(dark, np.float32)[..., None, None]  # of each colour
        self._first_ratio = _FIRST_RATIO * saturation * float(np.mean(1 / calibration.gain))
        self._seen: deque[tuple[str, Floats, Floats]] = deque(maxlen=_REMEMBERED)
        self._ratios: deque[float] = deque(maxlen=_RATIOS)

    def examine(self, name: str, image: Floats, tiles: Floats) -> Finding | None:
        """Say whether maps are of something that was shown before; those that are not are remembered.

        Parameters
        ----------
        name
            The image, as messages name it.
        image
            What is shown, (h, w) in [0, 1], in colour (C, h, w).
        tiles
            What was captured, (T, h, w), in colour (T, C, h, w).
        """
        widths = (0.0, _BLUR_TAPS, _BLUR_TAPS)[-image.ndim :]
        blurred = np.asarray(gaussian_filter(image, widths, mode="constant").ravel(), np.float32)
        picture = np.asarray((tiles.mean(axis=0) - self._dark).ravel(), np.float32)
        ratio = median(self._ratios) if self._ratios else self._first_ratio
        brightness = float(np.linalg.norm(blurred))
        if float(np.linalg.norm(picture)) < _NEAR * ratio * brightness:
            return Finding(Fault.STALE, "the frame shows nothing, as if the display were still black")
        for other, earlier, captured in self._seen:
            distance = float(np.linalg.norm(picture - captured))
            apart = ratio * float(np.linalg.norm(blurred - earlier))
            if distance < min(_NEAR * apart, _ALIKE * float(np.linalg.norm(captured))):
                return Finding(Fault.STALE, f"the frame shows {other}, which was shown before")
        if brightness > _LEAST_BRIGHTNESS * np.sqrt(blurred.size):
            self._ratios.append(float(np.linalg.norm(picture)) / brightness)
        self._seen.append((name, blurred, picture))
        return None
