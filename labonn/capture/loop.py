"""The capture loop: show an image, wait until it has settled, take a frame, cut it into maps."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from labonn.capture.light import light
from labonn.capture.registration import Registration
from labonn.capture.scene import scene_of
from labonn.errors import CalibrationError, StaleFrameError
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
) -> Iterator[CapturedImage]:
    """Capture images one after another, with the phase pattern that is on the SLM.

    Every image that is asked for is delivered, in order, or an error is raised. The light is on only while this runs.

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

    Raises
    ------
    CalibrationError
        If the calibration was made with other images or another camera.
    StaleFrameError
        If the camera delivers the same frame twice for different images.
    InstrumentError
        If an instrument fails.
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
    before: NDArray[np.uint16] | None = None
    with light(bench):
        for index, image in enumerate(images):
            bench.display.show(scene_of(image, bench))
            frame = bench.camera.snap()
            taken_s = bench.clock.now_s()
            # Noise makes no two exposures alike: a frame that repeats the last one was not taken for this image.
            if before is not None and np.array_equal(frame, before) and not np.array_equal(image, images[index - 1]):
                raise StaleFrameError(
                    f"{bench.camera}: delivered the same frame for images {index - 1} and {index}; check its trigger"
                    " and buffers"
                )
            before = frame
            yield CapturedImage(
                index=index,
                tiles=registration.tiles(frame),
                frame=frame if keep_frames else None,
                saturated_px=int(np.count_nonzero(frame >= bench.camera.saturation)),
                taken_utc=datetime.now(UTC).isoformat(timespec="milliseconds"),
                taken_s=taken_s,
            )
            if on_frame is not None:
                on_frame(index + 1)
