"""Watching the readings on which the interlocks of a bench depend, in threads of their own.

Each instrument is watched by itself, so that one that hangs hides no other, and none slows a capture. What cannot be
read for longer than `silence_ms` is taken for tripped: a bench that nobody can see is not one to keep lit.
"""

import logging
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import groupby

from labonn.errors import ConfigError, InstrumentError, InterlockTripped
from labonn.instruments.bench_config import Interlocks
from labonn.instruments.calls import Caller
from labonn.instruments.condition import Condition
from labonn.instruments.guard import Guard
from labonn.instruments.instrument import Instrument

logger = logging.getLogger(__name__)

_LEAST_LIMIT_S = 0.1
_STALL_S = 0.1
_END_LIMIT_S = 5.0


def check_interlocks(interlocks: Interlocks, instruments: Mapping[str, Instrument], where: str) -> None:
    """Refuse a condition on a reading that its instrument does not have.

    Raises
    ------
    ConfigError
        If there is one.
    """
    for condition in interlocks.conditions:
        known = instruments[condition.instrument].readings
        if condition.reading not in known:
            raise ConfigError(
                f"{where}: interlocks.conditions {str(condition)!r}: {condition.instrument} is a"
                f" {instruments[condition.instrument].kind}, whose readings are: {', '.join(known) or 'none'}"
            )


class Watch:
    """The interlocks of an open bench.

    Parameters
    ----------
    interlocks
        Conditions, and how often they are looked at.
    instruments
        The bench's instruments by name, connected.
    guard
        What is tripped, with an `InterlockTripped` that says which reading and when.
    """

    def __init__(self, interlocks: Interlocks, instruments: Mapping[str, Instrument], guard: Guard) -> None:
        self._period_s = interlocks.period_ms / 1e3
        self._silence_s = max(interlocks.silence_ms / 1e3, 2 * self._period_s)
        self._guard = guard
        self._ended = threading.Event()
        self.readings: dict[str, object] = {}
        """What each condition's reading was when it was last looked at: ``laser.power_mw`` -> 15.0."""
        by_name = sorted(interlocks.conditions, key=lambda condition: condition.instrument)
        self._watched = [
            (instruments[name], tuple(conditions)) for name, conditions in groupby(by_name, lambda c: c.instrument)
        ]
        self._threads = [
            threading.Thread(
                target=self._watch, args=(instrument, conditions), name=f"interlocks of {instrument.name}", daemon=True
            )
            for instrument, conditions in self._watched
        ]

    def start(self) -> None:
        """Check everything once, then watch.

        Raises
        ------
        InterlockTripped
            If a condition does not hold now.
        InstrumentError
            If a reading cannot be had.
        """
        for instrument, conditions in self._watched:
            for condition in conditions:
                value = getattr(instrument, condition.reading)
                self._note(condition, value)
                if not condition.allows(value):
                    raise _tripped(condition, instrument, value)
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        """Trip nothing any more, without waiting for what is being read now."""
        self._ended.set()

    def stop(self) -> None:
        """Watch no more; may be called twice, and before `start`."""
        self.end()
        for thread in self._threads:
            if thread.is_alive() and thread is not threading.current_thread():
                thread.join(_END_LIMIT_S)

    def _watch(self, instrument: Instrument, conditions: tuple[Condition, ...]) -> None:
        # The instrument's own limit may be much longer than a bench may be out of sight.
        caller = Caller(f"interlock of {instrument}")
        good_s = due_s = time.monotonic()
        try:
            while not self._ended.wait(max(0.0, due_s - time.monotonic())):
                begin_s = time.monotonic()
                due_s = max(due_s + self._period_s, begin_s)
                limit_s = max(_LEAST_LIMIT_S, good_s + self._silence_s - begin_s)
                try:
                    self._look(instrument, conditions, caller, limit_s)
                    good_s = time.monotonic()
                except InstrumentError as error:
                    logger.warning("%s", error)
                    now_s = time.monotonic()
                    if now_s - begin_s > limit_s + _STALL_S:
                        good_s = now_s  # this process itself stood still: what was said meanwhile could not be heard
                    elif now_s - good_s >= self._silence_s:
                        self._trip(_unreadable(instrument, now_s - good_s, error))
                if self._guard.error is not None:
                    return
        finally:
            caller.stop()

    def _look(self, instrument: Instrument, conditions: tuple[Condition, ...], caller: Caller, limit_s: float) -> None:
        def read() -> list[object]:
            return [getattr(instrument, condition.reading) for condition in conditions]

        names = ", ".join(dict.fromkeys(condition.reading for condition in conditions))
        values = caller.call(f"reading {names}", read, 1e3 * limit_s)
        for condition, value in zip(conditions, values, strict=True):
            self._note(condition, value)
            if not condition.allows(value):
                self._trip(_tripped(condition, instrument, value))
                return

    def _note(self, condition: Condition, value: object) -> None:
        self.readings[f"{condition.instrument}.{condition.reading}"] = value

    def _trip(self, error: InterlockTripped) -> None:
        if self._ended.is_set():
            return
        begin_s = time.perf_counter()
        try:
            self._guard.trip(error)
        except InstrumentError as failure:
            logger.critical("%s", failure)
        else:
            logger.error("the bench was made dark %.0f ms after that reading", 1e3 * (time.perf_counter() - begin_s))


def _tripped(condition: Condition, instrument: Instrument, value: object) -> InterlockTripped:
    said = f"{value:.4g}" if isinstance(value, float) else str(value)
    return InterlockTripped(
        f"interlock {str(condition)!r}: {condition.instrument}.{condition.reading} was {said} at {_now()};"
        f" the bench was made dark; find out why {instrument} reads so before you run again"
    )


def _unreadable(instrument: Instrument, silent_s: float, error: InstrumentError) -> InterlockTripped:
    return InterlockTripped(
        f"interlock: {instrument} could not be read for {silent_s:.1f} s, the last time at {_now()}, so the bench was"
        f" made dark: {error}"
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
