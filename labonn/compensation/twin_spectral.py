r"""What twins make of large pictures, by transforms: for many pictures, several times faster than kernel by kernel.

    tile(x) = sum_j sum_d k_j(d) (phi_j s)(x + d)   ->   sum_j F[phi_j s] conj(F[k_j])

The transforms of all parts, and of all colours whose maps are summed, are added up before one transform goes back. What
has no kernel of its own (offset, background, halo) is added as it is, and far light, which is smooth, as it is at every
second place.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import torch
from scipy.fft import next_fast_len
from torch import Tensor
from torch.nn import functional

from labonn.compensation.twin_basis import KERNEL_TAPS, Basis, Part

IMAGES = 8  # at once: more do not fit into a processor's memory
_KERNELS: tuple[Part, ...] = ("kernel", "field", "field2", "mix")
_FAR_STEP = 2  # a cell of far light is several times as wide


class SpectralPredictor:
    """The sum of what twins of several colours read, (N, T, H, W), made ready for many pictures of one size.

    Parameters
    ----------
    twins
        The basis of each and its weights (F, T).
    """

    def __init__(self, twins: Sequence[tuple[Basis, Tensor]]) -> None:
        self._bases = [basis for basis, _ in twins]
        height, width = self._shape = self._bases[0].image_shape
        margin = KERNEL_TAPS // 2  # what leaves one edge comes back at the other, beyond it
        self._period = next_fast_len(height + margin, real=True), next_fast_len(width + margin, real=True)
        kernels = torch.cat([_kernels(basis, weights, self._period) for basis, weights in twins])  # (J, T, *period)
        transfers = torch.fft.rfft2(kernels).conj()
        self._transfers = transfers.permute(2, 3, 0, 1).flatten(0, 1).contiguous()  # (frequencies, J, T)
        self._dark = torch.stack([basis.of_no_light(weights) for basis, weights in twins]).sum(dim=0)
        self._halo, self._far = (_weights_of(part, twins) for part in ("halo", "far"))

    def __call__(self, lights: Sequence[Tensor]) -> Tensor:
        """Read light, (N, 1 + others, H, W) for each colour, its own first: (N, T, H, W)."""
        # Of threads that share each operation, one that has to wait for its core holds up all: pictures are shared out.
        count, single = torch.get_num_threads(), partial(torch.set_num_threads, 1)
        parts = list(zip(*(torch.split(one, IMAGES) for one in lights), strict=True))
        with ThreadPoolExecutor(count, thread_name_prefix="predicting", initializer=single) as pool:
            return torch.cat(list(pool.map(self._read, parts)))

    @torch.no_grad()
    def _read(self, lights: Sequence[Tensor]) -> Tensor:
        height, width = self._shape
        pictures = torch.cat([_pictures(basis, light) for basis, light in zip(self._bases, lights, strict=True)], 1)
        spectra = torch.fft.rfft2(pictures, self._period)
        across = spectra.shape[-2:]
        seen = torch.bmm(spectra.permute(2, 3, 0, 1).flatten(0, 1), self._transfers)  # (frequencies, N, T)
        back = seen.permute(1, 2, 0).reshape(len(pictures), -1, *across)
        total: Tensor = torch.fft.irfft2(back, self._period)[..., :height, :width] + self._dark
        flat = total.flatten(2)  # the same memory
        own = [(basis, light[:, :1]) for basis, light in zip(self._bases, lights, strict=True)]
        if self._halo is not None:
            halos = torch.cat([basis.pictures(light, "halo") for basis, light in own if "halo" in basis.parts], dim=1)
            flat.baddbmm_(self._halo.expand(len(flat), -1, -1), halos.flatten(2))
        if self._far is not None:
            far = torch.cat([basis.far(light, _FAR_STEP) for basis, light in own if "far" in basis.parts], dim=1)
            total += self._between(self._far @ far)
        return total

    def _between(self, seen: Tensor) -> Tensor:
        """What is known at every so manieth place, (N, T, h w), drawn along lines to all, (N, T, H, W)."""
        height, width = self._shape
        places = tuple(1 + -(-(length - 1) // _FAR_STEP) for length in self._shape)
        whole = tuple(_FAR_STEP * (count - 1) + 1 for count in places)
        coarse = seen.reshape(*seen.shape[:2], *places)
        return functional.interpolate(coarse, size=whole, mode="bilinear", align_corners=True)[..., :height, :width]


def _weights_of(part: Part, twins: Sequence[tuple[Basis, Tensor]]) -> Tensor | None:
    """The weights of all colours that have a part, (T, f), if any has."""
    found = [weights[basis.places[part]] for basis, weights in twins if part in basis.parts]
    return torch.cat(found).T.float().contiguous() if found else None


def _pictures(basis: Basis, light: Tensor) -> Tensor:
    """What is convolved, (N, J, H, W): the own colour times powers of the place, and the others that mix with it."""
    own, parts = light[:, :1], [part for part in _KERNELS if part in basis.parts]
    return torch.cat([light[:, 1:] if part == "mix" else own * basis.powers(part).to(own) for part in parts], dim=1)


def _kernels(basis: Basis, weights: Tensor, period: tuple[int, int]) -> Tensor:
    """What they are convolved with, (J, T, *period), from distance 0 on, negative ones at the end."""
    found = []
    for part in (part for part in _KERNELS if part in basis.parts):
        kernels = basis.kernels(weights, part).transpose(0, 1).float()
        taps = kernels.shape[-1]
        at = torch.arange(taps) - taps // 2
        whole = kernels.new_zeros(*kernels.shape[:2], *period)
        whole[:, :, (at % period[0])[:, None], (at % period[1])[None, :]] = kernels
        found.append(whole)
    return torch.cat(found)
