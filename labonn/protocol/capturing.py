"""Captures of a run: recorded as they come, with what is needed to continue them after the run was killed."""

from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from labonn.capture import Calibration, CaptureCounts, CapturedImage, capture
from labonn.records.disk import sha256_of
from labonn.records.earlier import TAKEN
from labonn.records.runs import CapturedWith

if TYPE_CHECKING:
    from labonn.protocol.lab import Lab

EVERY = 100
"""Where not every image's raw frame is kept, every hundredth's is: for a month's evaluations, 1 % of their frames."""

Floats = NDArray[np.float32]


def capture_group(
    lab: "Lab", group: str, images: Floats, calibration: Calibration, optics: str, *, keep_frames: bool = True
) -> Floats:
    """Capture images, recording each, but for those that a lost run has captured already, which are taken over.

    Parameters
    ----------
    lab
        The laboratory, its bench with the calibration's phase pattern.
    group
        The kind of capture: the group in the run's file of frames.
    images
        (N, h, w) in [0, 1], in colour (N, C, h, w).
    calibration
        Of the bench, with this pattern; kept in the run's folder before the first capture.
    optics
        What the frontend was told to be, as `optics_hash` gives it.
    keep_frames
        Whether to keep the raw frame of every image, or of every hundredth; maps are kept of all.

    Returns
    -------
    Optical maps in the student's units, (N, T, h, w), in colour (N, T, C, h, w).

    Raises
    ------
    CalibrationError, InstrumentError
        As `labonn.capture.capture` does.
    RecordError
        If the disk refuses.
    """
    captured_with(lab, calibration, optics, group)
    tiles = np.empty((len(images), calibration.tiles, *images.shape[1:]), np.float32)
    counts = CaptureCounts()
    with lab.step(f"capturing: {group}", total=len(images)) as step:
        known = lab.continuation.take_over(lab, group, images, calibration, tiles)
        if known.any():
            step.advance(int(known.sum()))
        missing = np.flatnonzero(~known)
        if missing.size:
            shown = images[missing] if known.any() else images
            for shot in capture(lab.bench, shown, lab.registration(calibration), keep_frames=True, counts=counts):
                index = int(missing[shot.index])
                tiles[index] = shot.tiles
                record_shot(lab, group, index, images[index], shot, every_frame=keep_frames)
                step.advance()
    lab.note(f"frames: {group}", counts.summary())
    return tiles


def record_shot(
    lab: "Lab", group: str, index: int, image: Floats, shot: CapturedImage, *, every_frame: bool = True
) -> int:
    """Record a capture; gives how many of its group are acknowledged.

    Parameters
    ----------
    lab, group, shot
        As in `capture_group`.
    index
        Which of the group's images it is.
    image
        What was shown, (h, w), in colour (C, h, w).
    every_frame
        Whether to keep the raw frame of every image, or of every hundredth.
    """
    frame = {"frame": shot.frame}
    return lab.record(
        group,
        frame if not every_frame and index % EVERY == 0 else None,
        tiles=shot.tiles,
        image=index,
        shown=np.array(image, np.float32),
        saturated_px=shot.saturated_px,
        taken_s=shot.taken_s,
        **{TAKEN: datetime.fromisoformat(shot.taken_utc).timestamp()},
        from_run=0,
        **(frame if every_frame else {}),
    )


def captured_with(lab: "Lab", calibration: Calibration, optics: str, group: str) -> None:
    """Write down, before a group's first capture, what its captures hold for."""
    file = calibration_file(lab, calibration)
    before = lab.run_record.record.captured_with
    hashed = before.calibration_sha256 if before and before.calibration == file.name else sha256_of(file)
    if before is None:
        lab.run_record.change(
            captured_with=CapturedWith(optics=optics, calibration=file.name, calibration_sha256=hashed, groups=[group])
        )
    elif (before.optics, before.calibration) == (optics, file.name) and group not in before.groups:
        lab.run_record.change(captured_with=before.model_copy(update={"groups": [*before.groups, group]}))


def calibration_file(lab: "Lab", calibration: Calibration) -> Path:
    """Give the file of a calibration in the run's folder; it is written when it is first asked for."""
    for kept, file in lab.calibrations:
        if kept is calibration:
            return file
    number = len(lab.calibrations) + 1
    file = lab.run_record.folder / ("calibration.h5" if number == 1 else f"calibration-{number}.h5")
    calibration.save(file)
    lab.calibrations.append((calibration, file))
    return file


def optics_hash(*arrays: NDArray[Any]) -> str:
    """Hash what a frontend was told to be: its phase pattern, the PSFs that are expected of it."""
    digest = sha256()
    for array in arrays:
        digest.update(f"{array.shape} {array.dtype};".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
