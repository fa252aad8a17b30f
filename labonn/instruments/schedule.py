"""The table ``[schedule]`` of a bench file: when the bench is recalibrated by itself, and who is told."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo
from typing import Literal, Self
from zoneinfo import ZoneInfo

from pydantic import Field, PositiveFloat, field_validator, model_validator

from labonn.config import Frozen
from labonn.instruments.cron import Cron, read_cron
from labonn.instruments.telling import Tell

_QUIET = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)\s*-\s*([01]?\d|2[0-3]):([0-5]\d)")
_DAY = timedelta(days=1)

Setting = bool | int | float | str


@dataclass(frozen=True)
class QuietHours:
    """Hours of every day in which nothing begins by itself."""

    begin: time
    end: time
    """Earlier than `begin` where they go over midnight."""

    def __contains__(self, moment: datetime) -> bool:
        clock = moment.time()
        if self.begin < self.end:
            return self.begin <= clock < self.end
        return clock >= self.begin or clock < self.end


class Drift(Frozen):
    """The watch for drift, without labels: the protocol ``watch_drift``."""

    watch_every_h: PositiveFloat = Field(1.0, le=168, description="how often the bench is looked at")
    tolerated_loss_points: PositiveFloat = Field(0.5, description="predicted loss of accuracy that is borne")


class Schedule(Frozen):
    """When to recalibrate."""

    cron: str | None = Field(None, description="five fields: minute, hour, day of the month, month, day of the week")
    interval_h: PositiveFloat | None = Field(None, description="from the beginning of one recalibration to the next")
    expiry_h: PositiveFloat | None = Field(None, description="how old a calibration may become, whatever else is said")
    drift: Drift | None = None
    time_zone: str | None = Field(None, description="of cron and quiet hours; this computer's own where missing")
    quiet_hours: tuple[str, ...] = Field((), description="nothing begins in them: '08:00-18:00'")
    attempts: int = Field(3, ge=1, le=20, description="how often one recalibration is tried, if it fails")
    back_off_min: float = Field(15.0, ge=1, le=1440, description="before the second attempt; doubled for each further")
    on_refusal: Literal["wait", "retry"] = Field("wait", description="for the next time, or try again as if it failed")
    settings: dict[str, Setting] = Field(default_factory=dict, description="of the recalibration, as with --set")
    refusal_settings: dict[str, Setting] = Field(
        default_factory=dict, description="of the attempts after a refusal, on top of settings"
    )
    keep_frames_days: PositiveFloat | None = Field(
        None, description="raw frames of this bench's older runs go after a recalibration; never those of a release"
    )
    keep_frames_gb: PositiveFloat | None = Field(
        None, description="how much this bench's frames may take; the oldest go first, never those of a release"
    )
    tell: Tell = Tell()

    @field_validator("cron")
    @classmethod
    def _is_cron(cls, text: str | None) -> str | None:
        if text is not None:
            read_cron(text)
        return text

    @field_validator("time_zone")
    @classmethod
    def _is_a_zone(cls, name: str | None) -> str | None:
        if name is not None:
            try:
                ZoneInfo(name)
            except (OSError, ValueError, KeyError):
                raise ValueError("there is no such time zone; write one as 'Europe/Vienna' or 'UTC'") from None
        return name

    @field_validator("quiet_hours")
    @classmethod
    def _are_hours(cls, texts: tuple[str, ...]) -> tuple[str, ...]:
        quiet = [_read_quiet(text) for text in texts]
        begin = datetime(2026, 1, 1)
        if quiet and all(_inside(begin + timedelta(minutes=minute), quiet) for minute in range(24 * 60)):
            raise ValueError("they leave no minute of the day")
        return texts

    @model_validator(mode="after")
    def _says_when(self) -> Self:
        if self.cron is not None and self.interval_h is not None:
            raise ValueError("cron and interval_h: give one of them")
        if self.cron is None and self.interval_h is None and self.expiry_h is None and self.drift is None:
            raise ValueError("says no time: give cron, interval_h, expiry_h or [schedule.drift]")
        if self.refusal_settings and self.on_refusal == "wait":
            raise ValueError("refusal_settings: are for on_refusal = 'retry'")
        return self

    @property
    def times(self) -> Cron | None:
        """The cron expression, read."""
        return None if self.cron is None else read_cron(self.cron)

    @property
    def zone(self) -> tzinfo | None:
        """Of cron and quiet hours; None is this computer's own."""
        return None if self.time_zone is None else ZoneInfo(self.time_zone)

    def out_of_quiet(self, moment: datetime) -> datetime:
        """Give the first moment from this one on that lies in no quiet hours, in UTC."""
        quiet = [_read_quiet(text) for text in self.quiet_hours]
        for _ in range(2 * len(quiet) + 1):
            local = moment.astimezone(self.zone)
            hours = next((hours for hours in quiet if local in hours), None)
            if hours is None:
                break
            ends = local.replace(hour=hours.end.hour, minute=hours.end.minute, second=0, microsecond=0)
            naive = (ends if ends > local else ends + _DAY).replace(tzinfo=None)
            moment = naive.astimezone(UTC) if self.zone is None else naive.replace(tzinfo=self.zone).astimezone(UTC)
        return moment.astimezone(UTC)


def _inside(moment: datetime, quiet: list[QuietHours]) -> bool:
    return any(moment in hours for hours in quiet)


def _read_quiet(text: str) -> QuietHours:
    found = _QUIET.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text!r} is no span of hours; write '22:00-06:00'")
    begin_h, begin_min, end_h, end_min = map(int, found.groups())
    begin, end = time(begin_h, begin_min), time(end_h, end_min)
    if begin == end:
        raise ValueError(f"{text!r} begins when it ends")
    return QuietHours(begin, end)
