r"""How far captured maps have moved against what a twin predicts: a camera that was bumped after the fit.

tile(x) = prediction(x) - d . grad prediction(x),   d by least squares, in taps, tile by tile
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from labonn.compensation.twin_colour import AnyTwin
from labonn.errors import CalibrationError

ROUNDS = 3
READINGS = 25_000  # of a tile: 32 images of 28 x 28 taps, 5 of 64 x 96; they tell its movement to 0.01 taps
LEAST_IMAGES = 4  # one may be dark, or have no edges
PART_VALUES = 4_000_000  # of maps that are moved at once: memory
TOLERATED_TAPS = 0.25


@dataclass(frozen=True)
class Movement:
    """How far maps have moved, in taps.

    Attributes
    ----------
    tiles_taps
        (T, 2) down and right, of each tile.
    all_taps
        (2,) their median: the camera, or the display.
    """

    tiles_taps: Tensor
    all_taps: Tensor

    @property
    def distance_taps(self) -> float:
        """How far all of them have moved."""
        return float(self.all_taps.norm())


def movement(twin: AnyTwin, images: Tensor, tiles: Tensor) -> Movement:
    """Measure it on the last few of images (N, C, H, W) and what was captured of them, (N, T, [C,] H, W).

    What was bumped stays where it went: the last captures tell of every bump before them.
    """
    few = max(LEAST_IMAGES, -(-READINGS // images[0, 0].numel()))
    images, tiles = images[-few:], tiles[-few:]
    predicted, tiles = (maps.flatten(1, -3) for maps in (twin.tiles(images), tiles))
    moved = torch.zeros(tiles.shape[1], 2)
    images_of_a_part = max(1, PART_VALUES // tiles[0].numel())
    parts = list(zip(*(torch.split(maps, images_of_a_part) for maps in (predicted, tiles)), strict=True))
    for turn in range(ROUNDS):
        system, wanted = torch.zeros(len(moved), 2, 2), torch.zeros(len(moved), 2)
        for expected, seen in parts:
            shifted = _shifted(expected, moved) if turn else expected
            slopes = torch.stack(torch.gradient(shifted, dim=(2, 3)))  # (2, N, T, H, W)
            inner, left = slopes[..., 1:-1, 1:-1], (shifted - seen)[..., 1:-1, 1:-1]
            system += torch.einsum("anthw,bnthw->tab", inner, inner)
            wanted += torch.einsum("anthw,nthw->ta", inner, left)
        system = system + 1e-6 * system.diagonal(dim1=1, dim2=2).mean() * torch.eye(2)
        moved = moved + torch.linalg.solve(system, wanted).clamp(-1, 1)
    return Movement(moved, moved.median(dim=0).values)


def require_still(twin: AnyTwin, images: Tensor, tiles: Tensor) -> Movement:
    """Measure the movement, and refuse captures that have moved too far since the fit.

    Raises
    ------
    CalibrationError
        If their maps have moved by more than a quarter of a tap.
    """
    found = movement(twin, images, tiles)
    if found.distance_taps > TOLERATED_TAPS:
        down, right = found.all_taps.tolist()
        raise CalibrationError(
            f"the maps have moved by {down:+.2f} taps down and {right:+.2f} right since the twin was fitted "
            f"({TOLERATED_TAPS} are tolerated): was the camera or the display bumped? Calibrate and capture again"
        )
    return found


def _shifted(tiles: Tensor, by_taps: Tensor) -> Tensor:
    """Tiles (N, T, H, W) moved by (T, 2) taps, band-limited; what leaves one edge does not come back at the other."""
    pad = 8
    wide = torch.nn.functional.pad(tiles, (pad, pad, pad, pad), mode="replicate")
    size = wide.shape[2:]
    down, right = torch.fft.fftfreq(size[0])[:, None], torch.fft.rfftfreq(size[1])[None, :]
    phase = by_taps[:, 0, None, None] * down + by_taps[:, 1, None, None] * right
    turned = torch.fft.irfft2(torch.fft.rfft2(wide) * torch.exp(-2j * torch.pi * phase), size)
    inner: Tensor = turned[:, :, pad:-pad, pad:-pad]
    return inner
