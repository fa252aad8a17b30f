"""The files that a simulated laboratory is made of: the bench's name and world, and the world's physics.

Each effect is a table with a key `on`. Units stand in the names. A key that is not known is refused.
"""

import tomllib
from pathlib import Path
from typing import Annotated, Literal, Self, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    model_validator,
)

from sim.effects import Effects
from sim.errors import SimulationError
from sim.fault_plan import FaultPlan
from sim.frozen import Frozen

Wavelength = Annotated[float, Field(ge=300.0, le=2000.0)]
BENCH_NAME = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"


class Slm(Frozen):
    """The phase modulator as its maker sells it."""

    shape: tuple[PositiveInt, PositiveInt]  # rows, columns
    pitch_um: PositiveFloat
    levels: int = Field(ge=2, le=255, description="the level that stands for 2 pi in the maker's table")


class FixedOptic(Frozen):
    """A phase mask that was made once and stands where an SLM could: the world has no panel for it."""

    pitch_um: PositiveFloat  # of the mask's own pixels
    masks: Path | None = None  # .npz, beside the world file: see `sim.masks`; without it, plain lenses


class Lenslets(Frozen):
    """The array of lenses behind the SLM or mask: one square sub-aperture each, on a grid about its centre."""

    grid: tuple[PositiveInt, PositiveInt]  # rows, columns
    pitch_px: PositiveInt  # SLM pixels from centre to centre
    aperture_px: int = Field(ge=8, le=1024, multiple_of=2)
    focal_mm: PositiveFloat

    @property
    def count(self) -> int:
        """How many sub-apertures there are."""
        return self.grid[0] * self.grid[1]


class Source(Frozen):
    """What lights the display."""

    wavelength_nm: Wavelength  # that lenslets and masks are made for; the only one, where there are no channels
    channels_nm: tuple[Wavelength, ...] = ()  # of a colour display: a wavelength for each of its planes
    white_e_per_ms: PositiveFloat  # photo-electrons per pixel where a white scene arrives without any loss

    @property
    def lines_nm(self) -> tuple[float, ...]:
        """One wavelength for each plane of the display."""
        return self.channels_nm or (self.wavelength_nm,)


class Display(Frozen):
    """The intensity display that is the scene. A colour display takes its planes one below another: (C H, W)."""

    shape: tuple[PositiveInt, PositiveInt]  # of one plane
    pixel_on_sensor_um: PositiveFloat  # one display pixel, as a lenslet images it


class Camera(Frozen):
    """The sensor and its electronics."""

    shape: tuple[PositiveInt, PositiveInt]
    pixel_um: PositiveFloat
    tile_pitch_um: PositiveFloat  # from the centre of one sub-aperture's picture to the next
    bit_depth: int = Field(ge=8, le=16)
    alignment: Literal["right", "left"] = "right"  # of the bits in 16
    gain_e_per_dn: PositiveFloat
    full_well_e: PositiveFloat
    black_dn: NonNegativeFloat
    exposure_ms: PositiveFloat  # until a client sets another
    readout_ms: NonNegativeFloat


class Shutter(Frozen):
    """The mechanical shutter in front of the display's light."""

    travel_ms: NonNegativeFloat  # a command to open or close takes this long


class Laser(Frozen):
    """What gives the source its light. Without this table the source is always on, and has no doors."""

    nominal_power_mw: PositiveFloat  # at which white is `source.white_e_per_ms`
    rated_power_mw: PositiveFloat  # what its maker sells it for; it can be set up to a tenth more
    response_ms: NonNegativeFloat  # time constant of its power after a command; off is at once
    warm_up_share: Annotated[float, Field(ge=0.0, le=0.5)] = 0.0  # of its power is missing while it is cold
    warm_up_s: PositiveFloat = 120.0  # time constant of warming up, and of cooling down
    emission_delay_s: NonNegativeFloat = 0.0  # between the command and the light, where the law wants one

    @property
    def most_mw(self) -> float:
        """The highest power that it can be set to."""
        return 1.1 * self.rated_power_mw

    @model_validator(mode="after")
    def _gives_its_nominal_power(self) -> Self:
        if self.nominal_power_mw > self.most_mw:
            raise ValueError(f"nominal_power_mw is more than 1.1 x rated_power_mw = {self.most_mw:g}")
        return self


class Meter(Frozen):
    """The power meter, at a beam splitter behind the shutter; it is calibrated to show what the laser gives."""

    noise_mw: NonNegativeFloat = 0.001  # standard deviation of a reading
    wavelength_nm: Annotated[float, Field(ge=400.0, le=1100.0)] = 635.0  # what its sensor is corrected for, until set


class Thermometer(Frozen):
    """The thermometer on the bench."""

    celsius: Annotated[float, Field(ge=-50.0, le=150.0)] = 21.5
    noise_celsius: NonNegativeFloat = 0.005
    swing_celsius: NonNegativeFloat = 0.0  # half of what lies between the warmest and the coldest of a period
    swing_h: PositiveFloat = 24.0


class Stage(Frozen):
    """The motorised stage that carries the camera; each axis stands somewhere in its travel when the world begins."""

    travel_um: PositiveFloat = 2_000.0  # about its reference
    reference_um: float = -130.0  # where that is, from where the axis stands at the beginning
    speed_um_per_s: PositiveFloat = 500.0


class WorldFile(Frozen):
    """The physics of one simulated laboratory."""

    schema_: Literal[1] = Field(alias="schema")
    seed: int = Field(ge=0, lt=2**32)
    slm: Slm | None = None
    optic: FixedOptic | None = None
    lenslets: Lenslets
    source: Source
    display: Display
    camera: Camera
    shutter: Shutter
    laser: Laser | None = None
    meter: Meter = Meter()
    thermometer: Thermometer = Thermometer()
    stage: Stage = Stage()
    faults: FaultPlan = FaultPlan()
    effects: Effects

    @property
    def pitch_um(self) -> float:
        """Pitch of the SLM's pixels, or of the mask's."""
        plane = self.slm or self.optic
        assert plane is not None
        return plane.pitch_um

    @property
    def plane_shape(self) -> tuple[int, int]:
        """Rows and columns of the SLM's pixels, or of the mask's."""
        if self.slm is not None:
            return self.slm.shape
        rows, columns = self.lenslets.grid
        return rows * self.lenslets.pitch_px, columns * self.lenslets.pitch_px

    @model_validator(mode="after")
    def _has_one_frontend(self) -> Self:
        if (self.slm is None) == (self.optic is None):
            raise ValueError("a world has either an [slm] or a fixed [optic]")
        return self

    @model_validator(mode="after")
    def _effects_fit(self) -> Self:
        bayer, rolling, lines = self.effects.bayer, self.effects.rolling_shutter, len(self.source.lines_nm)
        if bayer.on and len(bayer.response[0]) != lines:
            raise ValueError(
                f"effects.bayer.response: a row needs {lines} numbers, one for each of the source's channels"
            )
        if rolling.on and rolling.line_us * self.camera.shape[0] / 1e3 > self.camera.readout_ms:
            raise ValueError("effects.rolling_shutter.line_us: all rows together take longer than camera.readout_ms")
        return self


class WorldSection(Frozen):
    """The part of a bench file that says which world stands behind it."""

    file: Path
    clock: Literal["real", "virtual"]


class BenchFile(BaseModel):
    """What the world needs of a bench file; all other keys are for labonn."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str = Field(pattern=BENCH_NAME)
    world: WorldSection


class Geometry(BaseModel):
    """What the maker of an optic needs of a bench file's [geometry]."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    tap_um: PositiveFloat


class BenchGeometry(BaseModel):
    """A bench file, as the maker of an optic reads it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    geometry: Geometry


Model = TypeVar("Model", bound=BaseModel)


def read(path: Path, model: type[Model]) -> Model:
    """Read and check one TOML file.

    Raises
    ------
    SimulationError
        If it cannot be read, is not TOML, or does not fit: one line for each wrong key.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SimulationError(f"{path}: cannot be read as TOML: {error}") from error
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise SimulationError(explain(error, str(path))) from error


def read_bench(path: Path) -> tuple[BenchFile, WorldFile]:
    """Read a bench file and the world file that it names (beside itself, unless the name is absolute)."""
    bench = read(path, BenchFile)
    return bench, read_world(path.parent / bench.world.file)


def read_world(path: Path) -> WorldFile:
    """Read a world file; the files that it names lie beside it, unless their names are absolute."""
    world = read(path, WorldFile)
    measured = world.effects.measured_psf
    measured = measured.model_copy(update={"file": path.parent / measured.file})
    changes: dict[str, object] = {"effects": world.effects.model_copy(update={"measured_psf": measured})}
    if world.optic is not None and world.optic.masks is not None:
        changes["optic"] = world.optic.model_copy(update={"masks": path.parent / world.optic.masks})
    return world.model_copy(update=changes)


def explain(error: ValidationError, where: str) -> str:
    """Say what pydantic found wrong, a line for each key."""
    return "\n".join(
        f"{where}: {'.'.join(map(str, item['loc'])) or '(the whole)'}: {item['msg']} (it is {item['input']!r})"
        for item in error.errors(include_url=False)
    )
