"""Captures in colour that no twin should be fitted to: a colour that is dead, colours in another order."""

import torch
from torch import Tensor

from labonn.errors import CalibrationError
from labonn.optics import Frontend

# Captures whose colours are compared with the images': as many as give so many readings of a tile.
_MOST_LOOKED_AT, _LEAST_LOOKED_AT, _READINGS = 16, 4, 25_000
_SURELY = 0.05  # of the correlation
# Of the contrast that the images should have, over the liveliest colour's: a dead one shows its noise, and little else.
_DEAD = 0.1


def check_colours(frontend: Frontend, images: Tensor, tiles: Tensor) -> None:
    """Check that what was captured in each colour follows that colour of the images, and no other.

    Parameters
    ----------
    frontend
        The student's.
    images, tiles
        (N, C, H, W), and what was captured of them, (N, T, C, H, W).

    Raises
    ------
    CalibrationError
        If the captures' colours come in another order than the images', or do not follow them any more in one.
    """
    if images.shape[2:] != tiles.shape[3:] or tiles.shape[1] != frontend.tiles:
        return  # of another size or design: `check_captures` says so
    few = min(_MOST_LOOKED_AT, max(_LEAST_LOOKED_AT, -(-_READINGS // images[0, 0].numel())))
    images, tiles = images[:few], tiles[:few]
    count = images.shape[1]
    with torch.no_grad():
        grey = frontend.ideal_tiles(images.mean(dim=1, keepdim=True).expand_as(images))
        each = [frontend.ideal_tiles(images[:, [shown] * count]) for shown in range(count)]
    likeness = torch.stack([_likeness(tiles, tried, grey) for tried in each])  # (shown, seen)
    best = likeness.argmax(dim=0)
    expected = torch.stack([_contrast(each[c][:, :, c]) for c in range(count)])
    alive = torch.stack([_contrast(tiles[:, :, c]) for c in range(count)]) / expected
    shown = expected > _DEAD * expected.max()  # of a colour that the images hardly have, nothing can be said
    if dead := [c for c in range(count) if shown[c] and not alive[c] > _DEAD * alive[shown].max()]:
        shares = ", ".join(f"{100 * float(one):.1f}" for one in alive)
        raise CalibrationError(
            f"colour {', '.join(str(c + 1) for c in dead)} of {count} is dead: no tile shows anything in it, and the"
            f" others do (of the contrast expected, colours 1 to {count} have {shares} %); check that colour's lamp,"
            " cable and plane, calibrate colour again, and capture again"
        )
    sure = likeness.gather(0, best[None])[0] - likeness.diagonal() > _SURELY
    if len(set(best.tolist())) == count and bool(sure.any()) and bool((sure | (best == torch.arange(count))).all()):
        order = ", ".join(str(c + 1) for c in best.tolist())
        raise CalibrationError(
            f"the captures' colours 1 to {count} follow colours {order} of the images: their order is swapped (as RGB"
            " is in BGR); check planes in the display's table, filters in the camera's, and the order of the data set's"
            " colours, then calibrate colour and capture again"
        )


def _contrast(tiles: Tensor) -> Tensor:
    """Standard deviation of tiles (N, T, H, W) about each tile's mean, in the mean of the tiles."""
    return tiles.transpose(0, 1).flatten(1).std(dim=1).mean().clamp_min(1e-12)


def _likeness(tiles: Tensor, expected: Tensor, grey: Tensor) -> Tensor:
    """Correlation of captured with expected tiles (N, T, C, H, W), in the median over tiles, of each colour (C,).

    What a grey picture would show is taken out of both: photographs are grey at large.
    """
    mine, theirs, common = (maps.permute(2, 1, 0, 3, 4).flatten(2) for maps in (tiles, expected, grey))  # (C, T, N H W)
    mine, theirs, common = (maps - maps.mean(dim=2, keepdim=True) for maps in (mine, theirs, common))
    power = common.square().sum(dim=2, keepdim=True).clamp_min(1e-12)
    mine, theirs = (maps - (maps * common).sum(dim=2, keepdim=True) / power * common for maps in (mine, theirs))
    across = (mine * theirs).sum(dim=2) / (mine.norm(dim=2) * theirs.norm(dim=2)).clamp_min(1e-12)
    middle: Tensor = across.median(dim=1).values
    return middle
