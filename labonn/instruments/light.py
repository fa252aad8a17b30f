"""What a light source is: armed by the bench file, held at the power that it was told, off when it says so."""

import logging
from abc import abstractmethod
from typing import Any, ClassVar, Self

from pydantic import Field, model_validator

from labonn.errors import ConfigError, InstrumentError
from labonn.instruments.instrument import Instrument, InstrumentTable

logger = logging.getLogger(__name__)


class LightTable(InstrumentTable):
    """A light source's table in a bench file."""

    max_power_mw: float | None = Field(
        None, gt=0, description="arms it: the most that it is ever told to give; without it, it is never turned on"
    )
    power_mw: float | None = Field(None, gt=0, description="power to work at; max_power_mw where missing")
    settle_ms: float = Field(100.0, ge=0, description="from the command until its power is what was asked for")
    warm_up_s: float = Field(0.0, ge=0, description="how long it must have been on before anything is measured with it")
    tolerance: float = Field(
        0.1, gt=0, lt=1, description="how far its reported power may lie from the one asked for, as a share of it"
    )
    stay_warm: bool = Field(
        False, description="leave it on, behind a shutter that is proven closed, when the bench is closed"
    )

    @model_validator(mode="after")
    def _works_below_its_maximum(self) -> Self:
        if self.power_mw is not None and self.power_mw > (self.max_power_mw or 0.0):
            raise ValueError(
                f"power_mw = {self.power_mw:g}: is more than max_power_mw = {self.max_power_mw or 0:g};"
                " max_power_mw arms the light and must be given"
            )
        return self


class Light(Instrument):
    """A laser, or another source whose power can be set."""

    kind: ClassVar[str] = "light"
    readings: ClassVar[tuple[str, ...]] = ("power_mw", "is_on", "interlock_closed")
    table_model: ClassVar[type[InstrumentTable]] = LightTable
    table: LightTable

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.found_on = False
        """Whether it was on when it was connected."""

    @property
    def armed(self) -> bool:
        """Whether the bench file lets labonn turn it on."""
        return self.table.max_power_mw is not None

    @property
    def working_power_mw(self) -> float:
        """Power that it is turned on with; 0 where it is not armed."""
        return self.table.power_mw or self.table.max_power_mw or 0.0

    @property
    def is_on(self) -> bool:
        """Whether the light says that it emits."""
        return self._reports_on()

    @property
    def power_mw(self) -> float:
        """Power that the light says it gives now; 0 where it is off."""
        return self._call("reading its power", self._power_mw_hw)

    @property
    def interlock_closed(self) -> bool:
        """Whether the light's own interlock input is closed (a door, a key); True where it has none."""
        return self._call("reading its interlock", self._interlock_closed_hw)

    def set_power_mw(self, power_mw: float) -> None:
        """Set the power that it gives, now or when it is turned on; waits for it where the light is on.

        Raises
        ------
        ConfigError
            If the light is not armed, or the power is not above 0 and within `max_power_mw`.
        InstrumentError
            If the light does not take it, or reports another power afterwards.
        """
        self._check_armed()
        if not 0 < power_mw <= (self.table.max_power_mw or 0.0):
            raise ConfigError(
                f"{self}: power_mw = {power_mw:g}: must be above 0 and at most max_power_mw ="
                f" {self.table.max_power_mw:g}, which the bench file sets"
            )
        self._act(f"setting its power to {power_mw:g} mW", lambda: self._set_power_mw_hw(power_mw))
        if self.is_on:
            self._settle(power_mw)

    def turn_on(self) -> None:
        """Emit the working power, and wait until the light says that it does; nothing where it is on.

        Raises
        ------
        ConfigError
            If the bench file does not arm it.
        InstrumentError
            If it does not turn on, or reports another power than it was told.
        """
        self._check_armed()
        if self.is_on:
            return
        power_mw = self.working_power_mw
        self.site.guard.before_light()
        self._act(f"setting its power to {power_mw:g} mW", lambda: self._set_power_mw_hw(power_mw))
        self._act("turning on", lambda: self._set_on_hw(True))
        if not self._reports_on():
            raise InstrumentError(
                f"{self}: turning on: it says that it is still off; check its key, its interlock and its faults"
            )
        self.site.clock.sleep_ms(1e3 * self.table.warm_up_s)
        self._settle(power_mw)

    def turn_off(self) -> None:
        """Emit nothing, and check that the light says so; what it then says counts more than a complaint on the way.

        Raises
        ------
        InstrumentError
            If it says that it is on, or does not say.
        """
        complaint: InstrumentError | None = None
        try:
            self._call("turning off", lambda: self._set_on_hw(False))
        except InstrumentError as error:
            complaint = error
        if self._reports_on():
            raise complaint or InstrumentError(f"{self}: turning off: it says that it is still ON; turn its key")
        if complaint is not None:
            logger.warning("%s; it says that it is off", complaint)

    def make_dark(self) -> None:
        """Turn off, proven by reading it back."""
        if self._connected:
            self.turn_off()

    def start_own_watchdog(self, timeout_s: float) -> bool:
        """Let the light turn itself off when it has not been fed for `timeout_s`; False where it cannot."""
        return self._call("starting its watchdog", lambda: self._start_watchdog_hw(timeout_s))

    def feed_own_watchdog(self) -> None:
        """Tell the light's own watchdog that all is well."""
        self._call("feeding its watchdog", self._feed_watchdog_hw)

    def _prepare(self) -> None:
        self.found_on = self.is_on

    def _reports_on(self) -> bool:
        return self._call("reading whether it is on", self._is_on_hw)

    def _check_armed(self) -> None:
        if not self.armed:
            raise ConfigError(
                f"{self}: is not armed, so labonn does not turn it on: give [instruments.{self.name}] max_power_mw"
                " in the bench file once you have made sure of what that power can do"
            )

    def _settle(self, power_mw: float) -> None:
        self.site.clock.sleep_ms(self.table.settle_ms)
        actual_mw = self.power_mw
        if not abs(actual_mw - power_mw) <= self.table.tolerance * power_mw:
            raise InstrumentError(
                f"{self}: was told to give {power_mw:g} mW and reports {actual_mw:g} mW after {self.table.settle_ms:g}"
                " ms; check its interlock and temperature, or give it longer in the bench file (settle_ms, warm_up_s)"
            )

    @abstractmethod
    def _is_on_hw(self) -> bool: ...

    @abstractmethod
    def _set_on_hw(self, on: bool) -> None: ...

    @abstractmethod
    def _power_mw_hw(self) -> float: ...

    @abstractmethod
    def _set_power_mw_hw(self, power_mw: float) -> None: ...

    def _interlock_closed_hw(self) -> bool:
        return True

    def _start_watchdog_hw(self, timeout_s: float) -> bool:
        return False

    def _feed_watchdog_hw(self) -> None:
        raise NotImplementedError
