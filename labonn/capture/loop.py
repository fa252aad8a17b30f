"""The capture loop: show an image, wait until it has settled, take a frame, cut it into maps."""

from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from labonn.capture.ahead import Ahead, Screen
from labonn.capture.frame_check import MOST_SATURATED, FrameCheck, saturated_px
from labonn.capture.freshness import Freshness
from labonn.capture.light import light
from labonn.capture.registration import Registration
from labonn.capture.retakes import CaptureCounts, Fault, Finding, Frame, Taker
from labonn.capture.sequential import Shown, shown_for
from labonn.errors import CalibrationError
from labonn.instruments import Bench


@dataclass(frozen=True)
class CapturedImage:
    """What the bench made of one image."""

    index: int
    """Which of the images that were asked for."""
    tiles: NDArray[np.float32]
    """Optical maps in the student's units, (T, h, w), in colour (T, C, h, w)."""
    frame: NDArray[np.uint16] | None
    """The raw frame, (H, W), where frames are kept; where colours are shown one after another, theirs: (C, H, W)."""
    saturated_px: int
    """Pixels of the frame, or of all of them, at the camera's limit."""
    retakes: tuple[Fault, ...]
    """What was wrong with the frames that were thrown away for this one; mostly nothing."""
    taken_utc: str
    taken_s: float
    """The bench's clock when the frame, or the last of them, had arrived."""


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
        (N, h, w) in [0, 1], in colour (N, C, h, w).
    registration
        Made from the calibration of this bench and pattern.
    keep_frames
        Whether to hand on the raw frames too.
    on_frame
        Told how many images are done, after each.
    counts
        Is kept up to date: frames asked for, delivered, and taken again. Where colours are shown one after another,
        that is one for each of them.

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
    if images.shape[1:] != calibration.picture_shape:
        kind = "([colours,] height, width)" if calibration.colours else "(height, width)"
        raise CalibrationError(
            f"images of shape {images.shape[1:]} do not fit a calibration for {calibration.picture_shape} {kind};"
            " recalibrate for this data set, or choose that of the network in use"
        )
    if bench.camera.shape != calibration.dark.shape:
        raise CalibrationError(
            f"the camera's frames are {bench.camera.shape} (H, W), the calibration's {calibration.dark.shape};"
            " recalibrate"
        )
    bench.camera.exposure_ms = calibration.exposure_ms
    with light(bench):
        for shot in take_images(bench, images, registration, counts or CaptureCounts(), MOST_SATURATED):
            yield CapturedImage(
                index=shot.index,
                tiles=shot.tiles,
                frame=shot.frame if keep_frames else None,
                saturated_px=saturated_px(shot.frame, bench.camera.saturation),
                retakes=shot.retakes,
                taken_utc=datetime.now(UTC).isoformat(timespec="milliseconds"),
                taken_s=shot.taken_s,
            )
            if on_frame is not None:
                on_frame(shot.index + 1)


@dataclass(frozen=True)
class Shot:
    """A frame of an image, known to be of it; or the frames of its colours, (C, H, W)."""

    index: int
    frame: Frame
    tiles: NDArray[np.float32]
    retakes: tuple[Fault, ...]
    taken_s: float


def take_images(
    bench: Bench,
    images: NDArray[np.float32],
    registration: Registration,
    counts: CaptureCounts,
    most_saturated: float,
) -> Iterator[Shot]:
    """Show images and take a frame of each, with the exposure and the light as they are; otherwise as `capture`.

    While a frame is looked at, here and by whoever asked for it, the next images are shown and exposed.
    """
    shown = shown_for(images, registration.calibration)
    parts: list[Shot] = []
    with closing(_take_frames(bench, shown, registration, counts, most_saturated)) as frames:
        for shot in frames:
            parts.append(shot)
            if len(parts) == shown.frames_per_image:
                frame, tiles = shown.join([part.frame for part in parts], [part.tiles for part in parts])
                retakes = tuple(fault for part in parts for fault in part.retakes)
                yield Shot(shot.index // shown.frames_per_image, frame, tiles, retakes, shot.taken_s)
                parts.clear()


def _take_frames(
    bench: Bench, shown: Shown, registration: Registration, counts: CaptureCounts, most_saturated: float
) -> Generator[Shot, None, None]:
    """Take the frames, one after another, each of them known to be of what was shown for it."""
    saturation = bench.camera.saturation
    freshness = Freshness(registration.calibration, saturation)
    taker = Taker(bench, FrameCheck(saturation, most_saturated, registration.calibration), counts)
    screen = Screen(bench, shown)
    # Whatever the camera and the display still hold of the past is black from here on, and known to be.
    screen.blacken()
    taker.flush()
    index = 0
    while index < len(shown):
        ahead = Ahead(bench, screen, index)
        try:
            for shot in _until_one_is_wrong(range(index, len(shown)), screen, ahead, taker, registration, freshness):
                index = shot.index + 1
                yield shot
        except BaseException:
            ahead.stop(wait=False)  # darkness does not wait for a camera
            raise
        ahead.stop()


def _until_one_is_wrong(
    indices: range, screen: Screen, ahead: Ahead, taker: Taker, registration: Registration, freshness: Freshness
) -> Iterator[Shot]:
    """Look at the frames that were taken ahead; the last one given is the first that had to be taken again."""
    for index in indices:
        maps: list[NDArray[np.float32]] = []

        def examine(frame: Frame, index: int = index, maps: list[NDArray[np.float32]] = maps) -> Finding | None:
            maps[:] = [registration.tiles(frame)]
            return freshness.examine(screen.shown.name(index), screen.shown.expected(index), maps[0])

        def show_again(tries: int, index: int = index) -> None:
            if tries == 1:
                # The next images were shown meanwhile, and a late frame of them is not known; one of black is.
                ahead.stop()
                screen.blacken()
                taker.drain()
            screen.show(index)
            screen.wait()

        taken = ahead.next()
        if not taken.steady:  # the run was paused, and dark: nothing is wrong with the camera
            ahead.stop()
            screen.show(index)
            screen.wait()
        first = taken if taken.steady else None
        frame, retakes = taker.take(screen.shown.name(index), examine=examine, again=show_again, first=first)
        as_planned = taken.steady and not retakes
        yield Shot(index, frame, maps[0], retakes, taken.taken_s if as_planned else screen.now_s())
        if not as_planned:
            return
