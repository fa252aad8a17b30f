r"""Colours one after another: a colour display before a grey camera, one frame for each colour of an image.

Such a frame is cut at the places of every colour, although it shows only one: so a frame that comes too late is still
found to be what it is, whichever colour was shown then. With g_c the gain of colour c, in the mean of the tiles, a
plane p_c that is shown in colour c is expected at the places and in the units of colour d as

    p_c g_c / g_d.
"""

import numpy as np
from numpy.typing import NDArray

from labonn.capture.calibration import Calibration
from labonn.capture.colour import NAMES
from labonn.instruments import COLOURS

Floats = NDArray[np.float32]


class Shown:
    """What is shown for images, frame by frame: the images themselves."""

    frames_per_image = 1

    def __init__(self, images: Floats, calibration: Calibration) -> None:
        self._images = images

    def __len__(self) -> int:
        """How many frames there will be."""
        return len(self._images) * self.frames_per_image

    def __getitem__(self, frame: int) -> Floats:
        """Give what is shown for a frame, (h, w), in colour (C, h, w)."""
        return np.asarray(self._images[frame], np.float32)

    def expected(self, frame: int) -> Floats:
        """Give what a frame should have of it, in the units of its maps, in their shape."""
        return self[frame]

    def name(self, frame: int) -> str:
        """Name a frame in messages."""
        return f"image {frame}"

    def join(self, frames: list[NDArray[np.uint16]], tiles: list[Floats]) -> tuple[NDArray[np.uint16], Floats]:
        """Make one capture of an image's frames (H, W) and their tiles."""
        return frames[0], tiles[0]


class ShownInTurn(Shown):
    """The colours of images (N, C, h, w), one after another."""

    frames_per_image = len(COLOURS)

    def __init__(self, images: Floats, calibration: Calibration) -> None:
        super().__init__(images, calibration)
        gain = calibration.gain.mean(axis=0)
        self._as_others = (gain[:, None] / gain).astype(np.float32)

    def __getitem__(self, frame: int) -> Floats:
        """Give one plane of an image, black in the other colours, (C, h, w)."""
        image, colour = divmod(frame, self.frames_per_image)
        scene = np.zeros_like(self._images[image], np.float32)
        scene[colour] = self._images[image, colour]
        return scene

    def expected(self, frame: int) -> Floats:
        """Give the plane at the places of every colour, in its units, (C, h, w)."""
        image, colour = divmod(frame, self.frames_per_image)
        plane = np.asarray(self._images[image, colour], np.float32)
        return np.asarray(self._as_others[colour][:, None, None] * plane, np.float32)

    def name(self, frame: int) -> str:
        """Name a frame in messages."""
        image, colour = divmod(frame, self.frames_per_image)
        return f"image {image} in {NAMES[COLOURS[colour]]}"

    def join(self, frames: list[NDArray[np.uint16]], tiles: list[Floats]) -> tuple[NDArray[np.uint16], Floats]:
        """Take each colour from its own frame: frames (C, H, W), tiles (T, C, h, w)."""
        return np.stack(frames), np.stack([one[:, colour] for colour, one in enumerate(tiles)], axis=1)


def shown_for(images: Floats, calibration: Calibration) -> Shown:
    """Say what is shown for images: all colours at once where the camera tells them apart."""
    in_turn = bool(calibration.colours) and not calibration.filters
    return (ShownInTurn if in_turn else Shown)(images, calibration)
