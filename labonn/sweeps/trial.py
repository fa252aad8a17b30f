"""One trial: what is asked, what came out; both are plain values, so that they go to any process on any computer."""

from dataclasses import dataclass, field
from typing import Any, Literal

Status = Literal["done", "refused", "failed"]


@dataclass(frozen=True)
class Order:
    """What a worker needs to know.

    Attributes
    ----------
    number
        Of the trial, from 0 on.
    settings
        Values by key.
    sweep
        The sweep, as its model is dumped.
    design
        The design that is varied, as its model is dumped.
    lab
        The laboratory's folder, where what is computed once is kept.
    """

    number: int
    settings: dict[str, Any]
    sweep: dict[str, Any]
    design: dict[str, Any]
    lab: str


@dataclass(frozen=True)
class Outcome:
    """What came of a trial; figures only where it is done.

    Attributes
    ----------
    status
        ``done``; ``refused`` where the variant breaks a rule of designs or of light; ``failed``.
    error
        What was said of it then.
    seconds
        That it took.
    """

    number: int
    settings: dict[str, Any]
    status: Status
    figures: dict[str, float] = field(default_factory=dict)
    error: str | None = None
    seconds: float = 0.0
