"""What the sensor does to the light, and to the charge."""

from typing import Annotated, Self

from pydantic import Field, NonNegativeFloat, PositiveFloat, model_validator

from sim.effect import Effect, Fraction


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


class HotPixels(Effect):
    """Pixels with more dark current, a share of them: exponentially distributed, with this mean."""

    share: Fraction = 0.0002
    e_per_s: PositiveFloat = 5000.0


class Blooming(Effect):
    """Charge beyond the full well runs over to the pixels above and below, as far as it must; the rest is drained."""

    share: Fraction = 0.3


class QuantumEfficiency(Effect):
    """Sensitivity over wavelength, relative to where `source.white_e_per_ms` is stated; linear between the points."""

    nm: tuple[PositiveFloat, ...] = (400.0, 450.0, 500.0, 550.0, 600.0, 650.0, 700.0, 800.0, 900.0)
    relative: tuple[NonNegativeFloat, ...] = (0.62, 0.87, 1.0, 0.98, 0.9, 0.78, 0.64, 0.38, 0.17)

    @model_validator(mode="after")
    def _is_a_curve(self) -> Self:
        if len(self.nm) != len(self.relative) or sorted(set(self.nm)) != list(self.nm):
            raise ValueError("nm must rise, and have as many points as relative")
        return self


Row = Annotated[tuple[NonNegativeFloat, ...], Field(min_length=1)]


class Bayer(Effect):
    """Colour filters, row by row: R G / G B. Off: every pixel sees all colours alike.

    `response` has a row for each filter, R, G, B, and a column for each of the source's channels.
    """

    response: tuple[Row, Row, Row] = ((1.0, 0.08, 0.02), (0.06, 1.0, 0.09), (0.02, 0.12, 0.9))

    @model_validator(mode="after")
    def _is_a_table(self) -> Self:
        if len({len(row) for row in self.response}) > 1:
            raise ValueError("response: every row needs as many numbers as the source has channels")
        return self


class RollingShutter(Effect):
    """Each row begins its exposure later than the row above."""

    line_us: PositiveFloat = 7.0
