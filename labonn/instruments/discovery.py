"""Finding what can be opened on this computer, through whoever is registered as a `labonn.discovery` entry point.

A finder is a module with `discover`, which takes a `Search` and gives what it found. It looks, and commands nothing.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from labonn.errors import LabonnError

logger = logging.getLogger(__name__)

GROUP = "labonn.discovery"


@dataclass(frozen=True)
class Search:
    """Where to look."""

    folder: Path
    """Micro-Manager configurations here are read."""
    cfgs: tuple[Path, ...] = ()
    """More of them."""
    addresses: tuple[str, ...] = ()
    """VISA resources and serial ports that nobody lists, such as sockets."""
    ask: bool = False
    """Whether what stands at VISA resources and serial ports is asked who it is: that writes to them."""


@dataclass(frozen=True)
class Found:
    """One thing that a bench file may name."""

    name: str
    """How it is picked; the same each time."""
    kinds: tuple[str, ...]
    """What it can be: "camera", "slm" ...; nothing where that is not known."""
    description: str
    table: dict[str, Any] = field(default_factory=dict)
    """Its table in a bench file, as far as that is known."""
    to_fill_in: dict[str, Any] = field(default_factory=dict)
    """Keys that the table needs and nobody knows from here, with values to begin with."""
    files: dict[str, str] = field(default_factory=dict)
    """Files that stand beside the bench file then: name -> text. Those of one name are joined, line by line."""


@dataclass(frozen=True)
class Discovery:
    """What there is, and what could not be looked at."""

    found: tuple[Found, ...]
    notes: tuple[str, ...]


def discover(search: Search) -> Discovery:
    """Look everywhere; what a finder cannot look at becomes a note, and spares the others."""
    found: list[Found] = []
    notes: list[str] = []
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        try:
            come: Iterable[Found] = point.load().discover(search)
            found += come
        except LabonnError as error:
            notes.append(f"{point.name}: {error}")
        except Exception as error:  # noqa: BLE001 - other people's libraries, looking at other people's hardware
            notes.append(f"{point.name}: {type(error).__name__}: {error}")
    return Discovery(tuple(found), tuple(notes))
