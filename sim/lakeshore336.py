"""The thermometer's door: a Lake Shore Model 336, sensor A on the bench, the other inputs empty.

Commands end with LF, or CR LF as its manual has it; answers with CR LF. It has no error queue: a command that it does
not know is not answered and sets a bit of the standard event register, which `*ESR?` reads and clears.

Source: Lake Shore Cryotronics, Model 336 user's manual, chapter 6 "Computer interface operation".
"""

import re
from typing import ClassVar

from sim.session import Session
from sim.warmth import Warmth

_END = "\r\n"
_COMMAND_ERROR, _EXECUTION_ERROR, _COMPLETE = 1 << 5, 1 << 4, 1 << 0
_ZERO_CELSIUS_K = 273.15
_NO_SENSOR = 1 << 6  # sensor units zero


class LakeShore336(Session):
    """One client of the Model 336."""

    ends: ClassVar[bytes] = b"\n"
    ignored: ClassVar[bytes] = b"\r"

    def __init__(self, warmth: Warmth) -> None:
        super().__init__()
        self._warmth = warmth
        self._events = 0
        self._enabled = 0
        self._names = {"A": "Bench", "B": "Input B", "C": "Input C", "D": "Input D"}

    def fail(self) -> None:
        """Set the bit of an execution error."""
        self._events |= _EXECUTION_ERROR

    def answer(self, command: str) -> str:
        """Carry out the commands of a line."""
        answers = [said for unit in command.split(";") if (said := self._carry_out(unit.strip())) is not None]
        return ";".join(answers) + _END if answers else ""

    def _carry_out(self, unit: str) -> str | None:
        name, _, parameters = unit.partition(" ")
        name, parameters = name.upper(), parameters.strip()
        if name in ("KRDG?", "CRDG?", "SRDG?", "RDGST?", "INNAME?"):
            return self._reading(name, parameters.upper())
        match name:
            case "*IDN?":
                return "LSCI,MODEL336,LSA0001/0000001,2.9"
            case "*ESR?":
                events, self._events = self._events, 0
                return f"{events:03d}"
            case "*ESE?":
                return f"{self._enabled:03d}"
            case "*ESE" if re.fullmatch(r"\d{1,3}", parameters) and int(parameters) < 256:
                self._enabled = int(parameters)
            case "*STB?":
                return f"{32 if self._events & self._enabled else 0:03d}"
            case "*OPC?":
                return "1"
            case "*TST?":
                return "0"
            case "*CLS":
                self._events = 0
            case "*RST":
                self._events, self._enabled = 0, 0
            case "*OPC":
                self._events |= _COMPLETE
            case "*WAI" | "":
                pass
            case _:
                self._events |= _COMMAND_ERROR
        return None

    def _reading(self, name: str, letter: str) -> str | None:
        if letter not in self._names:
            self._events |= _EXECUTION_ERROR
            return None
        there = letter == "A"
        match name:
            case "INNAME?":
                return f"{self._names[letter]:<15}"
            case "RDGST?":
                return f"{0 if there else _NO_SENSOR:03d}"
            case "SRDG?":
                return _seven(100.0 + 0.385 * self._warmth.reading_celsius() if there else 0.0)  # ohms of a Pt-100
            case "CRDG?":
                return _seven(self._warmth.reading_celsius() if there else 0.0)
            case _:
                return _seven(self._warmth.reading_celsius() + _ZERO_CELSIUS_K if there else 0.0)


def _seven(value: float) -> str:
    """Write a sign, six digits and a point, as the manual's `±nnnnnn` means it."""
    digits = max(1, len(str(int(abs(value)))))
    return f"{value:+.{6 - digits}f}"
