r"""From behind a lenslet to its focal plane: Rayleigh-Sommerfeld propagation with torchoptics' impulse response.

    U(x') = sum_x u(x) exp(-i pi |x|^2 / (l f)) h(x' - x, f)

The impulse response h comes from torchoptics, in double precision, and so does the lens. torchoptics would compute
both, and the transform of h, again for every field; here they are kept, and the convolution runs in single precision.
A test compares with torchoptics' own propagation.
"""

from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import fft
from torchoptics import Field, PlanarGrid
from torchoptics.profiles import lens_phase
from torchoptics.propagation import direct_integration_method as direct

METRES_PER_UM = 1e-6


class Focus:
    """A square lens of `samples` x `samples`, `spacing_um` apart, and a window around its focus, sampled as finely.

    Parameters
    ----------
    samples, window
        Samples along a side of the aperture, and of the window in the focal plane.
    spacing_um, focal_mm, wavelength_nm
        Geometry and light.
    """

    def __init__(self, samples: int, window: int, spacing_um: float, focal_mm: float, wavelength_nm: float) -> None:
        self.samples = samples
        self.window = window
        spacing_m, focal_m, wavelength_m = spacing_um * METRES_PER_UM, focal_mm * 1e-3, wavelength_nm * 1e-9
        blank = Field(torch.ones(samples, samples, dtype=torch.complex128), wavelength_m, 0.0, spacing_m)
        plane = PlanarGrid((window, window), focal_m, spacing_m)
        x, y = direct.calculate_meshgrid(blank, plane)
        response = direct.calculate_impulse_response(blank, plane, x, y, "DIM").numpy()
        self._size = int(fft.next_fast_len(samples + window - 1))
        self._response = fft.fft2(response, (self._size, self._size)).astype(np.complex64)
        lens = lens_phase((samples, samples), focal_m, wavelength_m, spacing_m).numpy()
        self._lens = np.exp(1j * lens).astype(np.complex64)

    def psf(self, field: NDArray[np.complex64]) -> NDArray[np.float32]:
        """Intensity in the window, (window, window), from the field behind the sub-aperture.

        Its sum is the power in the window, in units of a field of amplitude 1 over the whole aperture.
        """
        keep = slice(self.samples - 1, self.samples - 1 + self.window)
        spectrum = fft.fft(field * self._lens, self._size, axis=1)
        spectrum = fft.fft(spectrum, self._size, axis=0, overwrite_x=True)
        spectrum *= self._response
        rows = fft.ifft(spectrum, axis=0, overwrite_x=True)[keep]
        focused = fft.ifft(rows, axis=1, overwrite_x=True)[:, keep]
        intensity = focused.real**2 + focused.imag**2
        return np.asarray(intensity / np.float32(self.samples**2), np.float32)


@lru_cache(maxsize=16)
def focus(samples: int, window: int, spacing_um: float, focal_mm: float, wavelength_nm: float) -> Focus:
    """Return the same lens for the same numbers: preparing one takes half a second."""
    return Focus(samples, window, spacing_um, focal_mm, wavelength_nm)
