"""Keeps the newest of the hall's messages as page parts in two ``Sheet``s: everything for the staff's pages, and what
visitors may see for the public board.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import structlog

from edged import strict_json
from edged.clock import Clock, monotonic_s
from edged.links.mqtt.link import Message, MqttLink
from edged.pages.sheet import Sheet
from edged.pages.tickets import TicketBook

MESSAGE_BYTES_MAX = 128 * 1024
DIGITS_MAX = 18
BEAT = "beat"
LINE = "line/"

log = structlog.get_logger("edged.pages")


class Mirror:
    """Subscribes to the hall's topics over ``link`` and keeps the newest messages.

    ``staff`` and ``public`` are the sheets with page parts; ``tickets`` has today's visits for the visitors' own pages.
    """

    def __init__(
        self, link: MqttLink, hall: str, clock: Clock, on_part: Callable[[str, dict[str, Any] | None], None]
    ) -> None:
        """``on_part``: called with the name and content of every part (None: deleted)."""
        self.staff = Sheet()
        self.public = Sheet()
        self.tickets = TicketBook()
        self.beat_s: float | None = None  # time of the hall's last heartbeat, monotonic
        self._clock = clock
        self._on_part = on_part
        self._bad = 0
        self._page = f"hall/{hall}/page/"
        self._named = {f"hall/{hall}/status": "status", f"hall/{hall}/state/cases": "cases"}
        link.subscribe(f"{self._page}#", self._received)
        for topic in self._named:
            link.subscribe(topic, self._received)
        link.on_state(self._link)
        self._link(False, "not connected yet")

    def _received(self, message: Message) -> None:
        name = self._named.get(message.topic) or message.topic.removeprefix(self._page)
        message.ack()
        if name == BEAT and message.retain:
            return  # retained: the hall may be offline by now
        body = self._object(name, message.payload)
        if body is None and message.payload:
            return
        if name == BEAT:
            self.beat_s = monotonic_s()
        self.put(name, body)

    def put(self, name: str, body: dict[str, Any] | None) -> None:
        """Store a page part in the sheet for staff, and what visitors may see of it in the public one. Parts ``line/…``
        go to ``tickets`` only, the table behind visitors' own pages. ``body`` None removes the part.
        """
        line = name.removeprefix(LINE) if name.startswith(LINE) else None
        if line is None:
            self.staff.put(name, body)
        try:
            if line is None:
                self._on_part(name, body)
            else:
                self.tickets.replace(line, body)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            self._refuse(name, repr(error), "the record of the day or visitors' own pages lack this message")
        if is_public(name):
            self.public.put(name, None if body is None else public(name, body))

    def _link(self, up: bool, reason: str) -> None:
        del reason  # pages show only whether there is a connection
        self.put("link", {"up": up, "at_ms": self._clock.wall_ms()})

    def _object(self, name: str, payload: bytes) -> dict[str, Any] | None:
        if not payload:
            return None
        try:
            return strict_json.parse(payload, MESSAGE_BYTES_MAX, DIGITS_MAX)
        except strict_json.NotStrictJson as error:
            self._refuse(name, str(error), "the pages show this part as it was before")
            return None

    def _refuse(self, name: str, why: str, effect: str) -> None:
        self._bad += 1
        if self._bad.bit_count() == 1:  # the first, second, fourth … of them
            log.warning(
                "web-page-message-refused",
                part=name[:64],
                detail=why[:120],
                refused_so_far=self._bad,
                effect=effect,
                remedy="find who else publishes to the hall's page topics; if nobody, send `edged diagnose` to support",
            )


INTERNAL_OF_AREA = ("limit", "limit_s", "target_s", "wait_s")  # not for visitors, who see a range
PUBLIC = ("names", "calls", "status", "link", BEAT)
CALL_KEYS = ("n", "number", "window", "area", "at", "again")
WINDOW_KEYS = ("state", "pause", "since")


def is_public(name: str) -> bool:
    """Whether visitors may see anything of the page part ``name``."""
    return name in PUBLIC or name.startswith(("area/", "window/"))


def public(name: str, body: dict[str, Any]) -> dict[str, Any]:
    """The part as visitors may see it: without names of people and internal reasons."""
    if name == "names":
        return {key: body.get(key) for key in ("hall", "areas", "services", "windows")}
    if name == "calls":  # a visitor's priority class is private
        return {"calls": [{key: one.get(key) for key in CALL_KEYS} for one in body.get("calls", ())]}
    if name == "status":
        return {"state": body.get("state")}
    if name.startswith("window/"):
        return {key: body.get(key) for key in WINDOW_KEYS}
    if name.startswith("area/"):
        return {key: value for key, value in body.items() if key not in INTERNAL_OF_AREA}
    return body
