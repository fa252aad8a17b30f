"""Going on where a lost run's captures ended, if the bench still is what it was then."""

import shutil
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from labonn.capture import Calibration, CaptureCounts, capture
from labonn.capture.sameness import Sameness, compare
from labonn.errors import CalibrationError, InstrumentError, InterlockTripped, RecordError
from labonn.protocol.capturing import record_shot
from labonn.records import kept_names, read_frames, read_kept
from labonn.records.disk import sha256_of, sync_file, sync_folder
from labonn.records.earlier import EarlierRun
from labonn.records.frame_table import ROW

if TYPE_CHECKING:
    from labonn.protocol.lab import Lab

CHECK = "check-before-continuing"
"""The group of frames that were captured again to see whether the bench is the same."""
_CHECKED = 6  # images, each captured twice
_BLOCK_ROWS = 16

Floats = NDArray[np.float32]


class Continuation:
    """What earlier runs captured, and this one need not capture again.

    Parameters
    ----------
    runs
        The run to continue, and those before it with the same calibration, the latest first; none mostly.
    """

    def __init__(self, runs: Sequence[EarlierRun] = ()) -> None:
        self._runs = tuple(runs)
        self._calibration: Calibration | None = None
        self._asked = False

    @property
    def runs(self) -> tuple[EarlierRun, ...]:
        """The runs whose captures may be taken over."""
        return self._runs

    def calibration(self, lab: "Lab", optics: str, pattern_rad: Floats | None) -> Calibration | None:
        """Give the calibration of the run that is continued, if a look at the bench says that it still holds.

        A few of the images are captured again, twice, and compared with what was recorded of them. The phase pattern
        is on the SLM afterwards. Only a run's first calibration can be an old one: who asks again wants a new one.

        Parameters
        ----------
        lab
            The laboratory.
        optics
            What the frontend is told to be now, as `optics_hash` gives it.
        pattern_rad
            Its phase pattern, (H, W) of the SLM; None where the optic is fixed.

        Raises
        ------
        InterlockTripped, RecordError
            If that happens; a bench that cannot capture the images any more has changed, and is no error.
        """
        if not self._runs or self._asked:
            return None
        self._asked = True
        latest = self._runs[0]
        try:
            calibration = _load(latest)
            why_not = _unfit(lab, latest, optics, calibration)
            found = None if why_not else self._look_again(lab, calibration, pattern_rad)
        except (CalibrationError, RecordError) as error:
            why_not, found = str(error), None
        except InterlockTripped:
            raise
        except InstrumentError as error:
            why_not, found = f"its images cannot be captured as they were then: {error}", None
        if found is not None and not found.same:
            why_not = f"the bench has changed since: {found}"
        if why_not:
            lab.say(f"run {latest.record.id} is not continued, everything is captured anew: {why_not}")
            lab.note("not continued", {"run": latest.record.id, "because": why_not})
            self._runs = ()
            return None
        lab.say(f"run {latest.record.id} is continued: {found}")
        lab.note("continued", {"run": latest.record.id, "bench": str(found)})
        _copy(latest.folder / latest.captured_with.calibration, lab.run_record.folder / "calibration.h5")
        lab.calibrations.append((calibration, lab.run_record.folder / "calibration.h5"))
        self._calibration = calibration
        originals = [name for run in self._runs for name in (run.record.id, *run.record.continues)]
        lab.run_record.change(continues=list(dict.fromkeys(originals)))
        return calibration

    def take_over(
        self, lab: "Lab", group: str, images: Floats, calibration: Calibration, tiles: Floats
    ) -> NDArray[np.bool_]:
        """Record again, in this run's file, what earlier runs captured of these images.

        Parameters
        ----------
        lab, group, images, calibration
            As in `capture_group`.
        tiles
            Is filled with their maps, (N, T, h, w).

        Returns
        -------
        Which images need not be captured, (N,); they are acknowledged.
        """
        known = np.zeros(len(images), bool)
        if self._calibration is not calibration:
            return known
        wanted: list[tuple[int, int, int]] = []  # image, run, row
        for number, run in enumerate(self._runs):
            if not run.counts.get(group):
                continue
            rows = read_frames(run.frames, group, ["image", "shown"])
            for row, (image, shown) in enumerate(zip(rows["image"], rows["shown"], strict=True)):
                if 0 <= image < len(images) and not known[image] and np.array_equal(shown, images[image]):
                    known[image] = True
                    wanted.append((int(image), number, row))
        for number, first, last in _blocks(sorted(wanted)):
            run = self._runs[number]
            rows = read_frames(run.frames, group, start=first, stop=last)
            rows["from_run"] = self._origins(lab, run, rows["from_run"])
            tiles[rows["image"]] = rows["tiles"]
            lab.record_all(group, _seldom(run.frames, group, first, last), **rows)
            lab.checkpoint()
        lab.flush()
        if wanted:
            lab.say(f"{group}: {len(wanted)} of {len(images)} captures are taken over")
            lab.note(f"taken over: {group}", {"captures": len(wanted), "of": len(images)})
        return known

    def _origins(self, lab: "Lab", run: EarlierRun, from_run: NDArray[Any]) -> NDArray[np.int64]:
        """Number the runs that took the captures as this run's record lists them, from 1."""
        names = [run.record.id, *run.record.continues]
        continues = lab.run_record.record.continues
        return np.array([1 + continues.index(names[origin]) for origin in from_run], np.int64)

    def _look_again(self, lab: "Lab", calibration: Calibration, pattern_rad: Floats | None) -> Sameness:
        before = self._some_captures()
        # A display has settled to 99 %: what was shown before a frame is in it, and is shown again, too.
        pictures = np.stack([before["shown_before"], before["shown"]], axis=1).reshape(-1, *calibration.picture_shape)
        registration, again = lab.registration(calibration), []
        with lab.step("seeing whether the bench is the same", total=2 * len(pictures)) as step:
            if pattern_rad is not None:
                lab.bench.slm.show(pattern_rad)
            both = np.concatenate([pictures, pictures])
            for shot in capture(lab.bench, both, registration, keep_frames=True, counts=CaptureCounts()):
                if shot.index % 2:
                    image = int(before["image"][shot.index // 2 % len(before["image"])])
                    record_shot(lab, CHECK, image, both[shot.index], shot)
                    again.append(shot.tiles)
                step.advance()
        maps = np.stack(again).reshape(2, *before["tiles"].shape)
        return compare(before["tiles"], maps, calibration.background / calibration.gain)

    def _some_captures(self) -> dict[str, NDArray[Any]]:
        """Choose captures evenly over all there are, the last one among them, with what was shown before each."""
        places = [
            (run, group, row)
            for run in reversed(self._runs)
            for group, count in run.counts.items()
            for row in range(count)
        ]
        chosen = np.unique(np.linspace(0, len(places) - 1, min(_CHECKED, len(places))).round().astype(int))
        found = []
        for run, group, row in (places[place] for place in chosen):
            rows = read_frames(
                run.frames, group, ["image", "shown", "tiles", "from_run"], start=max(0, row - 1), stop=row + 1
            )
            image, origin = rows["image"], rows["from_run"]
            # Every capture begins with black, also where a group is captured in several goes.
            after_black = len(image) == 1 or origin[0] != origin[1] or image[1] != image[0] + 1
            shown_before = np.zeros_like(rows["shown"][0]) if after_black else rows["shown"][0]
            found.append(
                {"shown_before": shown_before, **{name: rows[name][-1] for name in ("image", "shown", "tiles")}}
            )
        return {name: np.stack([one[name] for one in found]) for name in found[0]}


def _load(run: EarlierRun) -> Calibration:
    file = run.folder / run.captured_with.calibration
    if file.is_file() and sha256_of(file) != run.captured_with.calibration_sha256:
        raise CalibrationError(f"{file}: was changed since the captures were made with it")
    return Calibration.load(file)


def _unfit(lab: "Lab", run: EarlierRun, optics: str, calibration: Calibration) -> str | None:
    """Say why captures cannot be those of this run, if that can be known without light."""
    if run.captured_with.optics != optics:
        return "its captures were made through another model's optics"
    if lab.bench.camera.shape != calibration.dark.shape:
        return f"its frames are {calibration.dark.shape} (H, W), the camera's are {lab.bench.camera.shape} now"
    return None


def _blocks(wanted: list[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    """Join rows that follow each other in a run's file: run, first row, end."""
    blocks = []
    for _, following in groupby(enumerate(wanted), key=lambda item: (item[1][1], item[1][2] - item[0])):
        places = [place for _, place in following]
        for start in range(0, len(places), _BLOCK_ROWS):
            block = places[start : start + _BLOCK_ROWS]
            blocks.append((block[0][1], block[0][2], block[-1][2] + 1))
    return blocks


def _seldom(frames: Path, group: str, first: int, last: int) -> dict[str, NDArray[Any]]:
    """Read what was kept of some of these rows only, with the rows counted from the first."""
    found: dict[str, NDArray[Any]] = {}
    for name in kept_names(frames, group):
        rows, _ = read_kept(frames, group, ROW)
        start, stop = np.searchsorted(rows, [first, last])
        if start < stop:
            found[name] = read_kept(frames, group, name, start=int(start), stop=int(stop))[1]
            found[ROW] = rows[start:stop] - first
    return found


def _copy(source: Path, target: Path) -> None:
    beside = target.with_name(target.name + ".partial")
    try:
        shutil.copyfile(source, beside)
        sync_file(beside)
        beside.replace(target)
        sync_folder(target.parent)
    except OSError as error:
        raise RecordError(f"{target}: cannot be written: {error.strerror or error}") from error
