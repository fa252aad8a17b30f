"""Which faults a world injects: at random with given rates, and at given requests. None unless it is told."""

from typing import Annotated, Final, Self

from pydantic import Field, NonNegativeFloat, PositiveInt, model_validator

from sim.frozen import Frozen

CAMERA: Final = ("dropped", "duplicated", "stale", "truncated")
INSTRUMENT: Final = ("timeout", "garbled", "late", "split", "error", "gone")
DOORS: Final = {
    "camera": CAMERA,
    "laser": INSTRUMENT,
    "meter": INSTRUMENT,
    "thermometer": INSTRUMENT,
    "shutter": INSTRUMENT,
    "serial_laser": INSTRUMENT,
    "stage": INSTRUMENT,
}


class ScheduledFault(Frozen):
    """One fault, at one frame of the camera or one request at another door."""

    door: str
    kind: str
    at: PositiveInt = Field(description="1 is the first frame or request after the plan came into force")

    @model_validator(mode="after")
    def _exists(self) -> Self:
        _check(self.door, self.kind)
        return self


class FaultPlan(Frozen):
    """What goes wrong, and when.

    camera
        dropped: a frame is taken and never delivered. duplicated: the pixels of the frame before, as a new frame.
        stale: a new exposure, of the picture that was shown before. truncated: the last rows are missing (0).
    laser, meter, thermometer, shutter, serial_laser, stage
        timeout: the request is carried out, and not answered. garbled: bytes of the answer are wrong. late: the answer
        comes after the next request. split: it comes in pieces, with pauses. error: the instrument reports an error of
        its own (an entry in its queue, or its register, or its answer). gone: the connection is closed, the request
        lost, and nobody can connect for `gone_s`.

    What can make no difference is not injected: a duplicate of nothing, a stale frame in the dark.
    """

    seed: int = Field(0, ge=0, lt=2**32)
    rates: dict[str, Annotated[float, Field(ge=0.0, le=1.0)]] = Field(
        default={}, description='probability for each frame or request, by "door.kind"'
    )
    schedule: tuple[ScheduledFault, ...] = ()
    gone_s: NonNegativeFloat = Field(2.0, le=60.0, description="how long a door stays shut, of this computer's time")
    pause_s: NonNegativeFloat = Field(0.05, le=10.0, description="between the pieces of an answer, likewise")

    def __hash__(self) -> int:
        """Hash it as text: a world is a key of caches, and its rates are no tuple."""
        return hash(self.model_dump_json())

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        sums: dict[str, float] = {}
        for name, rate in self.rates.items():
            door, _, kind = name.partition(".")
            _check(door, kind)
            sums[door] = sums.get(door, 0.0) + rate
        for door, total in sums.items():
            if total > 1.0 + 1e-9:
                raise ValueError(f"the rates of {door} sum to {total:g}: more than 1")
        places = [(fault.door, fault.at) for fault in self.schedule]
        if len(set(places)) < len(places):
            raise ValueError("two faults are scheduled for the same request")
        return self


def _check(door: str, kind: str) -> None:
    if door not in DOORS:
        raise ValueError(f"there are no faults for {door!r}; there are for {', '.join(DOORS)}")
    if kind not in DOORS[door]:
        raise ValueError(f"{door} has no fault {kind!r}; it has {', '.join(DOORS[door])}")
