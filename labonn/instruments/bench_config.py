"""The bench file: which instruments stand on a bench, in which roles, and how its optics are laid out."""

from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, model_validator

from labonn.config import Frozen, read_toml
from labonn.errors import ConfigError
from labonn.instruments.condition import Condition
from labonn.instruments.schedule import Schedule


class World(Frozen):
    """What makes a bench a simulated one."""

    file: Path = Field(description="the world file, beside the bench file: the physics that is simulated")
    clock: Literal["real", "virtual"] = "virtual"


class Roles(Frozen):
    """Which instrument does what; each names a table under [instruments]."""

    display: str
    camera: str
    shutter: str
    slm: str | None = Field(None, description="the frontend, where it is not a fixed [optic]")
    light: str | None = Field(None, description="the source, where labonn can switch it")
    meter: str | None = None
    thermometer: str | None = None
    stage: str | None = Field(None, description="a motorised axis: the camera's focus, where it has one")
    stage_down: str | None = Field(None, description="one that moves the camera down, along a column of its frames")
    stage_right: str | None = Field(None, description="one that moves the camera right, along a row of its frames")

    def named(self) -> dict[str, str]:
        """Role -> instrument, for every role that is filled."""
        return {role: name for role, name in self.model_dump().items() if name is not None}


class Optic(Frozen):
    """The frontend's optic: what a run is recorded under, and what stands in place of an SLM."""

    serial_number: str = Field(min_length=1)
    description: str = ""
    model: str | None = Field(None, description="the model of labonn train that it was made for, where it was for one")


class Interlocks(Frozen):
    """What must hold while the bench may be lit."""

    period_ms: float = Field(250.0, ge=20, le=60_000, description="how often the readings are taken")
    silence_ms: float = Field(
        1_500.0, ge=100, le=60_000, description="how long a reading may be missing; two periods at least"
    )
    conditions: tuple[Condition, ...] = Field(min_length=1)


class Geometry(Frozen):
    """How display, optic and sensor stand to each other, nominally; what is really so is calibrated."""

    wavelength_nm: PositiveFloat
    focal_mm: PositiveFloat = Field(description="from the optic to the sensor")
    tap_um: PositiveFloat = Field(description="distance on the sensor between neighbouring taps of a kernel")
    camera_pixel_um: PositiveFloat
    camera_px: tuple[PositiveInt, PositiveInt] | None = Field(
        None, description="height and width of the camera's frames, for what must be known before it is opened"
    )
    tile_pitch_um: PositiveFloat = Field(description="distance on the sensor between neighbouring tiles, both axes")
    display_px_per_tap: PositiveInt = Field(description="display pixels, both axes, that make one pixel of an image")

    @property
    def pixels_per_tap(self) -> float:
        """Camera pixels from one tap to the next."""
        return self.tap_um / self.camera_pixel_um


class InstrumentEntry(BaseModel):
    """One table under [instruments], as it stands in the file: its driver checks the rest of it."""

    model_config = ConfigDict(frozen=True, extra="allow")

    driver: str = Field(min_length=1)


class BenchConfig(Frozen):
    """A bench file."""

    schema_number: Literal[1] = Field(1, alias="schema")
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$", description="unique on this machine")
    world: World | None = None
    roles: Roles
    optic: Optic | None = None
    instruments: dict[str, InstrumentEntry]
    geometry: Geometry
    interlocks: Interlocks | None = None
    schedule: Schedule | None = Field(None, description="without it, nothing is ever done by itself")

    @model_validator(mode="after")
    def _roles_and_instruments_match(self) -> Self:
        roles = self.roles.named()
        for role, name in roles.items():
            if name not in self.instruments:
                known = ", ".join(sorted(self.instruments)) or "none"
                raise ValueError(f"roles.{role} = {name!r}: there is no [instruments.{name}]; there are: {known}")
        if len(set(roles.values())) < len(roles):
            raise ValueError("roles: one instrument cannot have two roles")
        if idle := sorted(set(self.instruments) - set(roles.values())):
            raise ValueError(f"instruments.{idle[0]}: no role names it; add it under [roles] or remove the table")
        if self.roles.slm is None and self.optic is None:
            raise ValueError("roles.slm: a bench has an SLM, or a fixed [optic] with its serial_number")
        return self

    @model_validator(mode="after")
    def _interlocks_name_instruments(self) -> Self:
        for condition in self.interlocks.conditions if self.interlocks else ():
            if condition.instrument not in self.instruments:
                known = ", ".join(sorted(self.instruments))
                raise ValueError(
                    f"interlocks.conditions {str(condition)!r}: there is no [instruments.{condition.instrument}];"
                    f" there are: {known}"
                )
        return self


def read_bench(path: Path | str) -> BenchConfig:
    """Read and check a bench file, without touching an instrument.

    Raises
    ------
    ConfigError
        If the file cannot be read or is wrong.
    """
    if not Path(path).exists():
        raise ConfigError(f"{path}: there is no such file; a bench is given by its file, as in NAME.bench.toml")
    return read_toml(Path(path), BenchConfig)
