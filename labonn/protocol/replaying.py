"""Captures of an earlier run, replayed: any method of compensation, without the bench."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from labonn.compensation import Answers
from labonn.data import Split
from labonn.errors import RecordError
from labonn.protocol.compensating import Compensated, Steps, compensate
from labonn.protocol.deployment import Deployment, load_released, pictures_of
from labonn.protocol.validating import answer
from labonn.records import RunRecord, read_frames, read_release, read_run
from labonn.records.runs import FRAMES

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Replayed:
    """What methods make of an earlier run's captures.

    Attributes
    ----------
    run
        The run's id.
    captures, validation_captures
        How many it had.
    fitted
        Twin and backends.
    answers
        How each backend does on the run's validation captures, by method.
    """

    run: str
    captures: int
    validation_captures: int
    fitted: Compensated
    answers: dict[str, Answers]


def replay(run_folder: Path, lab_dir: Path, methods: Sequence[str], show: Steps, *, seed: int = 0) -> Replayed:
    """Refit the twin to the captures of a recalibration and re-match by the methods that are named.

    Parameters
    ----------
    run_folder
        The run's.
    lab_dir
        Where its release and its model are.
    methods
        To re-match by; "none" is always compared.
    show
        Shows the steps.
    seed
        For everything random in the fit.

    Raises
    ------
    RecordError
        If the run has no captures for a fit and for validation, they are damaged, or they are captures of another
        design, bench, optic or data set than the release that was in use then.
    CalibrationError
        If the captures are no captures of their images.
    """
    record = read_run(run_folder)
    release_id = record.notes.get("in use", {}).get("release")
    if release_id is None:
        raise RecordError(
            f"run {record.id} ({record.protocol}) has no captures to compensate from: name the run of a recalibration"
        )
    release = read_release(lab_dir, release_id)
    network, backend = load_released(lab_dir, release)
    _check(record, release.bench, release.optic, network)
    fit_images, fit_tiles = _captures(run_folder, "fit", network)
    images, tiles = _captures(run_folder, "validation", network)
    shown = _places(record.id, fit_images, network.data.train)
    unseen = network.data.validation.take(_places(record.id, images, network.data.validation))
    with show("preparing the teacher's answers", None):
        lecture = network.lecture(lab_dir / "cache")
    fitted = compensate(show, backend, lecture, shown, torch.from_numpy(fit_tiles), methods, seed=seed, releasing=False)
    maps = network.maps_of(torch.from_numpy(tiles))
    answers = answer(fitted.backends, maps, unseen.labels)
    return Replayed(record.id, len(shown), len(unseen), fitted, answers)


def _check(record: RunRecord, bench: str, optic: dict[str, object], network: Deployment) -> None:
    serial, released_for = (record.optic or {}).get("serial_number"), optic.get("serial_number")
    wrong = None
    if record.bench != bench:
        wrong = f"bench {record.bench!r}; the release was made for {bench!r}"
    elif None not in (serial, released_for) and serial != released_for:
        wrong = f"the optic {serial!r}; the release was made for {released_for!r}"
    elif record.captured_with is None:
        wrong = "no captures"
    elif record.captured_with.optics != network.optics:
        wrong = f"another phase pattern or kernels than those of model {network.model}"
    if wrong is not None:
        raise RecordError(f"run {record.id} has {wrong}: its captures say nothing about this backend")


def _captures(run_folder: Path, group: str, network: Deployment) -> tuple[Floats, Floats]:
    """Images (n, [C,] H, W) that were shown, and the tiles (n, T, [C,] H, W) that were captured of them."""
    rows = read_frames(run_folder / FRAMES, group, ["shown", "tiles"])
    shown, tiles = rows["shown"], rows["tiles"]
    expected = (network.design.optic.sub_apertures, *pictures_of(network.data.train.images).shape[1:])
    if not len(tiles) or tiles.shape[1:] != expected:
        raise RecordError(
            f"{run_folder / FRAMES}: {group}: {len(tiles)} captures of {tiles.shape[1:]} (tiles, [colours,] height,"
            f" width); the design {network.design.name!r} has {expected}"
        )
    return shown, tiles


def _places(run: str, images: Floats, split: Split) -> NDArray[np.int64]:
    """Where the images stand in a split of the data set."""
    place_of = {image.tobytes(): place for place, image in enumerate(pictures_of(split.images))}
    try:
        return np.array([place_of[image.tobytes()] for image in images], np.int64)
    except KeyError:
        raise RecordError(
            f"run {run} has captures of images that its data set does not have: has LABONN_DATA changed since?"
        ) from None
