"""Speckle of a source behind a rotating diffuser: see `sim.effects_optics.Speckle`."""

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from sim.draws import stream
from sim.effects_optics import Speckle
from sim.spectrum import mean_of_squares

Floats = NDArray[np.float32]
_MS = 1e-3


class Speckles:
    """One world's speckle on its sensor; a pattern depends on nothing but the seed and the moment.

    One fully developed pattern is drawn, periodic, as large as the sensor; at each moment a random place of it is seen.
    """

    def __init__(self, file: Speckle, shape: tuple[int, int], seed: int) -> None:
        self._file = file
        self._seed = seed
        self._patterns = {1: _fully_developed(shape, file.grain_px, seed)} if file.on else {}

    def factor(self, start_s: float, exposure_ms: float, binning: int = 1) -> Floats | None:
        """What the light of one exposure is multiplied by, (H, W) in squares of pixels; None where there is none."""
        if not self._patterns:
            return None
        if binning not in self._patterns:
            self._patterns[binning] = mean_of_squares(self._patterns[1], binning)
        pattern = self._patterns[binning]
        contrast = self._file.contrast / np.sqrt(1.0 + exposure_ms / self._file.decorrelation_ms)
        chance = stream(self._seed, f"speckle {int(start_s / (self._file.decorrelation_ms * _MS))}")
        down, right = (int(chance.integers(side)) for side in pattern.shape)
        rolled = np.roll(pattern, (down, right), axis=(0, 1))
        rolled *= np.float32(contrast)
        rolled += np.float32(1.0 - contrast)
        return rolled


def _fully_developed(shape: tuple[int, int], grain_px: float, seed: int) -> Floats:
    """|a|^2 of circular complex Gaussian noise with correlation exp(-r^2 / (2 grain^2)); mean 1, so is its spread."""
    chance = stream(seed, "speckle")
    noise = chance.standard_normal(shape) + 1j * chance.standard_normal(shape)
    down, right = fft.fftfreq(shape[0])[:, None], fft.fftfreq(shape[1])[None, :]
    field = fft.ifft2(fft.fft2(noise) * np.exp(-((np.pi * grain_px) ** 2) * (down**2 + right**2)))
    intensity = field.real**2 + field.imag**2
    return np.asarray(intensity / intensity.mean(), np.float32)
