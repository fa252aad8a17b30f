"""Finding instruments on lines: VISA resources and serial ports, and, where that is wanted, who answers there."""

from __future__ import annotations

import logging
import re
import tomllib
import warnings
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, Final

from drivers.conversation import Conversation, Patience
from drivers.dialect import (
    Dialect,
    LightDialect,
    PowerMeterDialect,
    ShutterDialect,
    StageDialect,
    ThermometerDialect,
)
from drivers.dialect_files import MODELS, read_dialect
from drivers.line import Port
from drivers.serial_line import SerialPlace
from drivers.visa import VisaPlace
from labonn.errors import LabonnError
from labonn.instruments.discovery import Found, Search

_DIALECTS: Final[dict[str, type[Dialect]]] = {
    "light": LightDialect,
    "meter": PowerMeterDialect,
    "thermometer": ThermometerDialect,
    "shutter": ShutterDialect,
    "stage": StageDialect,
}
_DRIVERS: Final = {
    "visa": {
        "light": "scpi_laser",
        "meter": "scpi_power_meter",
        "thermometer": "scpi_thermometer",
        "stage": "scpi_stage",
    },
    "serial": {"light": "serial_laser", "shutter": "serial_shutter", "stage": "serial_stage"},
}
_TO_FILL_IN: Final[dict[str, dict[str, Any]]] = {"stage": {"lowest_um": -100.0, "highest_um": 100.0}}
_REPLY_MS: Final = 400.0


def discover(search: Search) -> Iterator[Found]:
    """Give every line, with who answers there if it was asked."""
    serial = _serial_ports()
    given = dict.fromkeys(search.addresses, "")
    lines = {**_visa_resources(), **serial, **given}
    for address, description in lines.items():
        family = "serial" if address in serial or "://" in address else "visa"
        if not search.ask:
            yield Found(f"{family}:{address}", (), f"{description or 'unknown'}; not asked who it is (--ask)")
            continue
        come = list(_who(address, family))
        yield from come
        if not come:
            yield Found(f"{family}:{address}", (), f"{description or 'unknown'}; answers to no shipped dialect")


def _visa_resources() -> dict[str, str]:
    import pyvisa

    with warnings.catch_warnings():
        # Of protocols that it could look for with more packages installed.
        warnings.simplefilter("ignore")
        found = pyvisa.ResourceManager("@py").list_resources("?*::INSTR")
    # A serial port is listed once, as such.
    return {resource: "" for resource in found if not resource.startswith("ASRL")}


def _serial_ports() -> dict[str, str]:
    from serial.tools.list_ports import comports

    return {port.device: port.description for port in comports()}


def _who(address: str, family: str) -> Iterator[Found]:
    """Ask in every dialect who it is, and nothing else: the first answer that is right is taken."""
    quiet = logging.getLogger("drivers.conversation")
    before, quiet.disabled = quiet.disabled, True
    try:
        dialects = _dialects(family)
        for asked in _ways_to_ask(dialects.values()):
            identity = _answer(address, family, asked)
            for model, dialect in dialects.items():
                if identity is not None and dialect.identity.like.fullmatch(identity):
                    kind = str(dialect.kind)
                    place = "resource" if family == "visa" else "port"
                    table = {"driver": _DRIVERS[family][kind], "model": model, place: address}
                    description = f"{dialect.name}: {identity}"
                    yield Found(f"{family}:{address}", (kind,), description, table, _TO_FILL_IN.get(kind, {}))
                    return
    finally:
        quiet.disabled = before


def _dialects(family: str) -> dict[str, Any]:
    found = {}
    for file in sorted(MODELS.glob("*.toml")):
        kind = str(tomllib.loads(file.read_text(encoding="utf-8"))["kind"])
        if kind in _DRIVERS[family]:
            found[file.stem] = read_dialect(
                _DIALECTS[kind], "here", Path(), model=file.stem, inline=None, parameters={}
            )
    return found


def _ways_to_ask(dialects: Collection[Any]) -> list[Any]:
    """Give a dialect for each way to ask who it is; those first that most share."""
    ways = [(dialect.identity.ask, dialect.line) for dialect in dialects]
    first = dict(reversed(list(zip(ways, dialects, strict=True))))
    return [first[way] for way in sorted(first, key=ways.count, reverse=True)]


def _answer(address: str, family: str, dialect: Any) -> str | None:
    """Give what is answered to a dialect's question, whoever that is."""
    anything = dialect.identity.model_copy(update={"like": re.compile(f"(?!{re.escape(dialect.identity.ask)}$).+")})
    asked = dialect.model_copy(update={"identity": anything, "opening": (), "setup": (), "errors": None})
    place: Any = VisaPlace(resource=address) if family == "visa" else SerialPlace(port=address)
    _, make = place.line(asked.line)
    conversation = Conversation(address, Port(make(), asked.line), asked, Patience(_REPLY_MS, 0, _REPLY_MS))
    try:
        conversation.begin()
    except LabonnError:
        return None
    try:
        return conversation.identity
    finally:
        conversation.end()
