"""Stub."""

from labonn.web.shell import Visit, view


async def drift_view(visit: Visit) -> None:
    """Show it."""
    with view(visit, "/drift", "Drift"):
        pass
