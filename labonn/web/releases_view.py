"""Stub."""

from labonn.web.shell import Visit, view


async def releases_view(visit: Visit) -> None:
    """Show it."""
    with view(visit, "/releases", "Releases"):
        pass
