"""Publishes the page parts that ``edged web`` reads: ``hall/{hall}/page/…``, retained. Rules of this file:

* A step (the core's handling of one input) only marks the parts it changed, which is cheap. Parts are computed at most
  every ``EVERY_S``, a few at a time, and published only if they differ from the last message.
* Notes show most changes; what they do not show (a clerk's name, the end of a shift) is found by recomputing every part
  from time to time.
* A decision is published as it was when it was made (sentence, measurements, limit, alternatives). Later steps add only
  its outcome.
* A part on which this program fails is left out and logged: no page ends the hall's process.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
import structlog

from edged.central import topics
from edged.central.page_parts import AreaDay, PageParts
from edged.central.page_sources import PageLink, PageSources
from edged.central.page_words import Pair, devices_in_words
from edged.clock import monotonic_s
from edged.core.model.commands import Desired, Note
from edged.core.model.lookup import Lookup
from edged.core.model.point import point_of
from edged.core.model.site import Site
from edged.core.model.state import State
from edged.core.signage.signs import CENTRE
from edged.core.windows.machine import QUOTE
from edged.driver import Unreachable
from edged.explain.sentences import explained, sentences
from edged.explain.words import DECISIONS
from edged.heartbeat import Heartbeat
from edged.observer import Observer, Step

EVERY_S = 0.25  # real seconds between evaluations: pages are for people
ROUND_S = 2.0  # between steps of the round (``_go_round``) and between heartbeats
ROUND_PARTS = 40  # windows and areas in one step of the round: 60 take four seconds
AT_ONCE = 8  # parts made before the loop has its turn: half a millisecond
CALLS_KEPT = 12
DECISIONS_KEPT = 24
ANSWERS_KEPT = 32  # more orders than that in a quarter of a second are a flood
TOUCHED_MAX = 20_000  # marks between two evaluations; a hall has fewer points and names
FAILURES_LOGGED_MAX = 20
OUTCOMES = frozenset(
    {"tidal.opened", "tidal.unanswered", "tidal.not_now", "tidal.released", "tidal.acknowledged"}
)
_LEADS_SOMEWHERE = ("tidal.requested", "window.lent")
PARTS = ("alarms", "overrides", "staff", "policy", "links")  # small, and computed in every step of the round
_PART_OF: dict[str, tuple[str, ...]] = {
    "alarm": ("alarms",),
    "override": ("overrides",),
    "staff": ("staff",),
    "roster": ("staff",),
    "duty": ("staff",),
    "policy": ("policy",),
    "hall": ("policy", "links"),
    "device": ("links",),
    "people": ("links",),
    "tidal": ("overrides", "staff", "policy"),
}
_ENCODER = msgspec.json.Encoder()

log = structlog.get_logger("edged.central")


@dataclass(slots=True)
class _ShownDecision:
    """A decision of the tidal loop or of a person, and its outcome once that is known. ``body``: its JSON form, once it
    was computed.
    """

    n: int
    at_ms: int
    note: Note
    outcome: tuple[int, Note] | None = None
    body: dict[str, Any] | None = None


class PageDesk(Observer):
    """Publishes the page parts (JSON messages for sections of the web pages). Call ``start`` once the state is
    restored, then ``run`` until cancelled.
    """

    def __init__(self, link: PageLink, hall: str, sources: PageSources) -> None:
        self._link = link
        self._hall = hall
        self._from = sources
        self.heartbeat = Heartbeat()
        self._up = False
        self._touched: dict[str, None] = {}  # points and subjects changed since the last evaluation
        self._dirty: dict[str, None] = {}  # parts to be computed
        self._published: dict[str, bytes] = {}  # part -> the payload published last
        self._site: Site | None = None
        self._lookup: Lookup | None = None
        self._words: dict[str, Pair] = {}  # what people call each device
        self._parts: dict[str, tuple[str, ...]] = {}  # point or subject -> parts
        self._round = 0
        self._round_at_s = 0.0
        self._day = 0
        self._days: dict[str, AreaDay] = {}
        self._counted: set[tuple[str, int | str, str]] = set()  # (area, visit, "called" or "served") of today
        self._n = 0
        self._calls: deque[dict[str, Any]] = deque(maxlen=CALLS_KEPT)
        self._decisions: deque[_ShownDecision] = deque(maxlen=DECISIONS_KEPT)
        self._answers: deque[dict[str, Any]] = deque(maxlen=ANSWERS_KEPT)
        self._failures: set[str] = set()
        self._before: dict[str, None] = {}  # parts that the last process may have published

    def start(self) -> None:
        """Ask the link to report connections made and lost, and count today's visits in the restored state."""
        self._link.on_state(self._link_changed)
        state = self._from.state()
        self._day = state.day
        if state.site is None:
            return
        self._before = dict.fromkeys((*_parts_of(state.site), *_lines_of(state.site)))
        areas = {service.id: service.area for service in state.site.services}
        for ticket in state.tickets.values():
            area = areas.get(ticket.service)
            if area is None or ticket.issued_ms < state.day_start_ms:
                continue
            self._count(area, issued=1)
            if ticket.state == "SERVED":
                self._count_served(area, ticket.id)
            if ticket.called_ms is not None:
                self._count_called(area, ticket.id, (ticket.called_ms - ticket.queued_ms) / 1000)

    async def run(self) -> None:
        """Publish the page parts until cancelled."""
        while True:
            await self.heartbeat.sleep(EVERY_S)
            if self._up:
                await self.publish_changes()

    def _link_changed(self, up: bool, _reason: str) -> None:
        self._up = up
        self._published.clear()  # the broker may have lost its retained messages
        self._site = None

    # -- steps --

    def step(self, step: Step, decision_s: float) -> None:
        """As an observer: mark the parts that this step changed, and store what only its notes contain."""
        touched = self._touched
        if len(touched) < TOUCHED_MAX:
            for command in step.commands:
                if type(command) is Desired:
                    touched[command.point] = None
        for note in step.notes:
            if note.kind != "ignored":
                self._take_note(step.at_ms, note)

    def _take_note(self, at_ms: int, note: Note) -> None:
        kind, state = note.kind, self._from.state()
        self._touched[note.subject] = None
        for name in ("window", "area"):
            value = note.data.get(name)
            if isinstance(value, str):
                self._touched[value] = None
        for part in _PART_OF.get(kind.partition(".")[0], ()):
            self._dirty[part] = None
        if state.day != self._day:
            self._day = state.day
            self._days.clear()
            self._counted.clear()
            self._calls.clear()
        if kind == "ticket.issued":
            self._count(str(note.data.get("area")), issued=1)
        elif kind == "ticket.finished":
            visit = state.used_numbers.get(note.subject, note.subject)
            ticket = state.tickets.get(visit) if isinstance(visit, int) else None
            if ticket is None or ticket.state != "RETURN_PENDING":  # who fetches papers is not finished yet
                self._count_served(str(note.data.get("area")), visit)
        elif kind in ("ticket.called", "ticket.recalled"):
            self._called(at_ms, note, state)
        self._decided(at_ms, note)

    def _called(self, at_ms: int, note: Note, state: State) -> None:
        window = str(note.data.get("window"))
        own = state.windows.get(window)
        ticket = None if own is None or own.ticket is None else state.tickets.get(own.ticket)
        again, wait_s = note.kind == "ticket.recalled", note.data.get("wait_s")
        quoted = [note.data.get(key) for key in QUOTE]
        site = state.site
        area = note.data.get("area")
        if area is None and ticket is not None and site is not None:
            area = next((one.area for one in site.services if one.id == ticket.service), None)
        self._n += 1
        self._calls.appendleft(
            {
                "n": self._n,
                "number": note.subject,
                "window": window,
                "area": area,
                "at": self._from.stamp(at_ms),
                "again": again,
                "priority": "normal" if ticket is None else ticket.priority,
                "wait_s": wait_s,
                "told_s": None if None in quoted else quoted,
            }
        )
        self._dirty["calls"] = None
        if not again:
            measured = wait_s if isinstance(wait_s, int | float) else 0.0
            self._count_called(str(area), state.used_numbers.get(note.subject, note.subject), measured)

    def _count_called(self, area: str, visit: int | str, wait_s: float) -> None:
        """Count a visitor's first call in ``area`` today, after a wait of ``wait_s`` seconds: whoever is called again
        after a no-show counts once. ``visit``: the ticket's id, because numbers may begin again during a day; the
        number where the hall knows no such ticket.
        """
        if (area, visit, "called") not in self._counted:
            self._counted.add((area, visit, "called"))
            self._count(area, called=1, in_time=int(self._in_time(area, wait_s)))

    def _count_served(self, area: str, visit: int | str) -> None:
        """Count a visitor served in ``area`` today; whoever is served there again on the same ticket counts once."""
        if (area, visit, "served") not in self._counted:
            self._counted.add((area, visit, "served"))
            self._count(area, served=1)

    def _in_time(self, area: str, wait_s: float) -> bool:
        tidal = self._from.state().policy.tidal
        return wait_s <= tidal.pw_areas.get(area, tidal.pw).target_wait_s

    def _count(self, area: str, issued: int = 0, called: int = 0, in_time: int = 0, served: int = 0) -> None:
        was = self._days.get(area, AreaDay())
        self._days[area] = AreaDay(
            was.issued + issued, was.called + called, was.in_time + in_time, was.served + served
        )

    def _decided(self, at_ms: int, note: Note) -> None:
        """Store a decision; its sentence is computed later, when it is published, so as not to delay the lamps."""
        if note.kind in OUTCOMES:
            for made in self._decisions:
                if made.note.kind in _LEADS_SOMEWHERE and made.note.subject == note.subject:
                    made.outcome, made.body = (at_ms, note), None
                    self._dirty["decisions"] = None
                    break
        if note.kind in DECISIONS:
            self._n += 1
            self._decisions.appendleft(_ShownDecision(self._n, at_ms, note))
            self._dirty["decisions"] = None

    def _decisions_in_words(self, site: Site) -> list[dict[str, Any]]:
        for decision in self._decisions:
            if decision.body is None:
                decision.body = self._in_words(decision, site)
        return [decision.body for decision in self._decisions if decision.body]

    def _in_words(self, decision: _ShownDecision, site: Site) -> dict[str, Any]:
        found = explained(decision.note, site)
        if found is None:
            return {}
        outcome = None
        if decision.outcome is not None:
            zh, en = sentences(decision.outcome[1], site)
            outcome = {"zh": zh, "en": en, "at": self._from.stamp(decision.outcome[0])}
        return {
            "n": decision.n,
            "at": self._from.stamp(decision.at_ms),
            "decision": found.decision,
            "area": found.area,
            "window": found.window,
            "rule": found.rule,
            "zh": found.zh,
            "en": found.en,
            "inputs": found.inputs,
            "limits": found.thresholds,
            "alternatives": [
                {
                    "kind": one.kind,
                    "name": one.name,
                    "zh": one.zh,
                    "en": one.en,
                    "chosen": one.code == "chosen",
                }
                for one in found.alternatives
            ],
            "outcome": outcome,
        }

    def answered(self, of: str, body: dict[str, Any]) -> None:
        """Record the answer to an order. ``of``: the first ``OF_DIGITS`` hex digits of the SHA-256 of its bytes."""
        at = self._from.stamp(self._from.at_ms())
        answer = {
            "of": of,
            "ok": body["ok"],
            "code": body["code"],
            "zh": body["message_zh"],
            "en": body["message"],
        }
        self._answers.appendleft(answer | {"at": at})
        self._dirty["answers"] = None

    # -- publishing --

    async def publish_changes(self) -> None:
        """Compute every page part that is marked as possibly changed, and publish those that did change.

        If the connection is lost meanwhile, the rest is left: after a reconnect every part is published again.
        """
        state = self._from.state()
        if state.site is None:
            return
        if state.site is not self._site:
            self._learn(state.site)
        touched, self._touched = self._touched, {}
        for name in touched:
            for part in self._parts.get(name, ()):
                self._dirty[part] = None
        now_s = monotonic_s()
        if now_s >= self._round_at_s:
            self._round_at_s = now_s + ROUND_S
            self._go_round(state.site)
        dirty, self._dirty = list(self._dirty), {}
        for first in range(0, len(dirty), AT_ONCE):
            if not self._up:
                return  # everything is published again after a reconnect
            self._publish_parts(dirty[first : first + AT_ONCE])
            await asyncio.sleep(0)

    def _learn(self, site: Site) -> None:
        """Prepare for a changed configuration: compute which page parts show each device output (point), window and
        area, and clear the retained messages of parts that no longer exist.
        """
        self._site, self._lookup = site, Lookup(site)
        self._words = devices_in_words(site, tuple(device.id for device in self._from.config().devices))
        parts: dict[str, list[str]] = {point_of(CENTRE, "alarms"): ["alarms"]}
        for window in site.windows:
            own = f"window/{window.id}"
            for shows in (window.panel, window.lamp, window.display, point_of(CENTRE, window.id)):
                if shows is not None:
                    parts.setdefault(shows, []).append(own)
            parts.setdefault(window.id, []).append(own)
            parts[window.id] += [f"area/{area}" for area in self._lookup.window_areas[window.id]]
        for area in site.areas:
            for point in (point_of(CENTRE, area.id), area.id):
                parts.setdefault(point, []).append(f"area/{area.id}")
        self._parts = {point: tuple(own) for point, own in parts.items()}
        known = {one for own in parts.values() for one in own}
        here = {*known, *_lines_of(site)}
        for part in [part for part in (*self._before, *self._published) if "/" in part and part not in here]:
            if self._publish(part, b""):
                self._published.pop(part, None)
                self._before.pop(part, None)
        self._dirty |= dict.fromkeys(("names", *sorted(known), *PARTS, "calls", "decisions", "answers"))

    def _go_round(self, site: Site) -> None:
        """Mark the next ``ROUND_PARTS`` windows and areas as possibly changed. Each is marked at least once a minute,
        even in the largest hall, because some changes appear in no note.
        """
        every = _parts_of(site)
        self._dirty |= dict.fromkeys((*every[self._round : self._round + ROUND_PARTS], *PARTS, "beat"))
        self._round = 0 if self._round + ROUND_PARTS >= len(every) else self._round + ROUND_PARTS

    def _publish_parts(self, parts: list[str]) -> None:
        state, at_ms = self._from.state(), self._from.at_ms()
        if state.site is not self._site or self._lookup is None:
            return  # the next ``publish_changes`` handles the new site
        made = PageParts(state, self._lookup, at_ms, self._from.stamp, self._words)
        for part in parts:
            try:
                payload = _ENCODER.encode(self._body(made, part, at_ms))
            except Exception as error:  # noqa: BLE001 - whatever it is, the hall goes on without this part
                if part not in self._failures and len(self._failures) < FAILURES_LOGGED_MAX:
                    self._failures.add(part)
                    log.error(
                        "page-part-failed",
                        part=part,
                        error=type(error).__name__,
                        detail=str(error),
                        effect="the pages show this part as it was before",
                        remedy="a fault of this program: send `edged diagnose` to support",
                    )
                continue
            if self._published.get(part) != payload and self._publish(part, payload):
                self._published[part] = payload

    def _body(self, made: PageParts, part: str, at_ms: int) -> dict[str, Any]:
        kind, _, name = part.partition("/")
        if kind == "window":
            return made.window(name)
        if kind == "area":
            return made.area(name, self._days.get(name, AreaDay()))
        if kind == "names":
            config = self._from.config()
            return made.names(config.pages.public_url, config.timezone, config.name_en)
        if kind == "links":
            sources = self._from
            return made.links(sources.backlog(), sources.durable(), sources.clock())
        told: dict[str, Callable[[], dict[str, Any]]] = {
            "calls": lambda: {"calls": list(self._calls)},
            "answers": lambda: {"answers": list(self._answers)},
            "decisions": lambda: {
                "decisions": [] if self._site is None else self._decisions_in_words(self._site)
            },
            "alarms": made.alarms,
            "overrides": made.overrides,
            "staff": made.staff,
            "policy": lambda: made.policy(self._from.pushed()),
            "beat": lambda: {"at": self._from.stamp(at_ms)},
        }
        return told[kind]()

    def _publish(self, part: str, payload: bytes) -> bool:
        try:
            self._link.publish(topics.page(self._hall, part), payload, retain=True)
        except Unreachable:
            return False
        return True


def _parts_of(site: Site) -> list[str]:
    """The names of the page parts of each area and window."""
    return [
        *(f"area/{area.id}" for area in site.areas),
        *(f"window/{window.id}" for window in site.windows),
    ]


def _lines_of(site: Site) -> list[str]:
    """The names of the page parts for visitors' own pages (``page_lines.py``)."""
    return [] if site.tickets_url is None else [f"line/{area.id}" for area in site.areas]
