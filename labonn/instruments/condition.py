"""A condition of an interlock: one line of a bench file, such as `laser.power_mw <= 20`.

INSTRUMENT.READING <= NUMBER            also <, >, >=
INSTRUMENT.READING between NUMBER and NUMBER
INSTRUMENT.interlock is closed          also open; its own interlock input
SHUTTER closes when told                its reading never says open after it was told to close
"""

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

_NUMBER = r"([-+]?[0-9]*\.?[0-9]+(?:[eE][-+]?[0-9]+)?)"
_NAME = r"([A-Za-z][A-Za-z0-9_-]*)"
_COMPARED = re.compile(rf"{_NAME}\.([a-z_]+)\s*(<=|>=|<|>)\s*{_NUMBER}")
_BETWEEN = re.compile(rf"{_NAME}\.([a-z_]+)\s+between\s+{_NUMBER}\s+and\s+{_NUMBER}")
_INPUT = re.compile(rf"{_NAME}\.interlock\s+is\s+(closed|open)")
_CLOSES = re.compile(rf"{_NAME}\s+closes\s+when\s+told")
_COMPARISONS: Final[dict[str, Callable[[float, float], bool]]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}

OBEYS = "obeys"
"""Reading of `SHUTTER closes when told`: not a property, but whether it is as it was told."""


@dataclass(frozen=True)
class Condition:
    """What one reading of one instrument must be."""

    text: str
    instrument: str
    reading: str
    allows: Callable[[Any], bool]

    def __str__(self) -> str:
        return self.text

    @classmethod
    def parse(cls, text: str) -> "Condition":
        """Read one line.

        Raises
        ------
        ValueError
            If it is none of the forms above, or a range that holds nothing.
        """
        line = " ".join(text.split())
        if found := _COMPARED.fullmatch(line):
            instrument, reading, comparison, limit = found.groups()
            compare, number = _COMPARISONS[comparison], float(limit)
            return cls(line, instrument, reading, lambda value: compare(float(value), number))
        if found := _BETWEEN.fullmatch(line):
            instrument, reading, low, high = found.groups()
            lowest, highest = float(low), float(high)
            if lowest >= highest:
                raise ValueError(f"{line!r}: no reading lies between {low} and {high}")
            return cls(line, instrument, reading, lambda value: lowest <= float(value) <= highest)
        if found := _INPUT.fullmatch(line):
            instrument, state = found.groups()
            return cls(line, instrument, "interlock_closed", lambda value: bool(value) == (state == "closed"))
        if found := _CLOSES.fullmatch(line):
            return cls(line, found.group(1), OBEYS, bool)
        raise ValueError(
            f"{text!r}: is no condition; write INSTRUMENT.READING <= NUMBER (or <, >, >=), INSTRUMENT.READING between"
            " NUMBER and NUMBER, INSTRUMENT.interlock is closed, or SHUTTER closes when told"
        )

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(
            cls.parse,
            core_schema.str_schema(),
            serialization=core_schema.plain_serializer_function_ser_schema(str),
        )
