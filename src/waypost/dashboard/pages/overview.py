"""The overview: are my updates going out, and what needs me."""

from litestar import Response, get

from waypost.dashboard.visit import Visit


@get("/")
async def overview(visit: Visit) -> Response[str]:
    """Show how things stand."""
    return visit.page("overview.html")


HANDLERS = [overview]
