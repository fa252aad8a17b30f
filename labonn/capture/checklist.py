"""The list of what is checked on a bench, and what is to be thought of each."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from labonn.errors import CalibrationError, InstrumentError, InterlockTripped

NOT_HERE = "not on this bench"


class State(StrEnum):
    """What is to be thought of a check."""

    OK = "ok"
    DRIFTED = "drifted"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Check:
    """One thing that was measured, and what it should be."""

    name: str
    measured: float | str | None
    unit: str = ""
    low: float | None = None
    """It has failed below this."""
    high: float | None = None
    """It has failed above this."""
    drift: float | None = None
    """How far it may lie from its last good value; a text may not differ at all."""
    advice: str = ""
    """What to do where it is not as it should be."""
    failure: str | None = None
    """Why it could not be measured, or why it is wrong whatever its limits."""
    skipped: str | None = None
    """Why it was not measured, where nothing is wrong with that."""


@dataclass(frozen=True)
class Judged:
    """A check, compared with its limits and with the last good one."""

    check: Check
    state: State
    last_good: float | str | None

    def as_row(self) -> dict[str, Any]:
        """Give it as a line of a table, with what went wrong or what to do as its remark."""
        found = self.check
        remark = found.failure or found.skipped or ""
        if self.state in (State.FAILED, State.DRIFTED):
            remark = "; ".join(part for part in (remark, found.advice) if part)
        return {
            "name": found.name,
            "state": str(self.state),
            "measured": found.measured,
            "unit": found.unit,
            "lowest": found.low,
            "highest": found.high,
            "last_good": self.last_good,
            "remark": remark,
        }


def judge(check: Check, last_good: float | str | None) -> Judged:
    """Compare what was measured with its limits, then with the last good one."""
    return Judged(check, _state(check, last_good), last_good)


def _state(check: Check, last_good: float | str | None) -> State:
    value = check.measured
    if check.failure is not None:
        return State.FAILED
    if check.skipped is not None:
        return State.SKIPPED
    if isinstance(value, float):
        # Written so that NaN fails it too.
        if not (check.low is None or value >= check.low) or not (check.high is None or value <= check.high):
            return State.FAILED
        if check.drift is not None and isinstance(last_good, float) and abs(value - last_good) > check.drift:
            return State.DRIFTED
        return State.OK
    return State.DRIFTED if last_good is not None and value != last_good else State.OK


class Checklist:
    """What was checked, in the order in which it was measured.

    Parameters
    ----------
    last_good
        What the last good check of this bench found, by name.
    """

    def __init__(self, last_good: Mapping[str, float | str]) -> None:
        self._last_good = last_good
        self.judged: list[Judged] = []
        self.instrument_failed = False
        """Whether an instrument failed outright, rather than a measurement."""

    def add(self, *checks: Check) -> None:
        """Judge and keep."""
        self.judged += [judge(check, self._last_good.get(check.name)) for check in checks]

    def skip(self, why: str, *names: str) -> None:
        """Keep that something was not measured, and why."""
        self.add(*(Check(name, None, skipped=why) for name in names))

    @contextmanager
    def measuring(self, name: str) -> Iterator[None]:
        """Take a failure of what is inside for a failed check, so that the rest of the bench is checked all the same.

        Raises
        ------
        InterlockTripped
            If the bench had to be made dark: there is nothing more to measure.
        """
        try:
            yield
        except InterlockTripped:
            raise
        except InstrumentError as error:
            self.instrument_failed = True
            self.add(Check(name, None, failure=str(error)))
        except CalibrationError as error:
            self.add(Check(name, None, failure=str(error)))

    def names(self, state: State) -> list[str]:
        """Names of the checks in a state."""
        return [judged.check.name for judged in self.judged if judged.state is state]

    def values(self) -> dict[str, float | str]:
        """Everything that was measured, by name: what a later check is compared with."""
        every = {judged.check.name: judged.check.measured for judged in self.judged}
        return {name: value for name, value in every.items() if value is not None}
