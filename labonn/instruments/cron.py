"""Times of day as cron writes them: minute, hour, day of the month, month, day of the week; 0 and 7 are Sunday."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from itertools import product

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_NICKNAMES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
}
_FIELDS = (
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day of the month", 1, 31, ()),
    ("month", 1, 12, _MONTHS),
    ("day of the week", 0, 7, _WEEKDAYS),
)
_LONGEST_GAP = timedelta(days=8 * 366)  # 29 February, around a year like 2100


@dataclass(frozen=True)
class Cron:
    """A cron expression that was read."""

    text: str
    times: tuple[tuple[int, int], ...]
    """Hours and minutes of a day, in order."""
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    """0 is Sunday."""
    either_day: bool
    """Whether a day fits by its number or by its weekday: so it is, in every cron, where both are restricted."""

    def next_after(self, moment: datetime, zone: tzinfo | None = None) -> datetime:
        """Give the first time after a moment, in UTC.

        An hour that comes twice, when a summer ends, counts once; a time that the beginning of a summer leaves out
        comes an hour later.

        Parameters
        ----------
        moment
            With its time zone.
        zone
            Where the expression is meant; this computer's own where None.

        Raises
        ------
        ValueError
            If no such day comes, as 30 February.
        """
        local = moment.astimezone(zone).replace(tzinfo=None, fold=0)
        for naive in self._local_times_after(local):
            there = naive.astimezone(UTC) if zone is None else naive.replace(tzinfo=zone).astimezone(UTC)
            if there > moment:
                return there
        raise ValueError(f"{self.text!r}: such a day never comes")

    def _local_times_after(self, local: datetime) -> Iterator[datetime]:
        day = local.replace(hour=0, minute=0, second=0, microsecond=0)
        end = day + _LONGEST_GAP
        while day < end:
            if self._fits(day):
                for hour, minute in self.times:
                    if (time := day.replace(hour=hour, minute=minute)) > local:
                        yield time
            day += timedelta(days=1)

    def _fits(self, day: datetime) -> bool:
        by_number, by_weekday = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        fits = by_number or by_weekday if self.either_day else by_number and by_weekday
        return fits and day.month in self.months


@lru_cache(maxsize=64)
def read_cron(text: str) -> Cron:
    """Read a cron expression of five fields, or ``@hourly``, ``@daily``, ``@weekly``, ``@monthly``.

    Raises
    ------
    ValueError
        If it is none; the message says which field, and what may stand there.
    """
    fields = _NICKNAMES.get(text.strip().lower(), text).split()
    if len(fields) != len(_FIELDS):
        raise ValueError(
            f"{len(fields)} fields; expected five, minute, hour, day of the month, month and day of the week, as in"
            " '0 3 * * *', which is every night at three"
        )
    minutes, hours, days, months, weekdays = (
        _read_field(field, *about) for field, about in zip(fields, _FIELDS, strict=True)
    )
    cron = Cron(
        text,
        tuple(product(sorted(hours), sorted(minutes))),
        days,
        months,
        frozenset(day % 7 for day in weekdays),
        either_day=not fields[2].startswith("*") and not fields[4].startswith("*"),
    )
    cron.next_after(datetime(2026, 1, 1, tzinfo=UTC), UTC)
    return cron


def _read_field(field: str, name: str, lowest: int, highest: int, names: tuple[str, ...]) -> frozenset[int]:
    values = set[int]()
    for part in field.lower().split(","):
        span, slash, step = part.partition("/")
        if slash and not (step.isdecimal() and int(step)):
            raise ValueError(f"{name} {field!r}: {step!r} is no step; write '*/15', or '0-30/10'")
        first, dash, last = span.partition("-")
        if span == "*":
            low, high = lowest, highest
        else:
            low = _read_number(first, field, name, lowest, highest, names)
            high = _read_number(last, field, name, lowest, highest, names) if dash else highest if slash else low
        if low > high:
            raise ValueError(f"{name} {field!r}: {span!r} goes backwards")
        values.update(range(low, high + 1, int(step) if slash else 1))
    return frozenset(values)


def _read_number(text: str, field: str, name: str, lowest: int, highest: int, names: tuple[str, ...]) -> int:
    if text in names:
        return names.index(text) + lowest
    if not text.isdecimal() or not lowest <= int(text) <= highest:
        named = f", or {names[0]} to {names[-1]}" if names else ""
        raise ValueError(f"{name} {field!r}: {text!r} is not {lowest} to {highest}{named}")
    return int(text)
