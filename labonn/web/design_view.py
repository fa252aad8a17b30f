"""Stub."""

from labonn.web.shell import Visit, view


async def design_view(visit: Visit) -> None:
    """Show it."""
    with view(visit, "/design", "Design"):
        pass
