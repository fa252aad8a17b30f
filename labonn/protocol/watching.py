"""Watching a bench for drift: what a release expects of it, kept for its watches, and the chart of what they found."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from labonn.capture import light
from labonn.compensation import Expectation, Outlook, twin_of
from labonn.errors import RecordError
from labonn.protocol.deployment import Deployment
from labonn.records import Release, frame_counts, read_frames
from labonn.records.arrays import read_arrays, write_arrays
from labonn.records.disk import sync_file
from labonn.records.runs import FRAMES
from labonn.training.model import kernel_outputs_of

if TYPE_CHECKING:
    from labonn.protocol.lab import Lab

GROUPS = ("fit", "test", "validation")
"""Captures of the run that made a release, the first of which there are enough of are what it expects."""
MOST_CAPTURES = 64
FEWEST_CAPTURES = 8
LABELLED_IMAGES = 2000
"""On which a change is simulated; they are not captured."""
MOST_VALUES = 100_000_000
"""In the tiles of all of them, in memory: fewer images, where they are large or in colour."""


@dataclass(frozen=True)
class Reference:
    """What the watches of a release compare with.

    Attributes
    ----------
    outlook
        What changes would cost.
    ladder, still
        As `Outlook.ladder` and `Outlook.still` give them.
    """

    outlook: Outlook
    ladder: NDArray[np.float64]
    still: list[float]

    @property
    def images(self) -> NDArray[np.float32]:
        """The reference images, (n, C, H, W)."""
        return self.outlook.expectation.images.numpy()


def reference_of(lab: "Lab", release: Release, network: Deployment, backend: nn.Module, images: int) -> Reference:
    """Give what a release expects of the bench: what is kept of it, or, for its first watch, what its run captured.

    Parameters
    ----------
    lab
        The laboratory; its cache is where it is kept.
    release, network, backend
        What is in use.
    images
        How many reference images a watch shows.

    Raises
    ------
    RecordError
        If the run that made the release is not in this laboratory, or captured too little.
    """
    path = lab.folder / "cache" / f"reference-{release.id}-{images}.h5"
    if path.is_file():
        arrays = read_arrays(path)
        outlook = _outlook(Expectation.from_arrays(arrays), network, backend)
        return Reference(outlook, np.asarray(arrays["ladder"]), np.asarray(arrays["still"]).tolist())
    frontend = network.student.frontend
    with lab.step("what the release expects of the bench", total=frontend.colours) as step:
        shown, tiles = captures_of(lab.folder / "runs" / release.run, release.id)
        twin = twin_of(frontend, shown, tiles, on_colour=step.advance)
        expectation = Expectation.of(twin, shown[:images], tiles[:images])
        outlook = _outlook(expectation, network, backend)
    with lab.step("what changes would cost"):
        ladder = outlook.ladder()
        still = outlook.still(ladder)
    _keep(path, expectation, ladder, still)
    return Reference(outlook, ladder, still)


def captures_of(run_folder: Path, release: str) -> tuple[Tensor, Tensor]:
    """Images (n, C, H, W) that the run of a release showed, and the tiles (n, T, [C,] H, W) captured of them."""
    file = run_folder / FRAMES
    try:
        counts = frame_counts(file)
    except RecordError as error:
        raise RecordError(
            f"release {release} was made by run {run_folder.name}, whose captures say what it expects of the bench: "
            f"{error}; recalibrate, and watch the release that this makes"
        ) from error
    group = next((name for name in GROUPS if counts.get(name, 0) >= FEWEST_CAPTURES), None)
    if group is None:
        raise RecordError(
            f"{file}: has {counts}; {FEWEST_CAPTURES} captures of one of {', '.join(GROUPS)} are needed to watch "
            f"release {release}: recalibrate, and watch the release that this makes"
        )
    rows = read_frames(file, group, ["shown", "tiles"], stop=MOST_CAPTURES)
    shown = torch.from_numpy(rows["shown"])
    return shown if shown.ndim == 4 else shown[:, None], torch.from_numpy(rows["tiles"])


def light_power_mw(lab: "Lab") -> float | None:
    """Read the power meter in the light; None where the bench has none."""
    bench = lab.bench
    if bench.meter is None:
        return None
    with light(bench):
        return float(bench.meter.power_mw)


def _outlook(expectation: Expectation, network: Deployment, backend: nn.Module) -> Outlook:
    labelled = network.data.validation.spread(min(LABELLED_IMAGES, max(1, MOST_VALUES // expectation.then[0].numel())))
    return Outlook(
        expectation,
        backend,
        torch.from_numpy(labelled.images),
        labelled.labels,
        maps_of=network.maps_of,
        outputs=kernel_outputs_of(network.design),
    )


def _keep(path: Path, expectation: Expectation, ladder: NDArray[np.float64], still: Sequence[float]) -> None:
    beside = path.with_name(f"{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.unlink(missing_ok=True)
        write_arrays(beside, {**expectation.as_arrays(), "ladder": ladder, "still": np.asarray(still)})
        sync_file(beside)
        beside.replace(path)
    except OSError as error:
        raise RecordError(f"{path}: cannot be written: {error.strerror or error}") from error
