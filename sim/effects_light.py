"""What source and display do to the light before it meets the optics."""

from typing import Annotated

from pydantic import Field, NonNegativeFloat, PositiveFloat

from sim.effect import Effect, Fraction


class DisplayGamma(Effect):
    """The display's own response: radiance = (level / 255) ** gamma."""

    gamma: PositiveFloat


class LightNoise(Effect):
    """The source's power differs from frame to frame: a normal draw with this standard deviation, as a fraction."""

    rms: Annotated[float, Field(ge=0.0, le=0.2)]


class LaserDrift(Effect):
    """Power behind the laser's own photodiode: 1 + a random walk + a daily cycle. A meter and a camera see it."""

    per_sqrt_h: NonNegativeFloat = 0.002  # standard deviation of the walk after one hour, as a fraction
    cycle: NonNegativeFloat = 0.0  # half of what lies between the most and the least of a period
    cycle_h: PositiveFloat = 24.0


class DisplayGrid(Effect):
    """A display pixel is a square with dark borders, not a point: this much of its area gives light."""

    fill_factor: Annotated[float, Field(gt=0.0, le=1.0)] = 0.9


class DisplayDeadPixels(Effect):
    """Shares of the display's pixels that are always dark, and always white."""

    dark: Fraction = 0.0005
    white: Fraction = 0.0001
