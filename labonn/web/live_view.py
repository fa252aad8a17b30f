"""Stub."""

from labonn.web.shell import Visit, view


async def live_view(visit: Visit) -> None:
    """Show it."""
    with view(visit, "/live", "Live"):
        pass
