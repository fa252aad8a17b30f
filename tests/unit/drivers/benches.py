"""Instruments made as `open_bench` makes them, from a table alone."""

from pathlib import Path
from typing import Any, TypeVar

from labonn.instruments import Instrument, Site, SystemClock
from labonn.instruments.bench_config import InstrumentEntry
from labonn.instruments.registry import make_instrument

AnyInstrument = TypeVar("AnyInstrument", bound=Instrument)


def site(folder: Path = Path(), **more: Any) -> Site:
    return Site(folder, SystemClock(), **more)


def make(kind: type[AnyInstrument], where: Site, **table: Any) -> AnyInstrument:
    return make_instrument(kind.kind, InstrumentEntry.model_validate(table), kind, where, "my.bench.toml")
