"""Other views of the same images."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class View:
    """How a batch of n images is looked at: which are mirrored, and how far each is moved.

    Attributes
    ----------
    mirrored
        (n,) bool; None where none is.
    moved
        (2, n, 1), rows and columns from the upper left corner of the padded image; (2, 1, 1) where all are moved alike,
        None where none is.
    reach
        How far the images are padded for it.
    """

    mirrored: Tensor | None
    moved: Tensor | None
    reach: int = 0

    def of(self, maps: Tensor, *, outside: float = 0.0) -> Tensor:
        """The view of images, or of what is known of their pixels, (n, C, H, W); beyond the edges there is nothing."""
        if self.mirrored is not None:
            maps = torch.where(self.mirrored.to(maps.device)[:, None, None, None], maps.flip(-1), maps)
        if self.moved is None:
            return maps.contiguous()
        height, width = maps.shape[2:]
        padded = functional.pad(maps, (self.reach, self.reach, self.reach, self.reach), value=outside)
        if self.moved.shape[1] == 1:
            down, right = self.moved.flatten().tolist()
            return padded[..., down : down + height, right : right + width]
        moved = self.moved.to(maps.device)
        rows = moved[0] + torch.arange(height, device=maps.device)
        columns = moved[1] + torch.arange(width, device=maps.device)
        each = torch.arange(len(maps), device=maps.device)[:, None, None]
        found = padded.permute(0, 2, 3, 1)[each, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
        return found.contiguous()


def drawn_view(count: int, *, flips: bool, shift_px: int) -> View:
    """Draw from torch's generator whether each of so many images is mirrored, left to right, and how far it is moved.

    Parameters
    ----------
    count
        Images.
    flips
        Whether half of them are mirrored.
    shift_px
        How far each is moved at most, both axes.
    """
    mirrored = torch.rand(count) < 0.5 if flips else None
    moved = torch.randint(0, 2 * shift_px + 1, (2, count, 1)) if shift_px else None
    return View(mirrored, moved, shift_px)


def drawn_shift(shift_px: int) -> View:
    """Draw how far a whole batch is moved, at most so many pixels, both axes."""
    return View(None, torch.randint(0, 2 * shift_px + 1, (2,))[:, None, None], shift_px)
