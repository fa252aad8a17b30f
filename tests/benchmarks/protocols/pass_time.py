"""Let time pass on a bench in virtual time, dark."""

from pydantic import BaseModel, PositiveFloat

from labonn.protocol import Lab, Result

_HOUR_MS = 3.6e6


class Parameters(BaseModel):
    """What can be set."""

    hours: PositiveFloat = 24.0


def run(lab: Lab, parameters: Parameters) -> Result:
    """Wait."""
    lab.bench.clock.sleep_ms(parameters.hours * _HOUR_MS)
    return Result(hours=parameters.hours)
