"""The stage's door: a Physik Instrumente C-884 of three axes, which speaks GCS 2.0 and counts in millimetres.

Axis 1 moves the camera away from the optic, axis 2 down along its rows, axis 3 right along its columns. Commands end
with LF and are not answered; the last error stands in a register that `ERR?` reads and clears.

Source: Physik Instrumente, C-884 user manual MS249E, chapter 8 "GCS commands".
"""

from collections.abc import Callable
from typing import ClassVar, Final

from sim.session import Session
from sim.stage import AXES, Carrier

_SYNTAX, _UNKNOWN, _NOT_ALLOWED, _BEYOND, _STOPPED, _NO_AXIS = 1, 2, 5, 7, 10, 15
_OWN_FAULT: Final = 1024  # "motion error: position error too large"
_MM: Final = 1e-3


class GcsError(Exception):
    """A command that is not carried out, by its number in the manual."""

    def __init__(self, code: int) -> None:
        super().__init__(f"error {code}")
        self.code = code


class C884(Session):
    """One client of the controller."""

    ends: ClassVar[bytes] = b"\n"
    ignored: ClassVar[bytes] = b"\r"

    def __init__(self, carrier: Carrier) -> None:
        super().__init__()
        self._carrier = carrier
        self._error = 0
        self._servo = {str(number): False for number in range(1, len(AXES) + 1)}

    def fail(self) -> None:
        """Put an error into the register."""
        self._error = _OWN_FAULT

    def answer(self, command: str) -> str:
        """Carry out a command."""
        name, *words = command.split()
        try:
            said = self._carry_out(name.upper(), words)
        except GcsError as error:
            self._error = error.code
            return ""
        return "" if said is None else f"{said}\n"

    def _carry_out(self, name: str, words: list[str]) -> str | None:
        carrier = self._carrier
        match name:
            case "*IDN?":
                return "(c)2019 Physik Instrumente (PI) GmbH & Co. KG, C-884.4DC, 119000001, 1.5.0.0"
            case "ERR?":
                error, self._error = self._error, 0
                return str(error)
            case "SAI?":
                return " \n".join(self._servo)
            case "POS?":
                return self._each(words, lambda axis: f"{carrier.position_um(axis) * _MM:.6f}")
            case "ONT?":
                return self._each(words, lambda axis: f"{int(not carrier.is_moving(axis))}")
            case "FRF?":
                return self._each(words, lambda axis: f"{int(carrier.is_homed(axis))}")
            case "SVO?":
                return self._each(words, lambda axis: f"{int(self._servo[_number(axis)])}")
            case "SVO":
                for axis, value in _pairs(words):
                    self._servo[_number(axis)] = value != 0
            case "MOV":
                self._move(_pairs(words))
            case "FRF":
                for axis in _axes(words):
                    carrier.home(axis)
            case "HLT" | "STP":
                for axis in _axes([word for word in words if word.upper() != "NOSMOOTH"]):
                    carrier.stop(axis)
                self._error = _STOPPED
            case _:
                raise GcsError(_UNKNOWN)
        return None

    def _move(self, goals: list[tuple[str, float]]) -> None:
        for axis, value in goals:
            if not (self._servo[_number(axis)] and self._carrier.is_homed(axis)):
                raise GcsError(_NOT_ALLOWED)
            if not self._carrier.allows(axis, value / _MM):
                raise GcsError(_BEYOND)
        for axis, value in goals:
            self._carrier.move(axis, value / _MM)

    def _each(self, words: list[str], say: Callable[[str], str]) -> str:
        return " \n".join(f"{_number(axis)}={say(axis)}" for axis in _axes(words))


def _axes(words: list[str]) -> list[str]:
    """Name the axes of numbers, all where there are none."""
    return [_axis(word) for word in words] or list(AXES)


def _pairs(words: list[str]) -> list[tuple[str, float]]:
    if not words or len(words) % 2:
        raise GcsError(_SYNTAX)
    try:
        return [(_axis(axis), float(value)) for axis, value in zip(words[::2], words[1::2], strict=True)]
    except ValueError:
        raise GcsError(_SYNTAX) from None


def _axis(word: str) -> str:
    if not word.isdecimal() or not 1 <= int(word) <= len(AXES):
        raise GcsError(_NO_AXIS)
    return AXES[int(word) - 1]


def _number(axis: str) -> str:
    return str(AXES.index(axis) + 1)
