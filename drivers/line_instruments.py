"""Instruments that are talked to in lines, whatever the lines run over: their dialect says what is sent."""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Callable, Hashable
from typing import Any, ClassVar

from pydantic import Field

from drivers.conversation import Conversation, Patience
from drivers.dialect import (
    Dialect,
    LightDialect,
    LineRules,
    PowerMeterDialect,
    ShutterDialect,
    StageDialect,
    ThermometerDialect,
)
from drivers.dialect_files import read_dialect
from drivers.line import Line, Port
from labonn.config import Frozen
from labonn.errors import ConfigError, InstrumentError
from labonn.instruments import Instrument, Light, PowerMeter, Shutter, Stage, Thermometer

logger = logging.getLogger(__name__)

# A call's own limit ends it in any case; no new attempt is begun shortly before.
_SHARE_OF_THE_LIMIT = 0.7


class Spoken(Frozen):
    """What the table of every instrument says that is talked to in lines."""

    model: str | None = Field(None, description="its dialect: a shipped one, or a .toml file beside the bench file")
    dialect: dict[str, Any] | None = Field(None, description="its dialect itself, in place of model")
    parameters: dict[str, str] = Field(default_factory=dict, description="such as channel; the dialect names them")
    reply_timeout_ms: float | None = Field(
        None, gt=0, description="how long one answer may take; the dialect's reply_ms where missing"
    )
    retries: int = Field(2, ge=0, le=10, description="how often a question is asked again")


class LineInstrument(Instrument):
    """What they have in common: a dialect, and a conversation in it."""

    dialect_model: ClassVar[type[Dialect]]
    _talk: Conversation

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        table: Any = self.table
        self._dialect: Any = read_dialect(
            self.dialect_model,
            f"[instruments.{self.name}]",
            self.site.folder,
            model=table.model,
            inline=table.dialect,
            parameters=table.parameters,
        )

    @abstractmethod
    def _line(self, rules: LineRules) -> tuple[Hashable, Callable[[], Line]]:
        """Give what identifies the line on the bench, and how it is made."""

    def _connect_hw(self) -> None:
        table: Any = self.table
        rules = self._dialect.line
        key, make = self._line(rules)
        port = self.site.shared.borrow(key, lambda: Port(make(), rules), Port.close)
        if port.rules != rules:
            raise ConfigError(
                f"{self}: shares {port.line.where} with an instrument whose dialect has other [line] rules;"
                " one of the two addresses or models is wrong"
            )
        reply_ms = table.reply_timeout_ms or rules.reply_ms
        patience = Patience(reply_ms, table.retries, _SHARE_OF_THE_LIMIT * self.table.timeout_ms)
        self._talk = Conversation(str(self), port, self._dialect, patience)
        self._talk.begin()

    def _disconnect_hw(self) -> None:
        self._talk.end()

    def _identify_hw(self) -> str:
        identity = self._dialect.identity
        said = self._talk.ask(identity.ask, lambda answer: _like(answer, identity.like))
        return f"{self._dialect.name}: {said}" if self._dialect.name else said

    def _settings_hw(self) -> dict[str, Any]:
        return {
            "dialect": self._dialect.name,
            "manual": self._dialect.manual,
            "identity": self._talk.identity,
            "repeated": self._talk.repeated,
        }


class LineLight(LineInstrument, Light):
    """A light source that is talked to in lines."""

    dialect_model = LightDialect
    _dialect: LightDialect
    _watched = False

    def _is_on_hw(self) -> bool:
        return self._talk.ask(self._dialect.is_on.ask, self._dialect.is_on.read)

    def _set_on_hw(self, on: bool) -> None:
        # Turning off twice is turning off; what may have turned on is better looked at than told again.
        self._talk.tell(self._dialect.on if on else self._dialect.off, again=not on)

    def _power_mw_hw(self) -> float:
        return self._talk.ask(self._dialect.power.ask, self._dialect.power.read)

    def _set_power_mw_hw(self, power_mw: float) -> None:
        self._talk.tell(self._dialect.set_power.lines(power_mw), again=True)

    def _interlock_closed_hw(self) -> bool:
        question = self._dialect.interlock
        return True if question is None else self._talk.ask(question.ask, question.read)

    def _start_watchdog_hw(self, timeout_s: float) -> bool:
        watchdog = self._dialect.watchdog
        if watchdog is None or timeout_s < watchdog.shortest_s:
            return False
        self._talk.tell(watchdog.start.lines(timeout_s), again=True, keep="watchdog")
        self._watched = True
        return True

    def _feed_watchdog_hw(self) -> None:
        watchdog = self._dialect.watchdog
        if watchdog is None:
            raise InstrumentError(f"{self}: has no watchdog of its own")
        if watchdog.feed_answers:
            self._talk.ask(watchdog.feed, str)
        else:
            self._talk.tell((watchdog.feed,), again=True)

    def _disconnect_hw(self) -> None:
        watchdog = self._dialect.watchdog
        try:
            if self._watched and watchdog is not None:
                self._watched = False
                self._talk.forget("watchdog")
                self._talk.tell(watchdog.stop, again=True)
        finally:
            super()._disconnect_hw()


class LinePowerMeter(LineInstrument, PowerMeter):
    """A power meter that is talked to in lines."""

    dialect_model = PowerMeterDialect
    _dialect: PowerMeterDialect

    def _power_mw_hw(self) -> float:
        return self._talk.ask(self._dialect.power.ask, self._dialect.power.read)

    def _set_wavelength_nm_hw(self, wavelength_nm: float) -> None:
        command = self._dialect.set_wavelength
        if command is None:
            raise ConfigError(
                f"{self}: wavelength_nm: its dialect has no set_wavelength; set it by hand, remove the key"
            )
        self._talk.tell(command.lines(wavelength_nm), again=True, keep="wavelength")


class LineThermometer(LineInstrument, Thermometer):
    """A thermometer that is talked to in lines."""

    dialect_model = ThermometerDialect
    _dialect: ThermometerDialect

    def _celsius_hw(self) -> float:
        return self._talk.ask(self._dialect.celsius.ask, self._dialect.celsius.read)


class LineShutter(LineInstrument, Shutter):
    """A shutter that is talked to in lines."""

    dialect_model = ShutterDialect
    _dialect: ShutterDialect

    def _is_open_hw(self) -> bool:
        return self._talk.ask(self._dialect.is_open.ask, self._dialect.is_open.read)

    def _set_open_hw(self, opening: bool) -> None:
        if self._dialect.toggle is None:
            self._talk.tell(self._dialect.open if opening else self._dialect.close, again=not opening)
        else:
            self._toggle_until(opening)

    def _toggle_until(self, opening: bool) -> None:
        """Toggle only where the state is the other one; when nobody can tell whether it was done, look and go on."""
        toggle = self._dialect.toggle
        assert toggle is not None
        for left in reversed(range(1 if opening else 3)):
            if self._talk.ask(toggle.state.ask, toggle.state.read) == opening:
                return
            try:
                self._talk.tell((toggle.tell,), again=False)
            except InstrumentError as error:
                if not left:
                    raise
                logger.warning("%s; looking at its state", error)
            else:
                return


class LineStage(LineInstrument, Stage):
    """One axis of a stage that is talked to in lines."""

    dialect_model = StageDialect
    _dialect: StageDialect

    def _position_um_hw(self) -> float:
        return self._talk.ask(self._dialect.position.ask, self._dialect.position.read)

    def _move_to_um_hw(self, position_um: float) -> None:
        # To the same place twice is to that place.
        self._talk.tell(self._dialect.move.lines(position_um), again=True)

    def _is_moving_hw(self) -> bool:
        return self._talk.ask(self._dialect.is_moving.ask, self._dialect.is_moving.read)

    def _stop_hw(self) -> None:
        self._talk.tell(self._dialect.stop, again=True)

    def _home_hw(self) -> None:
        if not self._dialect.home:
            raise ConfigError(f"{self}: homing: its dialect has no home")
        self._talk.tell(self._dialect.home, again=False)

    def _is_homed_hw(self) -> bool:
        question = self._dialect.is_homed
        return True if question is None else self._talk.ask(question.ask, question.read)


def _like(answer: str, like: Any) -> str:
    if not like.fullmatch(answer):
        raise ValueError(f"is not like {like.pattern!r}")
    return answer
