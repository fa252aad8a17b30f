"""Finding the screens of this computer."""

from collections.abc import Iterator

from drivers.display_process import list_screens
from labonn.instruments.discovery import Found, Search


def discover(search: Search) -> Iterator[Found]:
    """Give every screen, the operator's too: its own driver refuses that one unless it is told."""
    for screen in list_screens():
        size = f"{screen['height']} x {screen['width']} px, {screen['refresh_hz']:g} Hz"
        primary = (
            "; the primary one, where the desktop is: refused unless allow_primary = true" if screen["primary"] else ""
        )
        table = {"driver": "display", "screen": screen["name"], "size_px": [screen["height"], screen["width"]]}
        kinds = () if screen["primary"] else ("display", "slm")
        description = f"screen {screen['name']}: {screen['monitor'] or 'unnamed monitor'}, {size}{primary}"
        yield Found(f"screen:{screen['name']}", kinds, description, table)
