"""``/board`` and ``/board/{area}``: the public call board for visitors (叫号屏)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.routing import Route

if TYPE_CHECKING:
    from edged.pages.server import Pages


def routes(pages: Pages) -> list[Route]:
    """The HTTP routes ``/board`` and ``/board/{area}``: the call board of the whole hall, and of one area."""
    return [Route("/board", pages.shown("board.html")), Route("/board/{area}", pages.shown("board.html"))]
