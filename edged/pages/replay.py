"""``/replay``: a recorded day again, and the same day under another policy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.routing import Route

if TYPE_CHECKING:
    from edged.pages.server import Pages


def routes(pages: Pages) -> list[Route]:
    """The page's address."""
    return [Route("/replay", pages.shown("replay.html"))]
