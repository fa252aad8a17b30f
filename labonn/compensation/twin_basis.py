r"""What a captured tile may be a sum of: the picture through a kernel, and all that light does besides.

    tile_t(x) = sum_j ((phi_j s) \star k_tj)(x) + sum_m w_tm h_m(x)

with s the light of the picture shown, phi_j a low power of the place in the picture (1, then u and v, then their
products), k_tj a kernel on its own support, and h_m what needs no kernel of its own: smooth patterns over the tile, the
picture spread so widely that hardly more than its amount counts, and light from so far that only coarse cells of it
matter, the neighbouring tiles' among it: the scene is the same for all of them, so that what their sub-apertures throw
into this tile is one more kernel, far from its middle. What a filter lets pass of another colour's light arrives in
that colour's own place and shape: it is a kernel of its own over that colour's picture, "mix".
Every weight is linear, and every tile of one optic has the same functions: one Gram matrix serves them all.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import repeat
from math import ceil
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

Part = Literal["core", "tilt", "bowl", "kernel", "offset", "background", "halo", "far", "field", "field2", "mix"]

# The simplest first.
ALL_PARTS: tuple[Part, ...] = ("kernel", "offset", "halo", "background", "far", "field", "field2", "mix")
# Sides of kernels. "kernel" is wider than any design's: aberrations and stray light spread a PSF beyond it; what
# changes over the field is narrower. "core", "tilt" and "bowl" are the same three for a quick look.
TAPS: dict[Part, int] = {"kernel": 17, "field": 11, "field2": 7, "mix": 7, "core": 11, "tilt": 7, "bowl": 5}
KERNEL_TAPS = TAPS["kernel"]
HALO_TAPS = (4.0, 12.0)  # standard deviation of what is scattered widely; the whole picture's mean is the third
WAVES = 6  # half periods over the tile that a background may have, and one less
FAR_TAPS = 3.0  # beyond, a tap this much further from the middle is expected to be e times smaller
CELLS = 14  # along an axis, over all distances that two places of a picture can have


@dataclass(frozen=True)
class Basis:
    """The functions of one choice of parts, for images of one size.

    Attributes
    ----------
    parts
        Which; their features stand in this order.
    image_shape
        (H, W), taps.
    others
        How many colours there are besides the tiles' own.
    """

    parts: tuple[Part, ...]
    image_shape: tuple[int, int]
    others: int = 0

    def size(self, part: Part) -> int:
        """How many features a part has."""
        if part in TAPS:
            return self._layers(part) * TAPS[part] ** 2
        if part == "far":
            return int(self._far_cells.sum())
        return {"offset": 1, "background": WAVES**2 - 1, "halo": len(HALO_TAPS) + 1}[part]

    @cached_property
    def places(self) -> dict[Part, slice]:
        """Where each part's features stand."""
        places, start = {}, 0
        for part in self.parts:
            places[part] = slice(start, start + self.size(part))
            start = places[part].stop
        return places

    @property
    def features(self) -> int:
        """How many features there are in all."""
        return sum(self.size(part) for part in self.parts)

    def powers(self, part: Part) -> Tensor:
        """phi_j of a part with kernels, (J, H, W)."""
        axes = [torch.linspace(-1, 1, length) for length in self.image_shape]
        u, v = torch.meshgrid(*axes, indexing="ij")
        if part in ("field", "tilt"):
            return torch.stack([u, v])
        return torch.stack(
            [u * u - 1 / 3, u * v, v * v - 1 / 3] if part in ("field2", "bowl") else [torch.ones_like(u)]
        )

    def rows(self, light: Tensor, places: Iterable[Tensor | None] = repeat(None)) -> Iterator[Tensor]:
        """The features of each picture, one after the other; light (N, 1 + others, H, W).

        At all its pixels, (F, H W), or at the places (n,) of each picture, as pixels are counted, (F, n).
        """
        for picture, at in zip(light, places):  # noqa: B905 (without places there is no end of them)
            yield torch.cat([self._rows_of(picture[None], part, at) for part in self.parts if self.size(part)])

    def predict(self, light: Tensor, weights: Tensor) -> Tensor:
        """The weighted sum: light (N, 1 + others, H, W), weights (F, T) -> (N, T, H, W); own colour first.

        Of light (N, 1, H, W), what its own colour makes alone.
        """
        count = weights.shape[1]
        own = light[:, :1]
        total = light.new_zeros(len(light), count, *self.image_shape)
        for part, place in self.places.items():
            mine = weights[place].to(light)
            if part == "mix":
                if light.shape[1] > 1:
                    total += self.mixed(light, weights)
            elif part in TAPS:
                kernels = mine.T.reshape(count, -1, TAPS[part], TAPS[part])
                total += functional.conv2d(own * self.powers(part).to(light), kernels, padding=TAPS[part] // 2)
            elif part == "far":
                for at, picture in enumerate(own):  # many times as fast as a convolution of dilated kernels
                    torch.addmm(total[at].flatten(1), mine.T, self.far(picture[None])[0], out=total[at].flatten(1))
            else:
                total += torch.einsum("ft,nfhw->nthw", mine, self.pictures(own, part))
        return total

    def mixed(self, light: Tensor, weights: Tensor) -> Tensor:
        """What the other colours of light (N, 1 + others, H, W) add, (N, T, H, W)."""
        return functional.conv2d(light[:, 1:], self.kernels(weights, "mix").to(light), padding=TAPS["mix"] // 2)

    def kernels(self, weights: Tensor, part: Part = "kernel") -> Tensor:
        """The kernels of a part in the weights (F, T): (T, J, taps, taps)."""
        return weights[self.places[part]].T.reshape(weights.shape[1], -1, TAPS[part], TAPS[part])

    def of_no_light(self, weights: Tensor) -> Tensor:
        """What `predict` gives of a dark picture, (T, H, W)."""
        total: Tensor = self.predict(torch.zeros(1, 1, *self.image_shape), weights)[0]
        return total

    def pictures(self, light: Tensor, part: Part) -> Tensor:
        """The features of a part without kernels, of light (N, 1, H, W): (N or 1, f, H, W)."""
        if part == "offset":
            return light.new_ones(1, 1, *self.image_shape)
        if part == "background":
            down, right = (self._waves(length).to(light) for length in self.image_shape)
            return torch.einsum("ah,bw->abhw", down, right).flatten(0, 1)[None, 1:]
        mean = light.mean(dim=(2, 3), keepdim=True).expand(len(light), 1, *self.image_shape)
        return torch.cat([*(self._spread(light, width) for width in HALO_TAPS), mean], dim=1)

    def without(self, weights: Tensor, *parts: Part) -> Tensor:
        """The weights with some parts set to nothing."""
        weights = weights.clone()
        for part in set(parts) & set(self.parts):
            weights[self.places[part]] = 0
        return weights

    def stiffness(self, part: Part) -> Tensor:
        """How much more each feature of a part is held back than the first, (f,): far taps, quick waves."""
        if part in TAPS:
            at = torch.arange(TAPS[part]) - TAPS[part] // 2
            radius = torch.hypot(at[:, None].double(), at[None, :].double()).flatten()
            return torch.exp(2 * (radius - FAR_TAPS).clamp_min(0) / FAR_TAPS).repeat(self._layers(part))
        if part == "background":
            order = torch.arange(WAVES).double()
            return (order[:, None].square() + order[None, :].square()).flatten()[1:].square()
        return torch.ones(self.size(part), dtype=torch.float64)

    def _layers(self, part: Part) -> int:
        """How many kernels a part has for a tile."""
        return self.others if part == "mix" else len(self.powers(part))

    def _rows_of(self, picture: Tensor, part: Part, at: Tensor | None) -> Tensor:
        if part in TAPS:
            own = picture[:, :1]
            seen = picture[:, 1:] if part == "mix" else own * self.powers(part).to(own)[None]
            return _around(seen, TAPS[part], at)
        picture = picture[:, :1]
        rows = self.far(picture)[0] if part == "far" else self.pictures(picture, part)[0].flatten(1)
        return rows if at is None else rows[:, at]

    def far(self, light: Tensor, step: int = 1) -> Tensor:
        """The features of far light of pictures (N, 1, H, W), (N, f, H W): means over cells at all distances.

        With a step, at every so manieth place down and right, from the first until there is none before the edge.
        """
        height, width = (1 + step * -(-(length - 1) // step) for length in self.image_shape)
        cells = self._cells(light)[:, 0]
        shifted = cells.unfold(1, height, self._cell_taps).unfold(2, width, self._cell_taps)[:, :CELLS, :CELLS]
        return shifted[..., ::step, ::step][:, self._far_cells].flatten(2)

    def _spread(self, light: Tensor, width_taps: float) -> Tensor:
        """The pictures blurred by a Gaussian."""
        down, right = (across.to(light) for across in self._gaussians[width_taps])
        return down @ light @ right / (2 * torch.pi * width_taps**2)

    @cached_property
    def _gaussians(self) -> dict[float, list[Tensor]]:
        """What blurs a picture, for each width of the halo: a matrix before it, (H, H), and one behind it, (W, W)."""
        at = [torch.arange(length).float() for length in self.image_shape]
        return {
            width: [torch.exp(-0.5 * ((along[:, None] - along[None, :]) / width) ** 2) for along in at]
            for width in HALO_TAPS
        }

    @staticmethod
    def _waves(length: int) -> Tensor:
        """Cosines of 0, 1, ... half periods, (WAVES, length)."""
        return torch.cos(torch.pi * torch.arange(WAVES)[:, None] * (torch.arange(length) + 0.5) / length)

    @property
    def _cell_taps(self) -> int:
        """Side of a coarse cell."""
        return ceil(2 * max(self.image_shape) / CELLS)

    @cached_property
    def _far_cells(self) -> Tensor:
        """Which cells of distances, (CELLS, CELLS), lie beyond the kernel's support."""
        start = (torch.arange(CELLS) - CELLS // 2) * self._cell_taps
        near = (start >= -(KERNEL_TAPS // 2)) & (start + self._cell_taps - 1 <= KERNEL_TAPS // 2)
        return ~(near[:, None] & near[None, :])

    def _cells(self, light: Tensor) -> Tensor:
        """The mean over a cell that begins at each place, dark beyond the picture."""
        taps, side = self._cell_taps, CELLS // 2 * self._cell_taps
        sums = functional.pad(light, (side + 1, side, side + 1, side)).double().cumsum(dim=2).cumsum(dim=3)
        down = sums[:, :, taps:] - sums[:, :, :-taps]
        return ((down[..., taps:] - down[..., :-taps]) / taps**2).to(light)


def _around(planes: Tensor, taps: int, at: Tensor | None) -> Tensor:
    """What lies around pixels of planes (1, J, H, W), around all of them or those at (n,): (J taps^2, H W or n)."""
    margin = taps // 2
    if at is None:
        return functional.unfold(planes, taps, padding=margin)[0]
    width = planes.shape[-1]
    wide = functional.pad(planes[0], (margin, margin, margin, margin))
    windows = wide.unfold(1, taps, 1).unfold(2, taps, 1)[:, at // width, at % width]  # (J, n, taps, taps)
    return windows.permute(0, 2, 3, 1).reshape(-1, len(at))
