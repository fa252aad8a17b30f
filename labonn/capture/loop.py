"""The capture loop: show an image, wait until it has settled, take a frame, cut it into maps."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from labonn.capture.frame_check import MOST_SATURATED, FrameCheck, saturated_px
from labonn.capture.freshness import Freshness
from labonn.capture.light import light
from labonn.capture.registration import Registration
from labonn.capture.retakes import CaptureCounts, Fault, Finding, Frame, Taker
from labonn.capture.scene import plain_scene, scene_of
from labonn.errors import CalibrationError
from labonn.instruments import Bench


@dataclass(frozen=True)
class CapturedImage:
    """What the bench made of one image."""

    index: int
    """Which of the images that were asked for."""
    tiles: NDArray[np.float32]
    """Optical maps in the student's units, (T, h, w)."""
    frame: NDArray[np.uint16] | None
    """The raw frame, (H, W), where frames are kept."""
    saturated_px: int
    """Pixels of the frame at the camera's limit."""
    retakes: tuple[Fault, ...]
    """What was wrong with the frames that were thrown away for this one; mostly nothing."""
    taken_utc: str
    taken_s: float
    """The bench's clock when the frame had arrived."""


def capture(
    bench: Bench,
    images: NDArray[np.float32],
    registration: Registration,
    *,
    keep_frames: bool = False,
    on_frame: Callable[[int], None] | None = None,
    counts: CaptureCounts | None = None,
) -> Iterator[CapturedImage]:
    """Capture images one after another, with the phase pattern that is on the SLM.

    Every image that is asked for is delivered, in order, or an error is raised. A frame that is dropped, repeats the
    one before, has rows missing, is of an image that was shown before, or is saturated is taken again; after three in a
    row the camera is given up. The shutter is open only while this runs.

    Parameters
    ----------
    bench
        An open bench.
    images
        (N, h, w) in [0, 1].
    registration
        Made from the calibration of this bench and pattern.
    keep_frames
        Whether to hand on the raw frames too.
    on_frame
        Told how many images are done, after each.
    counts
        Is kept up to date: frames asked for, delivered, and taken again.

    Raises
    ------
    CalibrationError
        If the calibration was made with other images or another camera.
    StaleFrameError
        If the camera goes on delivering frames of something else than what is shown.
    InstrumentError
        If an instrument fails, or the camera goes on delivering no frames or spoilt ones.
    """
    calibration = registration.calibration
    if images.ndim != 3 or images.shape[1:] != calibration.image_shape:
        raise CalibrationError(f"images of shape {images.shape} do not fit a calibration for {calibration.image_shape}")
    if bench.camera.shape != calibration.dark.shape:
        raise CalibrationError(
            f"the camera's frames are {bench.camera.shape} (H, W), the calibration's {calibration.dark.shape};"
            " recalibrate"
        )
    bench.camera.exposure_ms = calibration.exposure_ms
    with light(bench):
        for shot in take_images(bench, images, registration, counts or CaptureCounts(), MOST_SATURATED):
            taken_s = bench.clock.now_s()
            yield CapturedImage(
                index=shot.index,
                tiles=shot.tiles,
                frame=shot.frame if keep_frames else None,
                saturated_px=saturated_px(shot.frame, bench.camera.saturation),
                retakes=shot.retakes,
                taken_utc=datetime.now(UTC).isoformat(timespec="milliseconds"),
                taken_s=taken_s,
            )
            if on_frame is not None:
                on_frame(shot.index + 1)


@dataclass(frozen=True)
class Shot:
    """A frame of an image, known to be of it."""

    index: int
    frame: Frame
    tiles: NDArray[np.float32]
    retakes: tuple[Fault, ...]


def take_images(
    bench: Bench,
    images: NDArray[np.float32],
    registration: Registration,
    counts: CaptureCounts,
    most_saturated: float,
) -> Iterator[Shot]:
    """Show images and take a frame of each, with the exposure and the light as they are; otherwise as `capture`.

    While a frame is looked at, here and by whoever asked for it, the next image is shown and settles.
    """
    saturation = bench.camera.saturation
    freshness = Freshness(registration.calibration, saturation)
    taker = Taker(bench, FrameCheck(saturation, most_saturated, registration.calibration), counts)
    screen = _Screen(bench, images)
    # Whatever the camera and the display still hold of the past is black from here on, and known to be.
    screen.blacken()
    taker.flush()
    screen.show(0)
    for index in range(len(images)):
        maps: list[NDArray[np.float32]] = []

        def examine(frame: Frame, index: int = index, maps: list[NDArray[np.float32]] = maps) -> Finding | None:
            maps[:] = [registration.tiles(frame)]
            return freshness.examine(f"image {index}", images[index], maps[0])

        def show_again(tries: int, index: int = index) -> None:
            if tries == 1:
                # The next image was shown meanwhile, and a late frame of it is not known; one of black is.
                screen.blacken()
                taker.drain()
            screen.show(index)
            screen.wait()

        def show_next(index: int = index) -> None:
            if index + 1 < len(images):
                screen.show(index + 1)

        frame, retakes = taker.take(f"image {index}", screen.wait, examine, again=show_again, exposed=show_next)
        if retakes:
            show_next()
        yield Shot(index, frame, maps[0], retakes)


class _Screen:
    """The display, which settles while the frame before is looked at."""

    def __init__(self, bench: Bench, images: NDArray[np.float32]) -> None:
        self._bench = bench
        self._images = images
        self._shown_s = 0.0

    def show(self, index: int) -> None:
        """Show an image, without waiting."""
        self._show(scene_of(self._images[index], self._bench))

    def blacken(self) -> None:
        """Show black, and wait."""
        self._show(plain_scene(0.0, self._bench))
        self.wait()

    def wait(self) -> None:
        """Wait until what is shown has settled; whatever was done meanwhile counts."""
        elapsed_ms = 1e3 * (self._bench.clock.now_s() - self._shown_s)
        self._bench.clock.sleep_ms(max(0.0, self._bench.display.settle_ms - elapsed_ms))

    def _show(self, scene: NDArray[np.float32]) -> None:
        self._bench.display.show(scene, wait=False)
        self._shown_s = self._bench.clock.now_s()
