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

from sim.errors import SimulationError
from sim.fault_plan import FaultPlan
from sim.frozen import Frozen

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
BENCH_NAME = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"


class Slm(Frozen):
    """The phase modulator as its maker sells it."""

    shape: tuple[PositiveInt, PositiveInt]  # rows, columns
    pitch_um: PositiveFloat
    levels: int = Field(ge=2, le=255, description="the level that stands for 2 pi in the maker's table")


class Lenslets(Frozen):
    """The array of lenses behind the SLM: one square sub-aperture each, on a grid centred on the SLM."""

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

    wavelength_nm: Annotated[float, Field(ge=300.0, le=2000.0)]
    white_e_per_ms: PositiveFloat  # photo-electrons per pixel where a white scene arrives without any loss


class Display(Frozen):
    """The intensity display that is the scene."""

    shape: tuple[PositiveInt, PositiveInt]
    pixel_on_sensor_um: PositiveFloat  # one display pixel, as a lenslet images it


class Camera(Frozen):
    """The sensor and its electronics."""

    shape: tuple[PositiveInt, PositiveInt]
    pixel_um: PositiveFloat
    tile_pitch_um: PositiveFloat  # from the centre of one sub-aperture's picture to the next
    bit_depth: int = Field(ge=8, le=16)
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


class Effect(Frozen):
    """Something that a real laboratory does and an ideal one does not."""

    on: bool = True


class PhaseTable(Effect):
    """phase = 2 pi * scale * (level / levels) ** gamma instead of 2 pi * level / levels."""

    scale: PositiveFloat
    gamma: PositiveFloat


class Fringing(Effect):
    """The liquid crystal cannot follow a step between pixels: the phase is blurred by a Gaussian."""

    sigma_px: NonNegativeFloat


class ZeroOrder(Effect):
    """The gaps between pixels reflect without modulation: this much of the area is modulated."""

    fill_factor: Fraction


class Aberrations(Effect):
    """Zernike terms of each lenslet: normal draws with these standard deviations, in waves rms over a sub-aperture."""

    defocus_waves: NonNegativeFloat
    astigmatism_waves: NonNegativeFloat
    coma_waves: NonNegativeFloat


class PhaseScreen(Effect):
    """Flatness error of the backplane, polishing error of the lenslets: a smooth random phase for each sub-aperture."""

    rms_waves: NonNegativeFloat
    correlation_mm: PositiveFloat


class Bandwidth(Effect):
    """The source is not one line: a Gaussian spectrum, as three wavelengths (Gauss-Hermite)."""

    fwhm_nm: NonNegativeFloat


class Beam(Effect):
    """The light on the SLM is a Gaussian beam, not quite centred: intensity exp(-2 r^2 / waist^2)."""

    waist_mm: PositiveFloat
    offset_mm: tuple[float, float]  # down, right


class TileGain(Effect):
    """Transmission of each lenslet: 1 + a normal draw with this standard deviation."""

    spread: Annotated[float, Field(ge=0.0, le=0.2)]


class Blur(Effect):
    """The display's pixel aperture, diffuser and the collimator's own blur: a Gaussian, as seen on the sensor."""

    sigma_um: NonNegativeFloat


class Misalignment(Effect):
    """Normal draws with these standard deviations: display, lenslet array and camera against each other."""

    shift_px: NonNegativeFloat  # of the whole grid, camera pixels, down and right each
    display_rotation_deg: NonNegativeFloat
    display_scale: NonNegativeFloat
    grid_rotation_deg: NonNegativeFloat  # of the lenslet array against the camera


class TileShift(Effect):
    """Decentring of each lenslet: a normal draw with this standard deviation, camera pixels, down and right each."""

    spread_px: NonNegativeFloat


class Vignetting(Effect):
    """Loss of light: at the corner of each tile's picture, and at the corner of the sensor; quadratic in the radius."""

    tile_corner: Fraction
    sensor_corner: Fraction


class StrayLight(Effect):
    """Light that arrives everywhere, as fractions of white: from the display's mean, and from the source itself."""

    veil: Fraction
    pedestal: Fraction
    slope: Fraction  # the pedestal changes by this fraction of itself from centre to edge, in a drawn direction


class DisplayGamma(Effect):
    """The display's own response: radiance = (level / 255) ** gamma."""

    gamma: PositiveFloat


class ShotNoise(Effect):
    """Photo-electrons arrive at random: variance = mean."""


class ReadNoise(Effect):
    """Noise of the read-out amplifier."""

    rms_e: NonNegativeFloat


class DarkCurrent(Effect):
    """Electrons that need no light."""

    e_per_s: NonNegativeFloat
    spread: Annotated[float, Field(ge=0.0, le=0.5)]  # between pixels, as a fraction


class PixelGain(Effect):
    """Pixel response non-uniformity: 1 + a normal draw with this standard deviation for each pixel."""

    spread: Annotated[float, Field(ge=0.0, le=0.2)]


class ColumnOffset(Effect):
    """Each column's amplifier has its own black level: a normal draw with this standard deviation."""

    rms_dn: NonNegativeFloat


class LightNoise(Effect):
    """The source's power differs from frame to frame: a normal draw with this standard deviation, as a fraction."""

    rms: Annotated[float, Field(ge=0.0, le=0.2)]


class Settling(Effect):
    """First-order response of the liquid crystals, after a latency."""

    display_tau_ms: NonNegativeFloat
    slm_tau_ms: NonNegativeFloat
    latency_ms: NonNegativeFloat


class Effects(Frozen):
    """Everything that can be switched on and off, by name."""

    phase_table: PhaseTable
    fringing: Fringing
    zero_order: ZeroOrder
    aberrations: Aberrations
    phase_screen: PhaseScreen
    bandwidth: Bandwidth
    beam: Beam
    tile_gain: TileGain
    blur: Blur
    misalignment: Misalignment
    tile_shift: TileShift
    vignetting: Vignetting
    stray_light: StrayLight
    display_gamma: DisplayGamma
    shot_noise: ShotNoise
    read_noise: ReadNoise
    dark_current: DarkCurrent
    pixel_gain: PixelGain
    column_offset: ColumnOffset
    light_noise: LightNoise
    settling: Settling


class WorldFile(Frozen):
    """The physics of one simulated laboratory."""

    schema_: Literal[1] = Field(alias="schema")
    seed: int = Field(ge=0, lt=2**32)
    slm: Slm
    lenslets: Lenslets
    source: Source
    display: Display
    camera: Camera
    shutter: Shutter
    laser: Laser | None = None
    meter: Meter = Meter()
    thermometer: Thermometer = Thermometer()
    faults: FaultPlan = FaultPlan()
    effects: Effects


class WorldSection(Frozen):
    """The part of a bench file that says which world stands behind it."""

    file: Path
    clock: Literal["real", "virtual"]


class BenchFile(BaseModel):
    """What the world needs of a bench file; all other keys are for labonn."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str = Field(pattern=BENCH_NAME)
    world: WorldSection


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
    return bench, read(path.parent / bench.world.file, WorldFile)


def explain(error: ValidationError, where: str) -> str:
    """Say what pydantic found wrong, a line for each key."""
    return "\n".join(
        f"{where}: {'.'.join(map(str, item['loc'])) or '(the whole)'}: {item['msg']} (it is {item['input']!r})"
        for item in error.errors(include_url=False)
    )
