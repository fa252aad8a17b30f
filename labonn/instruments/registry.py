"""Drivers by name: what is registered as `labonn.drivers` entry points, here or by a laboratory's own package.

A driver is a module with `INSTRUMENTS`, a mapping from a kind ("camera", "slm", "display", "shutter") to the class that
drives it.
"""

from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Any, TypeVar

from pydantic import ValidationError

from labonn.config import explain
from labonn.errors import ConfigError
from labonn.instruments.bench_config import InstrumentEntry
from labonn.instruments.instrument import Instrument, Site

GROUP = "labonn.drivers"

AnyInstrument = TypeVar("AnyInstrument", bound=Instrument)


def driver_names() -> list[str]:
    """Names of the drivers that are installed."""
    return sorted({point.name for point in entry_points(group=GROUP)})


def make_instrument(
    name: str, entry: InstrumentEntry, kind: type[AnyInstrument], site: Site, where: str
) -> AnyInstrument:
    """Make, but not connect, the instrument of one table of a bench file.

    Parameters
    ----------
    name
        The table's name.
    entry
        The table.
    kind
        What its role needs: `Camera`, `SLM`, `Display` or `Shutter`.
    site
        The bench that it stands on.
    where
        The bench file, for messages.

    Raises
    ------
    ConfigError
        If there is no such driver, it does not drive this kind, or the table does not fit it.
    """
    key = f"{where}: instruments.{name}"
    classes = _classes_of(entry.driver, key)
    driver_class = classes.get(kind.kind)
    if driver_class is None or not issubclass(driver_class, kind):
        raise ConfigError(f"{key}.driver = {entry.driver!r}: drives {', '.join(sorted(classes))}; not a {kind.kind}")
    try:
        table = driver_class.table_model.model_validate(entry.model_dump())
    except ValidationError as error:
        raise ConfigError(explain(error, key)) from error
    made: AnyInstrument = driver_class(name, table, site)
    return made


def _classes_of(driver: str, key: str) -> Mapping[str, Any]:
    for point in entry_points(group=GROUP):
        if point.name == driver:
            break
    else:
        known = ", ".join(driver_names()) or "none; is the package installed (pip install .)?"
        raise ConfigError(f"{key}.driver = {driver!r}: no such driver; there are: {known}")
    try:
        module = point.load()
    except ImportError as error:
        raise ConfigError(f"{key}.driver = {driver!r}: cannot be loaded from {point.value}: {error}") from error
    classes = getattr(module, "INSTRUMENTS", None)
    if not isinstance(classes, Mapping):
        raise ConfigError(f"{key}.driver = {driver!r}: {point.value} has no INSTRUMENTS mapping, so it is not a driver")
    return classes
