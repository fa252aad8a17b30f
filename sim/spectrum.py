r"""Pictures and their Fourier transforms, of which only the frequencies below a cutoff are kept.

The mean over squares of b x b pixels, which a binned camera sees, needs no pixel of the whole picture. With N pixels a
period and M = N / 2, the means y over two pixels of an axis have the transform

    Y(v) = 1/2 sum_(u = v mod M) X(u) (1 + exp(2 pi i u / N)) / 2

so what lies beyond the binned pixels' Nyquist limit folds back, exactly as it does where pixels are averaged.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import fft
from torch import Tensor

Floats = NDArray[np.float32]
Transfer = NDArray[np.complex64]


class Spectra:
    """Transforms of pictures of one shape, at their low frequencies: (columns 0, 1, ...; rows 0, 1, ..., -2, -1).

    Parameters
    ----------
    shape
        Of the sensor.
    reach
        How far, in pixels, a scene reaches from its middle.
    cutoff
        Frequency, in 1 / pixel, above which there is nothing.
    """

    def __init__(self, shape: tuple[int, int], reach: int, cutoff: float) -> None:
        self._shape = shape
        self._reach = reach
        self._rows, self._columns = (4 * int(fft.next_fast_len(-(-(side + 2 * reach) // 4))) for side in shape)
        self._upper, self._kept = (
            min(int(np.ceil(size * cutoff)) + 2, size // 2 + 1) for size in (self._rows, self._columns)
        )
        self._lower = min(self._upper - 1, self._rows // 2 - 1)  # negative ones
        rows = np.concatenate([np.arange(self._upper), np.arange(-self._lower, 0)])
        self._turns = 2 * np.pi * rows / self._rows, 2 * np.pi * np.arange(self._kept)[:, None] / self._columns
        down, right = ((1 + np.exp(1j * turn)) / 4 for turn in self._turns)
        self._square = np.asarray(down * right, np.complex64)

    def of(self, picture: Floats) -> Transfer:
        """Transform of a picture of at most one period."""
        return np.asarray(torch.cat(self._parts(picture), dim=1).numpy())

    def of_kernel(self, kernel: Floats) -> Transfer:
        """Transform of what convolves scenes, (H + 2 reach, W + 2 reach), about the sensor's first pixel at `reach`."""
        wrapped = np.zeros((self._rows, self._columns), np.float32)
        wrapped[: kernel.shape[0], : kernel.shape[1]] = kernel
        # the kernel starts at -reach, and the scene's own middle lies at +reach
        return self.of(np.roll(wrapped, (-2 * self._reach, -2 * self._reach), axis=(0, 1)))

    def through(self, scene: Floats, transfer: Transfer) -> Transfer:
        """Transform of a scene, times a kernel's."""
        kernel = torch.from_numpy(transfer)
        product = torch.empty_like(kernel)
        upper, lower = self._parts(scene)
        torch.mul(upper, kernel[:, : self._upper], out=product[:, : self._upper])
        torch.mul(lower, kernel[:, self._upper :], out=product[:, self._upper :])
        return np.asarray(product.numpy())

    def shifted(self, spectrum: Transfer, shift_px: tuple[float, float]) -> Transfer:
        """Transform of the same, moved (down, right)."""
        down, right = (np.exp(-1j * px * turn) for px, turn in zip(shift_px, self._turns, strict=True))
        return np.asarray(spectrum * (down * right).astype(np.complex64), np.complex64)

    def binned(self, spectrum: Transfer) -> Transfer:
        """Transform of the means over squares of 2 x 2 pixels, about each pixel; `picture` takes every other one."""
        return np.asarray(spectrum * self._square)

    def picture(self, spectrum: Transfer, step: int = 1) -> Floats:
        """Sensor's picture of a transform, every `step` pixels (1 or 2); a fresh array."""
        rows, columns = self._rows // step, self._columns // step
        height, width = (side // step for side in self._shape)
        packed = torch.from_numpy(spectrum)
        upper = min(self._upper, rows)
        whole = torch.zeros((self._kept, rows), dtype=torch.complex64)
        whole[:, :upper] = packed[:, :upper]
        whole[:, rows - self._lower :] += packed[:, self._upper :]
        middle = columns // 2
        if self._kept > middle:  # of the frequencies from there on, their mirror images are kept
            beyond = whole[middle:].flip(0, 1).roll(1, 1).conj()
            whole = whole[: middle + 1]
            if step > 1:
                whole[middle + 1 - len(beyond) :] += beyond
        lines = torch.fft.ifft(whole, dim=1)[:, :height].T.contiguous()
        return np.asarray(torch.fft.irfft(lines, columns, dim=1)[:, :width].contiguous().numpy())

    def _parts(self, picture: Floats) -> tuple[Tensor, Tensor]:
        """Transform of a picture: rows of frequencies from 0 on, and negative ones."""
        half = torch.fft.rfft(torch.from_numpy(picture), self._columns, dim=1)[:, : self._kept]
        whole = torch.fft.fft(half.T.contiguous(), self._rows, dim=1)
        return whole[:, : self._upper], whole[:, self._rows - self._lower :]


def mean_of_squares(picture: Floats, side: int) -> Floats:
    """Means over squares of pixels; what does not fill one is left out."""
    if side == 1:
        return picture
    height, width = (length // side for length in picture.shape)
    squares = picture[: height * side, : width * side].reshape(height, side, width, side)
    return np.asarray(squares.mean(axis=(1, 3)), np.float32)
