"""What a phase modulator does to the phase that it is sent."""

from pydantic import Field, NonNegativeFloat, PositiveFloat

from sim.effect import Effect, Fraction


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


class SlmDeadPixels(Effect):
    """Pixels that stay at a level of their own, 0 to 255, whatever is sent."""

    share: Fraction = 0.001


class SlmFlicker(Effect):
    r"""Digital drive: the phase is phi (1 + depth sin(2 pi frequency t)), and an exposure sees its mean intensity."""

    depth: float = Field(0.02, ge=0.0, le=0.2)
    frequency_hz: PositiveFloat = 480.0
