"""Other views of the same images."""

import torch
from torch import Tensor
from torch.nn import functional


def augmented(images: Tensor, *, flips: bool, shift_px: int) -> Tensor:
    """Mirror each image left to right or not, and move it by a few pixels, dark at the edges.

    Parameters
    ----------
    images
        (N, C, H, W).
    flips
        Whether half of them, drawn from torch's generator, are mirrored.
    shift_px
        How far each is moved at most, both axes.
    """
    count, _, height, width = images.shape
    if flips:
        mirrored = torch.rand(count) < 0.5
        images = torch.where(mirrored.to(images.device)[:, None, None, None], images.flip(-1), images)
    if shift_px:
        moved = torch.randint(0, 2 * shift_px + 1, (2, count, 1)).to(images.device)
        rows = moved[0] + torch.arange(height, device=images.device)
        columns = moved[1] + torch.arange(width, device=images.device)
        padded = functional.pad(images, (shift_px, shift_px, shift_px, shift_px))
        each = torch.arange(count, device=images.device)[:, None, None]
        images = padded.permute(0, 2, 3, 1)[each, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
    return images.contiguous()
