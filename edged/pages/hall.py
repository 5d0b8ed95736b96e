"""``/``: the duty manager's view of the whole hall."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.routing import Route

if TYPE_CHECKING:
    from edged.pages.server import Pages


def routes(pages: Pages) -> list[Route]:
    """The HTTP route ``/``: the page with the plan of the hall."""
    return [Route("/", pages.shown("hall.html"))]
