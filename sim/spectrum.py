r"""Pictures and their Fourier transforms, of which only the frequencies below a cutoff are kept.

What a camera sees that averages squares of 2 x 2 pixels is computed on its own grid, of half as many pixels a period,
and never on the sensor's. With u in cycles a pixel of the sensor, along each axis:

    Y(u) = X(u) (1 + exp(2 pi i u)) / 2 (sinc u / sinc 2u)^2

The first factor averages. The second makes up for the scene, whose light is shared out between the nearest pixels of a
grid: by twice as wide a triangle where the pixels are twice as wide.

What a camera sees through a mosaic of filters is computed for the pixels of each place in its squares alone. Every
second pixel of a line, from pixel a on, has, with N pixels a period and 0 <= k < N / 2,

    Z(k) = (Y(k) exp(2 pi i k a / N) + Y(k') exp(2 pi i k' a / N)) / 2,   k' = k - N / 2

and Y is the sum of what the colours make, each times what the filter passes of it.
"""

import threading
from collections.abc import Sequence
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import fft
from torch import Tensor
from torch.nn import functional

Floats = NDArray[np.float32]
Transfer = NDArray[np.complex64]


class _Room(threading.local):
    """A thread's arrays to compute in, used again each time: to be given new ones takes longer than the transforms."""

    def __init__(self) -> None:
        self._arrays: dict[str, Tensor] = {}

    def array(self, name: str, shape: tuple[int, ...], dtype: torch.dtype = torch.complex64) -> Tensor:
        """The one of that name, as it was left."""
        known = self._arrays.get(name)
        if known is None or known.shape != shape:
            known = self._arrays[name] = torch.empty(shape, dtype=dtype)
        return known


class Spectra:
    """Transforms of pictures of one shape, at their low frequencies: (columns 0, 1, ...; rows 0, 1, ..., -2, -1).

    Parameters
    ----------
    shape
        Of the sensor.
    period
        After how many pixels, along each axis, pictures repeat.
    reach
        How far, in pixels, a scene reaches from its middle.
    kept
        How many frequencies are kept from 0 on, of rows and columns.
    """

    def __init__(self, shape: tuple[int, int], period: tuple[int, int], reach: int, kept: tuple[int, int]) -> None:
        self._shape = shape
        self._reach = reach
        self._rows, self._columns = period
        self._upper, self._kept = kept
        self._lower = min(self._upper - 1, self._rows // 2 - 1)  # negative ones
        rows = np.concatenate([np.arange(self._upper), np.arange(-self._lower, 0)])
        self._cycles = rows / self._rows, np.arange(self._kept)[:, None] / self._columns
        self._average: Transfer | None = None
        self._room = _Room()

    @classmethod
    def below(cls, cutoff: float, shape: tuple[int, int], reach: int) -> Self:
        """Choose the period; above `cutoff`, in cycles a pixel, there is nothing."""
        rows, columns = (4 * int(fft.next_fast_len(-(-(side + 2 * reach) // 4))) for side in shape)
        upper, kept = (min(int(np.ceil(size * cutoff)) + 2, size // 2 + 1) for size in (rows, columns))
        return cls(shape, (rows, columns), reach, (upper, kept))

    def halved(self) -> Self:
        """For a camera that averages squares of 2 x 2 pixels; the reach must be even."""
        height, width = (side // 2 for side in self._shape)
        rows, columns = self._rows // 2, self._columns // 2
        kept = min(self._upper, rows // 2), min(self._kept, columns // 2)
        return type(self)((height, width), (rows, columns), self._reach // 2, kept)

    def averaged(self, transfer: Transfer) -> Transfer:
        """From a kernel's transform on a grid of which this is the halved one."""
        if self._average is None:
            down, right = (
                (1 + np.exp(1j * np.pi * cycles)) / 4 * (np.sinc(cycles / 2) / np.sinc(cycles)) ** 2
                for cycles in self._cycles
            )
            self._average = np.asarray(down * right, np.complex64)
        upper, lower = transfer[: self._kept, : self._upper], transfer[: self._kept, transfer.shape[1] - self._lower :]
        return np.asarray(np.concatenate([upper, lower], axis=1) * self._average)

    @property
    def spectrum_shape(self) -> tuple[int, int]:
        """Shape of a transform."""
        return self._kept, self._upper + self._lower

    def of(self, picture: Floats) -> Transfer:
        """Transform of a picture of at most one period."""
        return np.asarray(torch.cat(self._parts(picture), dim=1).numpy())

    def of_kernel(self, kernel: Floats) -> Transfer:
        """Transform of what convolves scenes, (H + 2 reach, W + 2 reach), about the sensor's first pixel at `reach`."""
        wrapped = np.zeros((self._rows, self._columns), np.float32)
        wrapped[: kernel.shape[0], : kernel.shape[1]] = kernel
        # the kernel starts at -reach, and the scene's own middle lies at +reach
        return self.of(np.roll(wrapped, (-2 * self._reach, -2 * self._reach), axis=(0, 1)))

    def through(self, pairs: Sequence[tuple[Floats, Transfer]], number: int = 0) -> Transfer:
        """Transform of scenes, each times its kernel's, summed; good until this thread asks for that number again."""
        whole = self._room.array(f"through {number}", self.spectrum_shape)
        halves = slice(None, self._upper), slice(self._upper, None)
        for place, (scene, transfer) in enumerate(pairs):
            kernel = torch.from_numpy(transfer)
            for half, part in zip(halves, self._parts(scene), strict=True):
                if place == 0:
                    torch.mul(part, kernel[:, half], out=whole[:, half])
                else:
                    whole[:, half].addcmul_(part, kernel[:, half])
        return np.asarray(whole.numpy())

    def shifted(self, spectrum: Transfer, shift_px: tuple[float, float]) -> Transfer:
        """Transform of the same, moved (down, right)."""
        down, right = (np.exp(-2j * np.pi * px * cycles) for px, cycles in zip(shift_px, self._cycles, strict=True))
        return np.asarray(spectrum * (down * right).astype(np.complex64), np.complex64)

    def picture(self, spectrum: Transfer) -> Floats:
        """Sensor's picture of a transform, (H, W); a fresh array."""
        height, width = self._shape
        packed = torch.from_numpy(spectrum)
        whole = self._room.array("inverse", (self._kept, self._rows))
        whole[:, : self._upper] = packed[:, : self._upper]
        whole[:, self._upper : self._rows - self._lower] = 0
        whole[:, self._rows - self._lower :] = packed[:, self._upper :]
        return np.asarray(self._inverse(whole, height, self._columns)[:, :width].contiguous().numpy())

    def mosaic(self, spectra: Sequence[Transfer], shares: Floats) -> Floats:
        """Sensor's picture, (H, W), that sees shares (2, 2, C) of C transforms at even and odd rows and columns."""
        height, width = self._shape
        seen = torch.empty((height, width))
        mixed = self._room.array("mixed", self.spectrum_shape)
        for down, right in ((0, 0), (0, 1), (1, 0), (1, 1)):
            mixed.zero_()
            for share, spectrum in zip(shares[down, right].tolist(), spectra, strict=True):
                mixed.add_(torch.from_numpy(spectrum), alpha=share / 4)
            rows, columns = len(range(down, height, 2)), len(range(right, width, 2))
            quarter = self._inverse(self._folded(self._from_pixel(mixed, down, right)), rows, self._columns // 2)
            seen[down::2, right::2] = quarter[:, :columns]
        return np.asarray(seen.numpy())

    def _inverse(self, packed: Tensor, height: int, columns: int) -> Tensor:
        """First rows of a transform's picture, a period wide: (columns 0, 1, ...; all rows); for this thread alone."""
        kept, rows = packed.shape
        lines = torch.fft.ifft(packed, dim=1, out=self._room.array(f"lines {rows}", (kept, rows)))
        across = self._room.array(f"across {rows} {height}", (height, kept))
        across.copy_(lines[:, :height].T)
        out = self._room.array(f"picture {rows} {height}", (height, columns), torch.float32)
        picture: Tensor = torch.fft.irfft(across, columns, dim=1, out=out)
        return picture

    def _from_pixel(self, spectrum: Tensor, down: int, right: int) -> Tensor:
        """Count places from another pixel than the first, in place."""
        for pixel, cycles in ((down, self._cycles[0]), (right, self._cycles[1])):
            if pixel:
                spectrum *= torch.from_numpy(np.exp(2j * np.pi * pixel * cycles).astype(np.complex64))
        return spectrum

    def _folded(self, spectrum: Tensor) -> Tensor:
        """Of every second pixel, both axes, times 4: (columns 0, 1, ...; all rows)."""
        rows, columns = self._rows // 2, self._columns // 2
        kept = min(self._kept, columns // 2 + 1)
        ours, first = spectrum[:kept], columns + 1 - self._kept  # from there on, others fold on to ours
        if first < kept:
            others = spectrum[columns + 1 - kept :].flip(0)  # of negative columns: those of positive ones, conjugate,
            ours[first:] += torch.cat([others[:, :1], others[:, 1:].flip(1)], dim=1).conj()  # and with negative rows
        packed = self._room.array("folded", (kept, rows)).zero_()
        packed[:, : min(self._upper, rows)] = ours[:, : min(self._upper, rows)]
        if self._upper > rows:
            packed[:, 0] += ours[:, rows]
        packed[:, rows - self._lower :] += ours[:, self._upper :]
        return packed

    def _parts(self, picture: Floats) -> tuple[Tensor, Tensor]:
        """Transform of a picture: rows of frequencies from 0 on, and negative ones; in the thread's room."""
        half = torch.fft.rfft(torch.from_numpy(picture), self._columns, dim=1)[:, : self._kept]
        room = self._room.array("forward", (self._kept, self._rows))
        whole = torch.fft.fft(half.T.contiguous(), self._rows, dim=1, out=room)
        return whole[:, : self._upper], whole[:, self._rows - self._lower :]


def mean_of_squares(picture: Floats, side: int) -> Floats:
    """Means over squares of pixels; what does not fill one is left out."""
    if side == 1:
        return picture
    height, width = (length // side for length in picture.shape)
    whole = torch.from_numpy(picture[None, None, : height * side, : width * side])
    return np.asarray(functional.avg_pool2d(whole, side)[0, 0].numpy(), np.float32)
