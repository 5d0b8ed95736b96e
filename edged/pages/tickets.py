"""``/t/{token}``: the page with a visitor's own number on a phone, on a listener of its own. Rules of this file:

* The hall publishes only the SHA-256 of a token (``page/line/{area}``). What the page shows holds no name and no
  priority class, and disappears at the end of the day.
* Each answer says after how many seconds the phone asks again: soon if the visitor's turn is near, later otherwise.
* Nothing is streamed, and nothing is stored for a phone between two requests.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from edged.central.page_lines import COLUMNS, name_of
from edged.clock import monotonic_s
from edged.pages import assets
from edged.pages.guard import Guard
from edged.pages.sheet import Sheet

if TYPE_CHECKING:
    from edged.pages.server import Pages

TOKEN = re.compile(r"[0-9a-f]{32}")
FILES = frozenset({"icon.svg", "base.css", "ticket.css", "theme.js", "base.js", "words.js", "ticket.js"})
AREAS_MAX = 100
ROWS_MAX = 1_000  # of an area
PLACE_S = 2.0  # an area's names and windows are cached for so long
BEAT_MAX_S = 10.0  # without a heartbeat of the hall for so long, the data count as old
NEAR, SOON = 3, 10  # people ahead of a number
# margin before the earliest expected call; the shortest expected wait for which a time to be back is shown
EARLY_S, FAR_S = 300.0, 900.0
LAST_CALLS = 2
ENDED = ("served", "cancelled")
WORKING = ("OPEN", "CALLING", "SERVING")
Body = dict[str, Any]


class TicketBook:
    """Today's visits, by the hash of their token, as ``line/{area}`` publishes them."""

    def __init__(self) -> None:
        self._by_area: dict[str, dict[str, Body]] = {}

    def replace(self, area: str, body: Body | None) -> None:
        """Replace the visits of ``area`` by those in ``body``. Raises ``KeyError``, ``TypeError`` or ``ValueError`` if
        it is malformed.
        """
        if body is None:
            self._by_area.pop(area, None)
            return
        if len(self._by_area) >= AREAS_MAX and area not in self._by_area:
            return
        columns, shared = body["columns"], {"area": area, "calls_max": body["calls_max"]}
        if not set(COLUMNS) <= set(columns):
            raise ValueError("columns are missing")
        rows = [dict(zip(columns, row, strict=True)) for row in body["rows"][:ROWS_MAX]]
        self._by_area[area] = {str(row["of"]): row | shared for row in rows}

    def find(self, token: str) -> Body | None:
        """The visit of a token; None if no visit of today has it."""
        if not TOKEN.fullmatch(token):
            return None
        of = name_of(token)
        for rows in self._by_area.values():
            if of in rows:
                return rows[of]
        return None


class TicketPages:
    """The web application of the second listener, which serves only visitors' own pages (where is my number?) to their
    phones.
    """

    def __init__(self, pages: Pages) -> None:
        self._pages = pages
        self._places: dict[str, tuple[float, Body]] = {}

    def application(self) -> Guard:
        """The application inside its ``Guard``, which accepts the host name printed on tickets."""
        table = self._pages.config.pages
        public = urlsplit(table.public_url or "").hostname
        routes = [
            Route("/t/files/{name}", self.file),
            Route("/t/{token}", self.page),
            Route("/t/{token}/now", self.now),
        ]
        names = table.names if public is None else (*table.names, public)
        return Guard(Starlette(routes=routes), table.tickets_host, names, writes=frozenset())

    async def file(self, request: Request) -> Response:
        """Serve one of the page's files (``FILES``), no other."""
        name = request.path_params["name"]
        return assets.answer(self._pages.files.get(name) if name in FILES else None, request)

    async def page(self, request: Request) -> Response:
        """Serve the page. It is the same for everybody; its script then asks for the number's state."""
        if not TOKEN.fullmatch(request.path_params["token"]):
            return PlainTextResponse("Not Found\n", 404)
        return assets.answer(self._pages.files["ticket.html"], request)

    async def now(self, request: Request) -> Response:
        """Return the state of the number as JSON."""
        row = self._pages.mirror.tickets.find(request.path_params["token"])
        if row is None:
            return JSONResponse({"state": "unknown", "hall": self._hall()}, 404)
        return JSONResponse(self._visit_state(row))

    def _hall(self) -> Body:
        hall = self._pages.mirror.staff.part("names").get("hall", {})
        return {"zh": hall.get("name", ""), "en": hall.get("name_en") or hall.get("name", "")}

    def _visit_state(self, row: Body) -> Body:
        mirror = self._pages.mirror
        at = mirror.staff.part("beat").get("at")
        connected = mirror.beat_s is not None and monotonic_s() - mirror.beat_s < BEAT_MAX_S
        fresh = connected and mirror.staff.part("status").get("state") != "offline"
        kept = ("number", "state", "ahead", "low_s", "high_s", "calls", "calls_max", "issued", "told")
        place = self._place(row["area"])
        return {
            **{key: row[key] for key in kept},
            "hall": self._hall(),
            "area": place["area"],
            "service": place["services"].get(row["service"], place["area"]),
            "window": place["numbers"].get(row["window"]),
            "windows": place["windows"],
            "last": place["last"],
            "back_by": back_by(at, row) if fresh else None,
            "at": at,
            "fresh": fresh,
            "again_s": again_s(row) if fresh else 20,
        }

    def _place(self, area: str) -> Body:
        """``place_of`` with a cache of ``PLACE_S`` seconds."""
        known = self._places.get(area)
        now_s = monotonic_s()
        if known is None or now_s - known[0] > PLACE_S:
            known = self._places[area] = (now_s, place_of(self._pages.mirror.staff, area))
        return known[1]


def place_of(sheet: Sheet, area: str) -> Body:
    """What a phone shows of an area, as JSON: names, services, working windows, last calls."""
    names = sheet.part("names")
    numbers = {one["id"]: one["number"] for one in names.get("windows", ())}
    working = []
    for one in names.get("windows", ()):
        now = sheet.part(f"window/{one['id']}")
        serves = now.get("area") == area if one["tidal"] else area in one["areas"]
        if serves and now.get("state") in WORKING:
            working.append(one["number"])
    calls = [one for one in sheet.part("calls").get("calls", ()) if one.get("area") == area]
    return {
        "area": next((_both(one) for one in names.get("areas", ()) if one["id"] == area), _both({})),
        "services": {one["id"]: _both(one) for one in names.get("services", ()) if one["area"] == area},
        "numbers": numbers,
        "windows": working,
        "last": [one["number"] for one in calls[:LAST_CALLS]],
    }


def back_by(at: str | None, row: Body) -> str | None:
    """The time (RFC 3339, rounded down to five minutes) until which a visitor may go away; None: the turn may come too
    soon.
    """
    if at is None or row["state"] != "waiting" or (row["low_s"] or 0) < FAR_S:
        return None
    moment = datetime.fromisoformat(at) + timedelta(seconds=row["low_s"] - EARLY_S)
    return moment.replace(minute=moment.minute // 5 * 5, second=0, microsecond=0).isoformat()


def again_s(row: Body) -> int:
    """After how many seconds a phone should ask again: rarely while many wait before the visitor, often shortly before
    the call.
    """
    if row["state"] in ENDED:
        return 60
    if row["state"] != "waiting":
        return 5
    ahead = row["ahead"] or 0
    return 5 if ahead <= NEAR else 10 if ahead <= SOON else 20


def _both(named: Body) -> Body:
    return {"zh": named.get("name", ""), "en": named.get("name_en") or named.get("name", "")}
