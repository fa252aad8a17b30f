"""The laser's serial door: a Cobolt (Huebner Photonics) 06-MLD, for the same laser as the SCPI door.

A command ends with CR; an LF after it does no harm. An answer ends with CR LF: a value, `OK`, or a syntax error. Power
is in watts, current in mA.

Source: Cobolt, Series 06-01 owner's manual, appendix "Serial communication". 115200 baud, 8N1.
"""

import re
from typing import ClassVar, Final

from sim.errors import SimulationError
from sim.illumination import Illumination
from sim.laser import Laser
from sim.session import Session

_END = "\r\n"
_ILLEGAL = "Syntax error: illegal command"
_VALUE = "Syntax error: illegal value"
_FAULTS: Final = {"none": 0, "temperature": 1, "electrical": 4}
_INTERLOCK_FAULT = 3
_OFF, _COMPLETED, _FAULT_MODE = 0, 4, 5
_MA_PER_MW, _THRESHOLD_MA = 2.5, 30.0


class Cobolt06(Session):
    """One client of the 06-MLD."""

    ends: ClassVar[bytes] = b"\r"
    ignored: ClassVar[bytes] = b"\n"

    def __init__(self, light: Illumination, laser: Laser, wavelength_nm: float) -> None:
        super().__init__()
        self._light = light
        self._laser = laser
        self._model = f"{wavelength_nm:04.0f}-06-01-{laser.file.rated_power_mw:04.0f}-100"
        self._fails = False

    def fail(self) -> None:
        """Refuse the next command."""
        self._fails = True

    def answer(self, command: str) -> str:
        """Carry out one command."""
        if self._fails:
            self._fails = False
            return _ILLEGAL + _END
        return self._carry_out(command.strip()) + _END

    def _carry_out(self, command: str) -> str:
        name, _, value = command.partition(" ")
        name, value = name.lower(), value.strip()
        if name == "p":
            return self._set_power(value)
        match command.lower():
            case "?" | "cp" | "cf":
                return "OK"
            case "l?":
                return str(int(self._light.light_on))
            case "l1" | "@cob1":
                return self._turn(True)
            case "l0" | "@cob0":
                return self._turn(False)
            case "p?":
                return f"{self._laser.told_mw / 1e3:.4f}"
            case "pa?":
                return f"{self._light.reported_mw() / 1e3:.4f}"
            case "i?":
                reported_mw = self._light.reported_mw()
                return f"{_THRESHOLD_MA + _MA_PER_MW * reported_mw if reported_mw else 0.0:.1f}"
            case "ilk?":
                return str(int(not self._laser.interlock_closed))
            case "f?":
                return str(self._fault())
            case "gom?":
                return str(_FAULT_MODE if self._fault() else _COMPLETED if self._light.light_on else _OFF)
            case "gsn?" | "sn?":
                return "060001"
            case "gfv?" | "ver?":
                return "9.001"
            case "glm?":
                return self._model
            case "hrs?":
                return "1234.50"
            case "@cobas?":
                return "0"
            case _:
                return _ILLEGAL

    def _set_power(self, value: str) -> str:
        if not re.fullmatch(r"\d*\.?\d+", value):
            return _VALUE
        try:
            self._light.set_laser_power_mw(float(value) * 1e3)
        except SimulationError:
            return _VALUE
        return "OK"

    def _turn(self, on: bool) -> str:
        try:
            self._light.turn_laser(on)
        except SimulationError:
            return "OK"  # it takes the command, and does not emit: `ilk?` and `f?` say why
        return "OK"

    def _fault(self) -> int:
        return _FAULTS[self._laser.fault] if self._laser.interlock_closed else _INTERLOCK_FAULT
