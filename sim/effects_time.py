"""What changes as the world's time passes."""

from pydantic import NonNegativeFloat, PositiveFloat

from sim.effect import Effect


class Settling(Effect):
    """First-order response of the liquid crystals, after a latency."""

    display_tau_ms: NonNegativeFloat
    slm_tau_ms: NonNegativeFloat
    latency_ms: NonNegativeFloat


class TimingJitter(Effect):
    """The display begins to answer later or earlier than it should, by a normal draw; never before it is told."""

    rms_ms: NonNegativeFloat = 0.5


class ThermalDrift(Effect):
    """Mounts that grow and shrink: random walks, and a daily cycle in a drawn direction, of shift and focus."""

    shift_px_per_sqrt_h: NonNegativeFloat = 0.2  # camera pixels, down and right each
    shift_cycle_px: NonNegativeFloat = 0.5  # half of what lies between the extremes of a period
    focus_um_per_sqrt_h: NonNegativeFloat = 10.0
    focus_cycle_um: NonNegativeFloat = 20.0
    cycle_h: PositiveFloat = 24.0
    focus_step_um: PositiveFloat = 100.0  # PSFs are computed for multiples of this, and are linear between


class Knock(Effect):
    """Somebody bumps into the bench, once."""

    at_s: NonNegativeFloat = 3600.0
    shift_px: tuple[float, float] = (2.0, -1.5)  # camera pixels: down, right
    focus_um: float = 0.0
