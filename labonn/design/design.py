"""The design file: everything that is decided before training."""

from math import floor
from typing import Literal, Self

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, field_validator, model_validator

from labonn.config import Frozen
from labonn.errors import ConfigError

Task = Literal["digits", "mnist", "cifar10", "carvana"]
_MASKS: tuple[Task, ...] = ("carvana",)  # of whose images each pixel has a class
# Height and width of an image, and how many classes there are, as the data sets of the tasks have them.
_IMAGES: dict[Task, tuple[tuple[int, int], int]] = {
    "digits": ((28, 28), 10),
    "mnist": ((28, 28), 10),
    "cifar10": ((32, 32), 10),
    "carvana": ((64, 96), 2),
}
LEAST_DITHER = 0.4  # EMVA 1288 release 4.0: below 0.24 DN^2 of temporal noise, rounding is no noise of its own
Method = Literal["none", "kd", "rkd", "fitnet", "ntkd", "ntkd+kd"]


class Optic(Frozen):
    """The area that light passes, and how kernels share it."""

    kind: Literal["trained", "random", "lens"] = Field(
        "trained", description="kernels learnt with the backend; drawn once; or none: one plain lens"
    )
    aperture_mm: tuple[PositiveFloat, PositiveFloat]  # height, width
    kernel_mm: PositiveFloat = Field(description="side of the square sub-aperture that realises half a signed kernel")
    spacing_mm: NonNegativeFloat = Field(0.0, description="least edge-to-edge distance of sub-apertures")
    taps: int = Field(7, ge=1, le=31, description="a kernel is taps x taps")
    kernels: PositiveInt = Field(8, description="signed kernels; each takes two sub-apertures")
    wavelengths_nm: tuple[PositiveFloat, ...] = Field(
        (532.0,), min_length=1, max_length=3, description="of the image's channels, in their order"
    )
    bandwidth_nm: NonNegativeFloat = Field(1.0, description="full width of the light's spectrum about each wavelength")
    colours: Literal["summed", "separate"] = Field(
        "summed", description="whether the backend reads one map a kernel, summed over the colours, or one a colour"
    )
    pairs: Literal["balanced", "free"] = Field(
        "balanced", description="whether the halves of a signed kernel gather the same light, so that white cancels"
    )

    @field_validator("taps")
    @classmethod
    def _odd(cls, taps: int) -> int:
        if taps % 2 == 0:
            raise ValueError("taps must be odd, so that a kernel has a centre")
        return taps

    @model_validator(mode="after")
    def _a_lens_has_no_kernels(self) -> Self:
        if self.kind == "lens" and (self.kernels, self.taps) != (1, 1):
            raise ValueError('kind = "lens": a plain lens is one kernel of one tap: set kernels = 1 and taps = 1')
        return self

    @property
    def sub_apertures(self) -> int:
        """How many sub-apertures its kernels take: two each, but a lens is one."""
        return 1 if self.kind == "lens" else 2 * self.kernels

    @property
    def maps(self) -> int:
        """How many feature maps the backend reads."""
        return self.kernels * (len(self.wavelengths_nm) if self.colours == "separate" else 1)

    def grid(self) -> tuple[int, int]:
        """How many sub-apertures fit, as (rows, columns); both at least one."""
        period_mm = self.kernel_mm + self.spacing_mm
        rows, columns = (floor((side_mm + self.spacing_mm) / period_mm + 1e-9) for side_mm in self.aperture_mm)
        if not rows or not columns:
            raise ConfigError(
                f"a sub-aperture of {self.kernel_mm} mm does not fit an optic of {self.aperture_mm[0]} x "
                f"{self.aperture_mm[1]} mm: make [optic] kernel_mm smaller or aperture_mm larger"
            )
        return rows, columns


class Backend(Frozen):
    """The digital part: pooling and fully connected layers; or up-convolutions, for segmentation."""

    kind: Literal["mlp", "upconv"] = "mlp"
    pool: int = Field(4, ge=1, description="average pooling of each feature map, in taps; 1 for up-convolutions")
    hidden: PositiveInt | tuple[PositiveInt, ...] = Field(
        120,
        description="width of the hidden layer, or of each of them, of up-convolutions at full size, at half, ...;"
        " [] for a single layer",
    )
    scales: tuple[PositiveInt, ...] = Field(
        (), description="of up-convolutions: kernels read at full size, at half, ...; all at full size if not given"
    )

    @model_validator(mode="after")
    def _scales_are_those_of_up_convolutions(self) -> Self:
        if self.kind == "upconv" and self.pool != 1:
            raise ValueError(f"pool = {self.pool}: up-convolutions read the maps as they are; set pool = 1")
        if self.kind == "mlp" and self.scales:
            raise ValueError('scales: only kind = "upconv" reads maps at several scales')
        if len(self.scales) > len(self.widths):
            raise ValueError(
                f"scales has {len(self.scales)} values, but hidden only {len(self.widths)}: a width for each scale"
            )
        return self

    @property
    def widths(self) -> tuple[int, ...]:
        """Widths of the hidden layers."""
        return (self.hidden,) if isinstance(self.hidden, int) else self.hidden


class Teacher(Frozen):
    """The electronic network that sees the raw images."""

    kind: Literal["lenet", "resnet", "unet"] = "lenet"
    width: PositiveInt = Field(32, description="channels of a resnet's or a unet's first layer")
    epochs: PositiveInt = 10
    batch: PositiveInt = 64
    learning_rate: PositiveFloat = Field(2e-3, description="the highest of its cycle")
    weight_decay: NonNegativeFloat = Field(0.0, description="decoupled; 0 for plain Adam")
    flips: bool = Field(False, description="mirror half of the images, and shift each by itself, not the whole batch")


class Training(Frozen):
    """How teacher's knowledge reaches the student in simulation: loss = task + beta NTKD + gamma KD."""

    method: Method = "ntkd"
    epochs: PositiveInt = 20
    batch: PositiveInt = Field(128, ge=2)
    learning_rate: PositiveFloat = Field(2e-3, description="of the backend, the highest of its cycle")
    optics_learning_rate: PositiveFloat = Field(5e-3, description="of the kernels, the highest of its cycle")
    ntkd_weight: NonNegativeFloat = Field(1.0, description="beta: weight of the NTK matching loss")
    kd_weight: NonNegativeFloat = Field(
        0.7, description="gamma: weight of Hinton's distillation, where the method has it"
    )
    overlap_weight: NonNegativeFloat = Field(
        0.0, description="where each pixel has a class, weight of the soft overlap beside the task's cross-entropy"
    )
    rkd_weight: NonNegativeFloat = Field(25.0, description="of the distances; the angles weigh twice as much")
    hint_share: float = Field(0.25, ge=0, lt=1, description="part of the steps of fitnet in which only the hint counts")
    kernel_of: Literal["logits", "softmax"] = Field(
        "logits", description="whose kernel is matched; a backend of a single layer needs softmax"
    )
    kernel_readouts: PositiveInt | None = Field(
        None,
        description="how many random combinations of the logits have their kernel matched, for teachers whose kernel of"
        " all of them takes too long; all logits if not given, 2 where each pixel has some",
    )
    kernel_every: PositiveInt = Field(
        1, description="kernels are matched in every so many steps, and weigh as much more then"
    )
    weight_decay: NonNegativeFloat = Field(0.0, description="decoupled, of the backend; 0 for plain Adam")
    flips: bool = Field(False, description="mirror half of the images of each batch")
    shift_px: int = Field(0, ge=0, description="move each image by up to so many pixels, both axes")

    teacher_sees: Literal["views", "images"] = Field(
        "views", description="what the teacher is asked about: flipped and shifted, in each step, or once as they are"
    )

    @property
    def live(self) -> bool:
        """Whether the teacher is asked in each step."""
        return self.augments and self.teacher_sees == "views"

    @property
    def augments(self) -> bool:
        """Whether the student sees other images in each epoch."""
        return self.flips or self.shift_px > 0


class Sensor(Frozen):
    """The sensor that training assumes: what the bench's data sheet says, not what the bench really does."""

    full_well_e: PositiveFloat = Field(10_000.0, description="electrons at which a pixel saturates")
    fill: float = Field(0.5, gt=0, le=1, description="part of the full well that the brightest tile reaches")
    read_noise_e: NonNegativeFloat = 5.0
    pixels_per_tap: PositiveFloat = Field(
        50.0, description="camera pixels that are summed into one tap; of the rarest colour"
    )
    bits: int | None = Field(None, ge=1, le=16, description="of the camera's numbers; not modelled if not given")

    @model_validator(mode="after")
    def _noise_covers_the_steps(self) -> Self:
        if self.read_noise_e < LEAST_DITHER * self.step_e:
            raise ValueError(
                f"bits = {self.bits}: a step of {self.step_e:.3g} electrons is more than {1 / LEAST_DITHER:g} times"
                f" the read noise of {self.read_noise_e:g}, so that its rounding is no noise any more: more bits"
            )
        return self

    @property
    def step_e(self) -> float:
        """Electrons between two neighbouring numbers of the camera; 0 where they are not modelled."""
        return 0.0 if self.bits is None else self.full_well_e / 2**self.bits


class Design(Frozen):
    """A hybrid optical network: its optic, the sensor it is trained for, its backend, its teacher, its training."""

    schema_: Literal[1] = Field(alias="schema")
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")
    task: Task
    exposures: PositiveInt = Field(1, description="frames that one image takes")
    max_parameters: PositiveInt | None = Field(None, description="that the student may have, optics included")
    optic: Optic
    sensor: Sensor = Sensor()
    backend: Backend = Backend()
    teacher: Teacher = Teacher()
    training: Training = Training()

    @model_validator(mode="after")
    def _its_parts_are_for_its_task(self) -> Self:
        kinds = ("upconv", ("unet",)) if self.task in _MASKS else ("mlp", ("lenet", "resnet"))
        if self.backend.kind != kinds[0] or self.teacher.kind not in kinds[1]:
            raise ValueError(
                f'task = "{self.task}" needs [backend] kind = "{kinds[0]}", not "{self.backend.kind}", and [teacher]'
                f' kind = "{" or ".join(kinds[1])}", not "{self.teacher.kind}"'
            )
        scales = self.backend.scales
        if scales and sum(scales) != self.optic.kernels:
            raise ValueError(
                f"[backend] scales = {list(scales)} are {sum(scales)} kernels, but [optic] has {self.optic.kernels}"
            )
        if scales and self.optic.maps != self.optic.kernels:
            raise ValueError('[backend] scales: kernels of several scales need [optic] colours = "summed"')
        if self.task in _MASKS and self.training.shift_px and self.training.teacher_sees == "images":
            raise ValueError('[training] shift_px: of shifted masks, a teacher has to be asked: teacher_sees = "views"')
        return self

    @property
    def measure(self) -> str:
        """By what its students are judged, in per cent: ``accuracy``, or of masks ``miou``."""
        return "miou" if self.task in _MASKS else "accuracy"

    @property
    def image_shape(self) -> tuple[int, int]:
        """Height and width of an image, in pixels, which are taps."""
        return _IMAGES[self.task][0]

    @property
    def classes(self) -> int:
        """How many logits the backend has; for segmentation, a pixel."""
        return _IMAGES[self.task][1]
