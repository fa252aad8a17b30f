"""A trained network and the bench it stands on: how it is stored, found again, captured through and released."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from labonn.capture import Calibration, Calibrator, Pattern, ready_for_captures
from labonn.compensation import Lecture
from labonn.data import DataSet, Split, load
from labonn.design import Design, Layout, lay_out
from labonn.errors import CalibrationError, ConfigError, RecordError
from labonn.networks import Student, make_teacher
from labonn.optics import PhaseSolution, signed_maps
from labonn.protocol.capturing import calibration_file, capture_group, optics_hash
from labonn.protocol.trained import tensors
from labonn.records import (
    Release,
    current_release,
    load_model,
    make_release,
    read_kept,
    read_release,
    save_model,
    set_current_release,
)
from labonn.records.disk import plain
from labonn.report import figures
from labonn.training import Teaching
from labonn.training.model import kernel_outputs_of

if TYPE_CHECKING:
    from labonn.protocol.lab import Lab

SERIAL = "serial_number"  # in a bench file's and a release's [optic]
PROBE_IMAGES = 8  # to fit each tile's gain and background on


@dataclass(frozen=True)
class Deployment:
    """A trained network as it stands on a bench."""

    model: str  # its id in the laboratory
    design: Design
    data: DataSet
    teacher: nn.Module
    student: Student
    psf_target: NDArray[np.float32]  # (T, [C,] taps, taps)
    # Where an SLM shows its kernels; a fixed optic has them in itself.
    pattern_rad: NDArray[np.float32] | None = None  # (H, W) of the SLM
    psf_realised: NDArray[np.float32] | None = None  # (T, taps, taps), as the search for the pattern expects them
    psf_correlation: NDArray[np.float32] | None = None  # (T,)

    @property
    def layout(self) -> Layout:
        """Where its sub-apertures stand."""
        return lay_out(self.design.optic)

    @property
    def optics(self) -> str:
        """Hash of what the frontend is told to be: captures of one model are not those of another."""
        told = (self.psf_target,) if self.pattern_rad is None else (self.pattern_rad, self.psf_target)
        return optics_hash(*told)

    def lecture(self, cache: Path, say: Callable[[str], None] = lambda text: None) -> Lecture:
        """The training set, and what the teacher says of it; its answers and its kernel are kept in the cache.

        The kernel is computed when it is first asked for, in colour for many minutes; `say` is told how far it is.
        """
        images, labels = self.training_images(), torch.from_numpy(self.data.train.labels)
        outputs = kernel_outputs_of(self.design)
        teaching = Teaching(
            self.teacher, images, labels, batch=self.design.training.batch, cache=cache, say=say, outputs=outputs
        )
        training = self.design.training
        return Lecture(images, teaching, self.student, training.overlap_weight, augmented=training.augments)

    def training_images(self) -> Tensor:
        """The training set's images, (N, C, H, W)."""
        return torch.from_numpy(self.data.train.images)

    def ideal_tiles(self, images: Tensor) -> Tensor:
        """The optical maps (N, T, [C,] H, W) that the student expects of images (N, C, H, W)."""
        with torch.no_grad():
            return self.student.frontend.ideal_tiles(images)

    def maps_of(self, tiles: Tensor) -> Tensor:
        """The feature maps (N, M, H, W) that the backend reads, of tiles (N, T, [C,] H, W)."""
        return self.student.frontend.maps_of(tiles)

    def calibrator(self, lab: "Lab") -> Calibrator:
        """Give the laboratory's calibrations of the bench, for this network."""
        probes = self.data.train.images[:PROBE_IMAGES]
        pattern = Pattern(
            self._pattern_for(lab), pictures_of(probes), self.ideal_tiles(torch.from_numpy(probes)).numpy()
        )
        shape = (probes.shape[2], probes.shape[3])
        return Calibrator(lab.bench, lab.folder, lab.run_record.id, self.layout, shape, pattern)

    def calibrate(self, lab: "Lab") -> Calibration:
        """Make the bench ready for this network, with what is kept where it holds; its pattern is on the SLM then.

        Which calibrations were used, and why any was made, goes into the run's record.

        A run that continues a lost one goes on with its calibration, if a look at the bench says that it still holds.

        Raises
        ------
        CalibrationError, InstrumentError
            As `labonn.capture.ready_for_captures` does.
        """
        earlier = lab.continuation.calibration(lab, self.optics, self._pattern_for(lab))
        if earlier is not None:
            return earlier
        with lab.step("calibrating") as step:
            calibration, used = ready_for_captures(self.calibrator(lab), step.say)
        lab.table("Calibrations", [one.as_row() for one in used])
        lab.note("calibrations", {one.kind: one.id for one in used})
        return calibration

    def as_used(self, lab: "Lab", release: Release) -> Calibration:
        """Put the bench into the state in which a release is used: its pattern, and the latest calibration made for it.

        That is the one that was kept last, by a recalibration that was refused, too; or the release's own where none
        that is kept fits. Nothing is measured anew, so whatever has changed on the bench since shows in the maps.

        Raises
        ------
        RecordError
            If there is neither.
        CalibrationError, InstrumentError
            If its file is damaged, or the SLM fails.
        """
        calibrator = self.calibrator(lab)  # puts the kept phase table into use
        calibration = calibrator.kept_for_captures()
        if calibration is None:
            if release.calibration is None:
                raise RecordError(f"release {release.id} has no calibration, and none is kept: recalibrate")
            calibration = Calibration.load(release.file(release.calibration))
        self.show(lab)
        return calibration

    def show(self, lab: "Lab") -> None:
        """Put its pattern on the SLM, where there is one.

        Raises
        ------
        ConfigError
            If there is one, and the network has no pattern.
        """
        pattern_rad = self._pattern_for(lab)
        if pattern_rad is not None:
            lab.bench.slm.show(pattern_rad)

    def _pattern_for(self, lab: "Lab") -> NDArray[np.float32] | None:
        """Its pattern for the bench's SLM; None where the optic is fixed."""
        if lab.bench.has_slm == (self.pattern_rad is not None):
            return self.pattern_rad
        kinds = ("a fixed optic", "an SLM")
        raise ConfigError(
            f"{lab.bench_path}: bench {lab.bench_config.name!r} has {kinds[lab.bench.has_slm]}, and model {self.model}"
            f" was deployed for a bench with {kinds[not lab.bench.has_slm]}: deploy it here"
            f" (labonn run train_and_deploy {lab.bench_path} --set model=MODEL)"
        )

    def capture(
        self, lab: "Lab", group: str, images: NDArray[np.float32], calibration: Calibration, *, keep_frames: bool = True
    ) -> Tensor:
        """Show images (N, C, H, W), and give what the optics made of them: tiles (N, T, [C,] H, W), all recorded.

        Of captures for fitting and validation every raw frame is kept; without `keep_frames`, as for an evaluation,
        every hundredth. What a lost run captured already is taken over.

        Raises
        ------
        CalibrationError, InstrumentError
            As `labonn.capture.capture` does.
        """
        tiles = capture_group(lab, group, pictures_of(images), calibration, self.optics, keep_frames=keep_frames)
        return torch.from_numpy(tiles)

    def draw(self, lab: "Lab", calibration: Calibration, group: str) -> None:
        """Put layout, pattern, PSFs, and the first frame of a group of captures into the report."""
        frame = read_kept(lab.frames_path, group, stop=1)[1][0]
        frame = frame if frame.ndim == 2 else frame[len(frame) // 2]  # of colours one after another, the middle one
        lab.figure("layout", figures.layout(self.layout), "Where the sub-apertures stand on the optic.")
        if self.pattern_rad is not None and self.psf_realised is not None and self.psf_correlation is not None:
            psfs = (self.psf_target, self.psf_realised, self.psf_correlation)
            lab.figure("phase pattern", figures.phase_pattern(self.pattern_rad), "What the SLM shows.")
            lab.figure(
                "point spread functions",
                figures.psf_pairs(*psfs),
                "What was asked of the pattern, and what it should give.",
            )
        else:
            with torch.no_grad():
                signed = signed_maps(self.student.frontend.kernels()[None])[0].numpy()
            lab.figure(
                "point spread functions",
                figures.kernels(signed, self.psf_target),
                "What is subtracted, and below it the two halves that the optic was made for, turned by 180 degrees.",
            )
        lab.figure(
            "a frame and its tiles",
            figures.frame_with_tiles(frame, calibration.tile_outlines_px()),
            f"One image through every sub-aperture: the first of the captures called {group!r}.",
        )

    def release(
        self,
        lab: "Lab",
        backend: nn.Module,
        calibration: Calibration,
        measured: Mapping[str, Any],
    ) -> str:
        """Release a backend for this network on this bench, and let the bench use it from now on; gives its id."""
        release = make_release(
            lab.folder,
            bench=lab.bench_config.name,
            run=lab.run_record.id,
            optic={"design": self.design.name, **plain(lab.bench_config.optic or {})},
            model=self.model,
            backend=backend.state_dict(),
            figures=measured,
            calibration=calibration_file(lab, calibration),
        )
        set_current_release(lab.folder, lab.bench_config.name, release.id)
        lab.released = release.id
        return release.id


def cache_of(lab: "Lab") -> Path:
    """Where the laboratory keeps what can be computed again."""
    return lab.folder / "cache"


def pick(split: Split, count: int, seed: int) -> NDArray[np.int64]:
    """Choose images of a split at random, without repetition; all of them if there are not as many."""
    return np.random.default_rng(seed).permutation(len(split))[:count]


def store(
    lab: "Lab",
    design: Design,
    teacher: nn.Module,
    student: Student,
    solution: PhaseSolution | None,
    description: Mapping[str, Any],
) -> str:
    """Keep a trained network in the laboratory, with its pattern where an SLM shows it, and give its id."""
    with torch.no_grad():
        arrays = {"psf_target": student.frontend.psfs()}
    if solution is not None:
        arrays = {
            "pattern_rad": solution.pattern_rad,
            "psf_target": solution.target,
            "psf_realised": solution.realised,
            "psf_correlation": solution.correlation,
        }
    return save_model(
        lab.folder,
        design=design.name,
        bench=lab.bench_config.name,
        run=lab.run_record.id,
        weights={"teacher": teacher.state_dict(), "student": student.state_dict()},
        arrays=arrays,
        description={"design": design.model_dump(mode="json", by_alias=True), **description},
    )


def describe(lab: "Lab", model: str) -> dict[str, Any]:
    """Give what was said of a trained network when it was stored."""
    return dict(load_model(lab.folder, model).description)


def trained_before(lab: "Lab", design: Design, origin: Mapping[str, Any] | None = None) -> str | None:
    """Give the model of the lost run that is continued: what it had trained need not be trained again.

    None where there is no such run, or the design is another now, or what it was made from.
    """
    for run in lab.continuation.runs:
        model = run.record.notes.get("model")
        if isinstance(model, str):
            try:
                description = describe(lab, model)
            except RecordError as error:
                lab.say(f"what run {run.record.id} had trained is trained again: {error}")
                return None
            same_origin = description.get("trained_as") == (origin or {}).get("trained_as")
            if same_origin and description["design"] == design.model_dump(mode="json", by_alias=True):
                lab.say(f"model {model} was trained by run {run.record.id} and is used as it is")
                return model
    return None


def load_deployment(lab_dir: Path, model: str) -> Deployment:
    """Read a trained network of a laboratory.

    Raises
    ------
    RecordError
        If it is missing or damaged.
    """
    stored = load_model(lab_dir, model)
    design = Design.model_validate(stored.description["design"])
    data = load(design.task)
    channels, height, width = data.train.images.shape[1:]
    teacher = make_teacher(design.teacher, (channels, height, width), len(data.classes))
    student = Student(design, (channels, height, width), len(data.classes))
    teacher.load_state_dict(tensors(stored.weights["teacher"]))
    student.load_state_dict(tensors(stored.weights["student"]))
    return Deployment(model, design, data, teacher.eval(), student.eval(), **stored.arrays)


def load_released(lab_dir: Path, release: Release) -> tuple[Deployment, nn.Module]:
    """Read what a release stands for: its network, and its backend; the student stays as it was trained.

    Raises
    ------
    RecordError
        If any of it is missing or damaged.
    """
    deployment = load_deployment(lab_dir, release.model)
    backend = copy.deepcopy(deployment.student.backend)
    backend.load_state_dict(tensors(release.backend()))
    return deployment, backend.eval()


def backend_of(lab_dir: Path, release_id: str | None, model: str) -> nn.Module | None:
    """The backend of a release, if it is intact and of this model: only then do both read the same optics."""
    try:
        release = None if release_id is None else read_release(lab_dir, release_id)
    except RecordError:
        return None
    return load_released(lab_dir, release)[1] if release is not None and release.model == model else None


def in_use(lab: "Lab") -> tuple[Release, Deployment, nn.Module]:
    """What is released on the bench: the release, its network, and the released backend.

    Raises
    ------
    RecordError
        If nothing was released on this bench yet, or it is damaged.
    CalibrationError
        If the bench has another optic than the one it was released for.
    """
    bench = lab.bench_config.name
    release = current_release(lab.folder, bench)
    if release is None:
        raise RecordError(
            f"nothing is released on bench {bench!r} in {lab.folder}: "
            f"train and deploy a network first (labonn run train_and_deploy {lab.bench_path}), "
            "or name the laboratory's folder with --lab"
        )
    optic = None if lab.bench_config.optic is None else lab.bench_config.optic.serial_number
    if None not in (optic, release.optic.get(SERIAL)) and optic != release.optic[SERIAL]:
        raise CalibrationError(
            f"release {release.id} was made for the optic {release.optic[SERIAL]!r}, but {lab.bench_path} says that "
            f"{optic!r} is on bench {bench!r}: put the optic back, correct the file, or train and deploy for this one"
        )
    lab.note("in use", {"release": release.id, "model": release.model})
    return release, *load_released(lab.folder, release)


def pictures_of(images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Images (N, C, H, W) as captures take them: (N, H, W) where they are grey."""
    return images[:, 0] if images.shape[1] == 1 else images
