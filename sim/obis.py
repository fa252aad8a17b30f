"""The laser's SCPI door: a Coherent OBIS LX/LS behind its remote.

Commands end with CR, LF or both; answers with CR LF. With handshaking on (as it is delivered), each answer, and each
command that has none, is followed by `OK`, and one that failed by `ERR` and its number instead. Power is in watts.

Source: Coherent, OBIS LX/LS operator's manual, appendix C "Host interface" (commands, error codes, status and fault
bits).
"""

from typing import ClassVar, Final

from sim.errors import SimulationError
from sim.illumination import Illumination
from sim.laser import Laser
from sim.scpi import ScpiError, ScpiSession, number, switch
from sim.warmth import Warmth

_END = "\r\n"
_W = 1e-3
_LOWEST_SHARE = 0.01  # of the rated power
_ERRORS: Final = {
    -100: "Unrecognized command/query",
    -102: "Syntax error",
    -109: "Parameter missing",
    -200: "Execution error",
    -220: "Invalid parameter",
    -221: "Settings conflict",
    -310: "System error",
    -350: "Queue overflow",
}
_FAULT_BITS: Final = {"none": 0, "temperature": 1 << 0, "electrical": 1 << 5}
_FAULT, _EMITS, _STANDBY, _DELAY, _POWERED = 1 << 0, 1 << 1, 1 << 3, 1 << 4, 1 << 12
_CONTROLLER, _INTERLOCK_OPEN = 0xC8000000, 1 << 26


class Obis(ScpiSession):
    """One client of the OBIS."""

    unknown: ClassVar[int] = -100
    texts: ClassVar[dict[int, str]] = _ERRORS

    def __init__(self, light: Illumination, laser: Laser, warmth: Warmth, wavelength_nm: float) -> None:
        self._light = light
        self._laser = laser
        self._handshakes = True
        rated_mw = laser.file.rated_power_mw
        name = f"OBIS {wavelength_nm:.0f}nm LX {rated_mw:.0f}mW"
        super().__init__(
            {
                "*IDN?": lambda _: f"Coherent, Inc - {name} - V1.0.1 - Nov 20 2019",
                "*RST": self._reset,
                "*TST?": lambda _: "0",
                "SYSTem:COMMunicate:HANDshaking": self._set_handshaking,
                "SYSTem:COMMunicate:HANDshaking?": lambda _: _word(self._handshakes),
                "SYSTem:ERRor:COUNt?": lambda _: str(len(self.errors)),
                "SYSTem:ERRor[:NEXT]?": lambda _: self._next_error(),
                "SYSTem:ERRor:CLEar": lambda _: self.errors.clear(),
                "SYSTem:STATus?": lambda _: f"{self._status():08X}",
                "SYSTem:FAULt?": lambda _: f"{_FAULT_BITS[laser.fault]:08X}",
                "SYSTem:LOCK?": lambda _: _word(laser.interlock_closed),
                "SYSTem:CDRH?": lambda _: _word(laser.file.emission_delay_s > 0),
                "SYSTem:INFormation:MODel?": lambda _: name,
                "SYSTem:INFormation:SNUMber?": lambda _: "SIM-0532-0001",
                "SYSTem:INFormation:FVERsion?": lambda _: "V1.0.1",
                "SYSTem:INFormation:PVERsion?": lambda _: "P1.0",
                "SYSTem:INFormation:WAVelength?": lambda _: f"{wavelength_nm:.1f}",
                "SYSTem:INFormation:POWer?": lambda _: _watts(rated_mw),
                "SYSTem:INFormation:TYPe?": lambda _: "DDL",
                "SYSTem:HOURs?": lambda _: "1234.50",
                "SOURce:POWer:NOMinal?": lambda _: _watts(rated_mw),
                "SOURce:POWer:LIMit:LOW?": lambda _: _watts(_LOWEST_SHARE * rated_mw),
                "SOURce:POWer:LIMit:HIGH?": lambda _: _watts(laser.file.most_mw),
                "SOURce:POWer:LEVel[:IMMediate][:AMPLitude]": self._set_power,
                "SOURce:POWer:LEVel:IMMediate[:AMPLitude]?": lambda _: _watts(laser.told_mw),
                "SOURce:POWer:LEVel?": lambda _: _watts(light.reported_mw()),
                "SOURce:TEMPerature:BASeplate?": lambda _: f"{warmth.celsius() + 8.0:.1f}C",
                "SOURce:AM:STATe": self._set_state,
                "SOURce:AM:STATe?": lambda _: _word(light.light_on),
                "SOURce:AM:INTernal": self._set_mode,
                "SOURce:AM:SOURce?": lambda _: "CWP",
            }
        )

    def answer(self, command: str) -> str:
        """Carry out a line."""
        handshakes = self._handshakes
        try:
            said = self.carry_out(command)
        except ScpiError as error:
            return f"ERR{error.code}{_END}" if handshakes else ""
        answer = "" if said is None else said + _END
        return answer + ("OK" + _END if self._handshakes else "")

    def _next_error(self) -> str:
        code, text = self.pop()
        return f'{code},"{text}"'

    def _set_handshaking(self, parameters: str) -> None:
        self._handshakes = _checked_switch(parameters)

    def _set_state(self, parameters: str) -> None:
        try:
            self._light.turn_laser(_checked_switch(parameters))
        except SimulationError as error:
            raise ScpiError(-200) from error

    def _set_power(self, parameters: str) -> None:
        power_mw = _checked_number(parameters) / _W
        # The last digits of watts must not decide at a limit.
        if power_mw < _LOWEST_SHARE * self._laser.file.rated_power_mw * (1 - 1e-9):
            raise ScpiError(-220)
        try:
            self._light.set_laser_power_mw(power_mw)
        except SimulationError as error:
            raise ScpiError(-220) from error

    def _set_mode(self, parameters: str) -> None:
        if not parameters:
            raise ScpiError(-109)
        if parameters.upper() != "CWP":
            raise ScpiError(-220)

    def _reset(self, _: str) -> None:
        self._light.turn_laser(False)
        self._handshakes = True
        self.errors.clear()

    def _status(self) -> int:
        status = _CONTROLLER
        if not self._laser.interlock_closed:
            return status | _INTERLOCK_OPEN | _STANDBY
        status |= _POWERED
        if self._laser.fault != "none":
            return status | _FAULT
        if not self._light.light_on:
            return status | _STANDBY
        return status | (_EMITS if self._light.emits() else _DELAY)


def _word(on: bool) -> str:
    return "ON" if on else "OFF"


def _watts(power_mw: float) -> str:
    return f"{power_mw * _W:.6f}"


def _checked_switch(parameters: str) -> bool:
    if parameters.upper() not in ("", "ON", "OFF"):
        raise ScpiError(-220)
    return switch(parameters)


def _checked_number(parameters: str) -> float:
    try:
        return number(parameters)
    except ScpiError as error:
        raise ScpiError(-220 if error.code == -104 else error.code) from error
