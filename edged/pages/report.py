"""``/report``: a printable report of one day."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.routing import Route

if TYPE_CHECKING:
    from edged.pages.server import Pages


def routes(pages: Pages) -> list[Route]:
    """The HTTP route ``/report``: the page with the report of a day."""
    return [Route("/report", pages.shown("report.html"))]
