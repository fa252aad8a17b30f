r"""The shutter's serial door: a Thorlabs SC10 shutter controller.

A command ends with CR. The controller echoes it with its CR, then sends the answer of a query with a CR, then the
prompt `> `: `closed?\r1\r> `. `ens` toggles: it opens a closed shutter and closes an open one. What it does not
understand it answers with `Command error` and a reason.

Source: Thorlabs, SC10 operating manual, chapter "Command line interface". 9600 baud, 8N1.
"""

import re
from math import inf
from typing import ClassVar, Final

from sim.clock import Clock
from sim.illumination import Illumination
from sim.session import Session

_UNKNOWN, _INVALID = "Command error CMD_NOT_DEFINED", "Command error CMD_ARG_INVALID"
_LIMITS: Final = {
    "mode": (1, 5),
    "rep": (1, 99),
    "open": (1, 999_999),
    "shut": (1, 999_999),
    "trig": (0, 1),
    "xto": (0, 1),
    "baud": (0, 1),
}
_COMMANDS = "id ens mode rep open shut trig xto baud closed interlock savp resp sav default"


class ControllerSettings:
    """What the controller is set to, for all of its clients."""

    def __init__(self) -> None:
        self.values = {"mode": 1, "rep": 1, "open": 100, "shut": 100, "trig": 0, "xto": 0, "baud": 0}


class SC10(Session):
    """One client of the SC10."""

    ends: ClassVar[bytes] = b"\r"
    ignored: ClassVar[bytes] = b"\n"
    answers_nothing: ClassVar[bool] = True

    def __init__(self, light: Illumination, clock: Clock, settings: ControllerSettings) -> None:
        super().__init__()
        self._light = light
        self._clock = clock
        self._settings = settings
        self._fails = False

    def fail(self) -> None:
        """Refuse the next command."""
        self._fails = True

    def answer(self, command: str) -> str:
        """Carry out one command."""
        if self._fails:
            self._fails = False
            said: str | None = _UNKNOWN
        else:
            said = self._carry_out(command.strip().lower())
        return f"{command}\r" + ("" if said is None else f"{said}\r") + "> "

    def _carry_out(self, command: str) -> str | None:
        shutter = self._light.shutter
        match command:
            case "id?" | "*idn?":
                return "THORLABS SC10 VERSION 1.07"
            case "?":
                return _COMMANDS.replace(" ", "\r")
            case "ens":
                self._light.set_shutter(not shutter.told_open)
                return None
            case "ens?":
                return str(int(shutter.told_open))
            case "closed?":
                return str(int(not (shutter.is_open(self._clock.now_s()) or shutter.is_open(inf))))
            case "interlock?":
                return "0"
            case "savp" | "sav" | "resp" | "default":
                return None
        if (asked := command.removesuffix("?")) in _LIMITS and command.endswith("?"):
            return str(self._settings.values[asked])
        name, equals, value = command.partition("=")
        if not equals or name not in _LIMITS:
            return _UNKNOWN
        low, high = _LIMITS[name]
        if not re.fullmatch(r"\d{1,6}", value) or not low <= int(value) <= high:
            return _INVALID
        self._settings.values[name] = int(value)
        return None
