"""Publishes the state of today's visits, area by area, for visitors' own pages: ``hall/{hall}/page/line/{area}``,
retained. Rules of this file:

* Only if hall.toml sets the address of those pages (``[pages] public_url``). A number is published under a hash of its
  token, so that nobody who reads the broker can open another person's page. No priority class, no name.
* Today's tickets are processed a few at a time, because finding a visitor's place means a search in the queue. The
  event loop runs in between.
* A finished visit stays for a quarter of an hour, so that the phone can show it; the end of the day removes all.
"""

from __future__ import annotations

import asyncio
from hashlib import sha256
from typing import Any

import msgspec
import structlog

from edged.central import topics
from edged.central.page_sources import PageLink, PageSources
from edged.core.model.lookup import Lookup
from edged.core.model.site import Site
from edged.core.model.state import State, Ticket, TicketState
from edged.core.model.turn import Turn
from edged.core.queue import demand
from edged.core.queue.ordering import ahead
from edged.core.visits.own_page import token
from edged.driver import Unreachable
from edged.heartbeat import Heartbeat

EVERY_S = 3.0  # real seconds between rounds; a phone asks every five at most
AT_ONCE = 8  # tickets between two turns of the loop: half a millisecond
ROWS_MAX = 1_000  # of an area: 115 bytes each, and a reader takes 128 KiB
OVER_MS = 15 * 60_000  # for how long a finished visit is published
OF_DIGITS = 24
COLUMNS = (
    "of",
    "number",
    "service",
    "state",
    "ahead",
    "low_s",
    "high_s",
    "window",
    "calls",
    "issued",
    "told",
)
STATES: dict[TicketState, str] = {
    "BOOKED": "booked",
    "WAITING": "waiting",
    "ISSUE_FAILED": "unprinted",
    "CALLED": "called",
    "SERVING": "serving",
    "PARKED": "parked",
    "RETURN_PENDING": "return",
    "NO_SHOW": "missed",
    "SERVED": "served",
    "CANCELLED": "cancelled",
}
Row = tuple[Any, ...]
_ENCODER = msgspec.json.Encoder()

log = structlog.get_logger("edged.central")


def name_of(own: str) -> str:
    """The name under which a visitor's row is published: a hash of ``own``, the secret token in the address of their
    own page.
    """
    return sha256(own.encode()).hexdigest()[:OF_DIGITS]


class LineDesk:
    """Publishes today's visits of all areas, one row each. ``run`` runs until cancelled."""

    def __init__(self, link: PageLink, hall: str, sources: PageSources) -> None:
        self._link = link
        self._hall = hall
        self._from = sources
        self._up = False
        self._published: dict[str, bytes] = {}  # by area
        self._lookup: Lookup | None = None
        self._failed = False
        self.heartbeat = Heartbeat()

    def start(self) -> None:
        """Ask the link to report connections made and lost."""
        self._link.on_state(self._link_changed)

    async def run(self) -> None:
        """Publish every ``EVERY_S`` seconds the state of today's visits and the places in the queue of those who wait,
        until cancelled.
        """
        while True:
            await self.heartbeat.sleep(EVERY_S)
            if self._up:
                await self.publish_changes()

    def _link_changed(self, up: bool, _reason: str) -> None:
        self._up = up
        self._published.clear()  # the broker may have lost its retained messages

    async def publish_changes(self) -> None:
        """Compute the rows of all areas once, and publish those that changed."""
        site = self._from.state().site
        if site is None or site.tickets_url is None:
            for area in list(self._published):
                self._publish(area, b"")
            self._published.clear()
            return
        try:
            lines = await self._lines(site)
        except Exception as error:  # noqa: BLE001 - whatever it is, the hall goes on without this part
            if not self._failed:
                self._failed = True
                log.error(
                    "ticket-pages-failed",
                    error=type(error).__name__,
                    detail=str(error),
                    effect="visitors' own pages are not updated",
                    remedy="a fault of this program: send `edged diagnose` to support",
                )
            return
        calls_max = self._from.state().policy.calling.max_calls
        for area, rows in lines.items():
            body = {"columns": COLUMNS, "rows": rows[-ROWS_MAX:], "calls_max": calls_max}
            self._publish(area, _ENCODER.encode(body))
        for area in self._published.keys() - lines.keys():
            self._publish(area, b"")
            del self._published[area]

    async def _lines(self, site: Site) -> dict[str, list[Row]]:
        if self._lookup is None or self._lookup.site is not site:
            self._lookup = Lookup(site)
        found: dict[str, list[Row]] = {area.id: [] for area in site.areas}
        tickets = list(self._from.state().tickets.values())
        for first in range(0, len(tickets), AT_ONCE):
            state = self._from.state()
            if state.site is not site:
                break  # the next round knows the new hall
            turn = Turn(state, self._lookup, self._from.at_ms())
            for ticket in tickets[first : first + AT_ONCE]:
                own = token(state, ticket)
                if own is not None and _is_shown(state, ticket, turn.at_ms):
                    found[self._lookup.area_of(ticket.service)].append(self._row(turn, ticket, own))
            await asyncio.sleep(0)
        return found

    def _row(self, turn: Turn, ticket: Ticket, own: str) -> Row:
        waits = ticket.state == "WAITING"
        wait = demand.ticket_range(turn, ticket) if waits else None
        low_s, _, high_s = (None, None, None) if wait is None else wait.rounded_to_minutes_s()
        wait_range_s = None if ticket.quoted_s is None else (ticket.quoted_s[0], ticket.quoted_s[2])
        return (
            name_of(own),
            ticket.number,
            ticket.service,
            STATES[ticket.state],
            sum(ahead(turn, ticket).values()) if waits else None,
            low_s,
            high_s,
            ticket.window if ticket.state in ("CALLED", "SERVING", "NO_SHOW") else None,
            ticket.calls,
            self._from.stamp(ticket.issued_ms),
            wait_range_s,
        )

    def _publish(self, area: str, payload: bytes) -> None:
        if self._published.get(area) == payload:
            return
        try:
            self._link.publish(topics.page(self._hall, f"line/{area}"), payload, retain=True)
        except Unreachable:
            return
        self._published[area] = payload


def _is_shown(state: State, ticket: Ticket, at_ms: int) -> bool:
    """Whether a ticket is published: one of today that ended less than ``OVER_MS`` ago, if at all. A no-show stays
    published. A visit without a number (``direct``) has no page.
    """
    if ticket.direct or ticket.issued_ms < state.day_start_ms:
        return False
    return ticket.ended_ms is None or ticket.state == "NO_SHOW" or at_ms - ticket.ended_ms < OVER_MS
