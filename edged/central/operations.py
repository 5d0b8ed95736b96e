"""Operations: the signed orders that a hall carries out immediately, such as opening a window. From the bytes of an
envelope to a core event, or a refusal.

The checks, in this order; the first that fails ends it:

1. not retained   2. size, signing key, signature over the raw bytes (``envelope.verify``)   3. strict parse
4. type, halls, the operation is the one the topic names, and one that this key may order
5. dates: valid now, and for a day at most
6. counter above the last one of this key (replay)   7. the form of its body

The core checks the rest: whether there is such a window, whether anybody waits with that number. There is one class for
each operation and one line in ``OPERATIONS``. ``by`` is the name of the person who gives the order, for the journal and
for those whom it concerns.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from typing import Annotated, Any, cast

from msgspec import Meta, field, structs

from edged import personal, strict_json
from edged.central import envelope
from edged.central.audience import (
    CLOCK_TRUSTED_FROM_MS,
    Audience,
    LastOrder,
    Moment,
    Order,
    Past,
    Trusted,
    epoch_ms,
)
from edged.central.documents import Document, check_dates, check_for_us, parse, shape_reasons
from edged.central.refusals import DocumentRefused, reason
from edged.config.nearest import nearest
from edged.core.model.events import (
    WHOLE_HALL,
    AlarmAccepted,
    Announced,
    CaseTold,
    CaseWord,
    DayReset,
    Event,
    GoneOn,
    HoursFlexed,
    NoticePosted,
    NoticeWithdrawn,
    OverrideKind,
    OverrideLifted,
    OverrideSet,
    RatingAnswered,
    RatingCorrected,
    RosterTold,
    RosterWord,
    WindowAsked,
)
from edged.core.model.names import area_meant, service_meant, staff_meant, window_meant
from edged.core.model.site import Site
from edged.shapes import ID, Misshapen, Rule, Shape, filled, form, read


def _exists(moment: str) -> str:
    epoch_ms(moment)
    return moment


PAYLOAD_TYPE = "application/vnd.edged.operation+json"
TYPE = "operation"
LIFE_MAX_H = 24  # an order is for now; one carried out a day later would surprise everybody
SKEW_MS = 120_000  # between the centre's clock and ours
COUNTER_MAX = 2**53 - 1
FOR_MAX_S = 86_400
AREAS_MAX = 50

ID_FORM = r"^[A-Za-z0-9_.-]{1,64}$"
_ID = re.compile(ID_FORM)
Id = Annotated[str, ID]
Number = Annotated[str, form(r"^[0-9A-Za-z-]{1,12}$")]
Called = Annotated[str, Meta(min_length=1, max_length=64)]  # a part of the hall: its id, number or name
Name = Annotated[str, form(r"^[0-9A-Za-z][0-9A-Za-z/:_.-]{0,63}$")]
Until = Annotated[Moment, Rule(_exists)]
Clock = Annotated[str, form(r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]
Text = Annotated[str, Meta(min_length=1, max_length=200)]
Seconds = Annotated[int, Meta(ge=1, le=FOR_MAX_S)]


class OperationDocument(Document, frozen=True):
    """The payload of an operation, as it is signed. ``counter`` must grow with every document of a key, against
    replays: milliseconds of the wall clock do.
    """

    type: Annotated[str, Meta(description=f'always "{TYPE}"', extra_json_schema={"const": TYPE})]
    operation: Id
    id: Annotated[str, form(ID_FORM)]
    counter: Annotated[int, Meta(ge=1, le=COUNTER_MAX)]
    by: Annotated[str, Meta(min_length=1, max_length=64)]
    body: dict[str, Any] = field(default_factory=dict)


class Body(Shape, frozen=True):
    """The arguments of an operation. ``order`` turns them into a core event, or None if the core does not carry it
    out.
    """

    def order(self, by: str) -> Event | None:
        """The order as an event of the core; ``by``: the name of the person who gives it."""
        raise AssertionError("every operation says what it orders")


class Open(Body, frozen=True):
    """Open a window by hand for ``for_s`` seconds (left out: the policy's default). A tidal window opens for ``area``
    (left out: for the area where most people wait).
    """

    window: Called
    area: Called | None = None
    for_s: Seconds | None = None
    reason: Text | None = None

    def order(self, by: str) -> Event:
        """This order as an event of the core, an override; ``by``: the name of the person who gives it."""
        return OverrideSet("open", self.window, by, self.for_s, self.area, self.reason)


class Close(Body, frozen=True):
    """Close a window for ``for_s`` seconds (left out: the policy's default). It serves its present visitor to the end
    and calls nobody else.
    """

    window: Called
    for_s: Seconds | None = None
    reason: Text | None = None

    def order(self, by: str) -> Event:
        """This order as an event of the core, an override; ``by``: the name of the person who gives it."""
        return OverrideSet("close", self.window, by, self.for_s, reason=self.reason)


class Hold(Body, frozen=True):
    """Keep a "+1" window (潮汐窗口), which is open for an area, from being released for ``for_s`` seconds (left out:
    the policy's default).
    """

    window: Called
    for_s: Seconds | None = None
    reason: Text | None = None

    def order(self, by: str) -> Event:
        """This order as an event of the core, an override; ``by``: the name of the person who gives it."""
        return OverrideSet("hold", self.window, by, self.for_s, reason=self.reason)


class PauseIssuing(Body, frozen=True):
    """Stop issuing numbers in ``area`` (left out: in the whole hall) for ``for_s`` seconds (left out: the policy's
    default).
    """

    area: Called | None = None
    for_s: Seconds | None = None
    reason: Text | None = None

    def order(self, by: str) -> Event:
        """This order as an event of the core, an override; ``by``: the name of the person who gives it."""
        return OverrideSet("pause-issuing", self.area or WHOLE_HALL, by, self.for_s, reason=self.reason)


class PriorityInsert(Body, frozen=True):
    """Move the waiting visitor with the number ``number`` to the front of the queue for the next call."""

    number: Number
    reason: Text | None = None

    def order(self, by: str) -> Event:
        """This order as an event of the core, an override; ``by``: the name of the person who gives it."""
        return OverrideSet("priority-insert", self.number, by, reason=self.reason)


class SetOverride(Body, frozen=True):
    """Set an override (人工干预, a person's decision that replaces the rules for a time). ``kind``: open, close, hold,
    pause-issuing or priority-insert; ``target`` is what that is about: a window, an area, "hall" or a number.
    """

    kind: OverrideKind
    target: Called
    area: Called | None = None
    for_s: Seconds | None = None
    reason: Text | None = None

    def order(self, by: str) -> Event:
        """This order as an event of the core, an override; ``by``: the name of the person who gives it."""
        return OverrideSet(self.kind, self.target, by, self.for_s, self.area, self.reason)


class Lift(Body, frozen=True):
    """End an override (人工干预) before its time. ``kind`` and ``target`` name it as it was set."""

    kind: OverrideKind
    target: Called
    reason: Text | None = None

    def order(self, by: str) -> Event:
        """The end of the override as an event."""
        return OverrideLifted(self.kind, self.target, by, self.reason)


class AcceptAlarm(Body, frozen=True):
    """Record that a person takes care of an alarm. ``kind`` and ``subject`` name it as in the state message of the
    alarms.
    """

    kind: Annotated[str, form(r"^[a-z-]{1,32}$")]
    subject: Called

    def order(self, by: str) -> Event:
        """The acceptance as an event of the core; ``by``: the name of the person who gives the order."""
        return AlarmAccepted(self.kind, self.subject, by)


class AskWindow(Body, frozen=True):
    """Ask for one more open window in ``area``; the tidal loop chooses the window, within the policy's limits. With
    ``withdraw``, take back one's own earlier wish for the area instead; with ``everybody`` also the wishes of all
    others.
    """

    area: Called
    withdraw: bool = False
    everybody: bool = False

    def order(self, by: str) -> Event:
        """The wish, or its withdrawal, as an event."""
        return WindowAsked(self.area, by, self.withdraw, self.everybody)


class Announce(Body, frozen=True):
    """Announce a text once by voice, in the named areas; in all if none is named."""

    text: Text
    text_en: Text
    areas: Annotated[tuple[Called, ...], Meta(max_length=AREAS_MAX)] = ()

    def order(self, by: str) -> Event:
        """The announcement as an event of the core; ``by``: the name of the person who gives the order."""
        return Announced(self.text, self.text_en, self.areas, by)


class CaseOrder(Body, frozen=True):
    """Open a case (办不成事, a visitor's complaint that something could not be done) or report what was done about it.

    ``told`` says which: "open" makes a new case; acknowledge, close, reopen, extend and rate need the id of one in
    ``case``. ``code`` is one that the policy lists: why the case is opened, or the outcome with which it is closed.
    Only for opening: ``area``, ``service``, ``ticket`` (a number of today) and ``special`` (the deadline of special
    cases applies). Only for rating: ``level``, 1 to 5.
    """

    told: CaseWord
    case: Name | None = None
    code: Name | None = None
    area: Called | None = None
    service: Called | None = None
    ticket: Number | None = None
    special: bool = False
    level: Annotated[int, Meta(ge=1, le=5)] | None = None

    def order(self, by: str) -> Event:
        """The report as an event of the core; ``by``: the name of the person who gives the order."""
        return CaseTold(by=by, **structs.asdict(self))


class CorrectRating(Body, frozen=True):
    """Change the rating with the id ``rating`` to ``level``, 1 to 5; the original stays in the journal."""

    rating: Name
    level: Annotated[int, Meta(ge=1, le=5)]

    def order(self, by: str) -> Event:
        """The correction as an event of the core; ``by``: the name of the person who gives the order."""
        return RatingCorrected(self.rating, self.level, by)


class AnswerRating(Body, frozen=True):
    """Record that a bad rating (差评) was dealt with. ``code``: how, one of the codes that the policy lists."""

    rating: Name
    code: Name | None = None

    def order(self, by: str) -> Event:
        """The answer as an event of the core; ``by``: the name of the person who gives the order."""
        return RatingAnswered(self.rating, by, self.code)


class FlexHours(Body, frozen=True):
    """Change today's opening and closing time ("HH:MM"; left out: as the policy says) of ``area`` (left out: of the
    whole hall).
    """

    area: Called | None = None
    opens: Clock | None = None
    closes: Clock | None = None

    def order(self, by: str) -> Event:
        """The changed hours as an event."""
        return HoursFlexed(self.area, _minute(self.opens), _minute(self.closes), by)


class Roster(Body, frozen=True):
    """Change today's roster. ``said``: the member of staff ``staff`` (an id or a name) is "absent", is "back", or
    "also" serves ``areas``.
    """

    staff: Annotated[str, Meta(min_length=1, max_length=64)]
    said: RosterWord
    areas: Annotated[tuple[Called, ...], Meta(max_length=AREAS_MAX)] = ()

    def order(self, by: str) -> Event:
        """The change as an event of the core; ``by``: the name of the person who gives the order."""
        return RosterTold(self.staff, self.said, by, self.areas)


class GoOn(Body, frozen=True):
    """Continue numbering after staff gave numbers by hand. ``number`` is the next to issue. Of those given by hand,
    ``waiting_from`` and later ones still wait (left out: none of them does).
    """

    number: Number
    waiting_from: Number | None = None

    def order(self, by: str) -> Event:
        """The next number as an event."""
        return GoneOn(self.number, by, self.waiting_from)


class ResetDay(Body, frozen=True):
    """Clear the queue by hand; refused while people wait, unless force is true."""

    force: bool = False

    def order(self, by: str) -> Event:
        """The reset as an event of the core; ``by``: the name of the person who gives the order."""
        return DayReset(by, self.force)


class NoticeOrder(Body, frozen=True):
    """Put a notice on the boards of ``areas`` (left out: of all areas and of the hall) until ``until``, or until it is
    withdrawn by its ``id``.
    """

    id: Name
    text: Text
    text_en: Text
    areas: Annotated[tuple[Called, ...], Meta(max_length=AREAS_MAX)] = ()
    until: Until | None = None

    def order(self, by: str) -> Event:
        """The notice as an event of the core; ``by``: the name of the person who gives the order."""
        until_ms = None if self.until is None else epoch_ms(self.until)
        return NoticePosted(self.id, self.text, self.text_en, self.areas, until_ms, by)


class Withdraw(Body, frozen=True):
    """Withdraw a notice, named by its id."""

    id: Name

    def order(self, by: str) -> Event:
        """The withdrawal as an event of the core; ``by``: the name of the person who gives the order."""
        return NoticeWithdrawn(self.id, by)


class Rollback(Body, frozen=True):
    """Put the previous policy back in force. ``version``: only if that version is in force now (left out: whichever
    is).
    """

    version: Annotated[int, Meta(ge=1, le=COUNTER_MAX)] | None = None

    def order(self, by: str) -> None:
        """Always None: ``PolicyDesk`` carries it out, not the core."""
        return


OPERATIONS: dict[str, type[Body]] = {
    "open": Open,
    "close": Close,
    "hold": Hold,
    "pause-issuing": PauseIssuing,
    "priority-insert": PriorityInsert,
    "override": SetOverride,
    "lift": Lift,
    "accept-alarm": AcceptAlarm,
    "ask-window": AskWindow,
    "announce": Announce,
    "notice": NoticeOrder,
    "withdraw": Withdraw,
    "case": CaseOrder,
    "rating-correct": CorrectRating,
    "rating-answer": AnswerRating,
    "hours-flex": FlexHours,
    "roster": Roster,
    "go-on": GoOn,
    "reset-day": ResetDay,
    "rollback": Rollback,
}


def accept(raw: bytes, name: str, trusted: Trusted, audience: Audience, past: Past) -> Order:
    """Make checks 2 to 7 of an operation received on the topic of ``name``. Raises ``DocumentRefused`` at the first
    that fails.
    """
    opened = envelope.verify(raw, PAYLOAD_TYPE, trusted.keys, trusted.unusable)
    document = parse(opened.payload, OperationDocument)
    check_for_us(document, TYPE, audience)
    if document.operation != name:
        raise DocumentRefused(
            reason("wrong-operation", "operation", found=document.operation, expected=name[:40])
        )
    scope = trusted.scopes.get(opened.keyid)
    if scope is not None and name not in scope:
        raise DocumentRefused(reason("out-of-scope", "operation", found=name, keyid=opened.keyid))
    _valid_now(document, past.now_ms)
    counter = LastOrder(document.counter, hashlib.sha256(opened.payload).hexdigest())
    last = past.counters.get(opened.keyid, LastOrder(0, ""))
    if counter != last and counter.value <= last.value:
        raise DocumentRefused(reason("replayed", "counter", counter=counter.value, high=last.value))
    body = body_of(document)
    event, version = body.order(document.by), body.version if isinstance(body, Rollback) else None
    if event is not None:
        event = cast(Event, replace(cast(Any, event), order=document.id))  # each event of a body has it
    return Order(name, document.id, document.by, opened.keyid, counter, event, counter == last, version)


def with_ids(event: Event, site: Site) -> Event:
    """Return the event with ids in place of the window numbers and names that people write. A name that the hall does
    not know stays as it is.
    """
    found: dict[str, Any] = {}
    for one in fields(cast(Any, event)):
        value = getattr(event, one.name)
        find = _FINDERS.get(one.name)
        if one.name == "target":
            find = _target_of(cast(Any, event).kind)
        if find is not None and isinstance(value, str):
            found[one.name] = find(site, value) or value
        elif one.name == "areas":
            found["areas"] = tuple(area_meant(site, area) or area for area in value)
    return cast(Event, replace(cast(Any, event), **found)) if found else event


Finder = Callable[[Site, str], str | None]


def _subject_meant(site: Site, subject: str) -> str | None:
    """The id of the window, area or member of staff that an alarm's subject names; None if it names none."""
    finders = (window_meant, area_meant, staff_meant)
    return next((found for find in finders if (found := find(site, subject)) is not None), None)


_FINDERS: Mapping[str, Finder] = {
    "window": window_meant,
    "area": area_meant,
    "service": service_meant,
    "staff": staff_meant,
    "subject": _subject_meant,
}


def _target_of(kind: OverrideKind) -> Finder | None:
    if kind == "priority-insert":  # a number of today
        return None
    return area_meant if kind == "pause-issuing" else window_meant


def claimed_id(raw: bytes) -> str:
    """Return the id in an operation whose signature is not checked here; "" if it has no valid one or cannot be
    read.
    """
    try:
        payload = envelope.opened_unverified(raw)
        named = strict_json.parse_document(payload, envelope.ENVELOPE_BYTES_MAX).get("id")
    except (DocumentRefused, strict_json.NotStrictJson):
        return ""
    fit = isinstance(named, str) and _ID.fullmatch(named) and not personal.names_a_person(named)
    return str(named) if fit else ""


def inspect(payload: bytes) -> OperationDocument:
    """Check everything that does not depend on a hall, for those who sign a document. Raises ``DocumentRefused`` if the
    operation is malformed, unknown, or its dates are impossible.
    """
    document = parse(payload, OperationDocument)
    _valid_now(document, 0)
    body_of(document)
    return document


def body_of(document: OperationDocument) -> Body:
    """Parse the arguments of the operation. Raises ``DocumentRefused`` for an unknown operation or wrong arguments."""
    kind = OPERATIONS.get(document.operation)
    if kind is None:
        near = nearest(document.operation, OPERATIONS)
        words = {
            "hint": f'; did you mean "{near}"?' if near else f"; there are: {', '.join(OPERATIONS)}",
            "hint_zh": f"，是否为“{near}”？" if near else "",
        }
        raise DocumentRefused(reason("unknown-operation", "operation", found=document.operation, **words))
    try:
        return read(kind, filled(document.body))
    except Misshapen as error:
        raise DocumentRefused(*shape_reasons(error, "body")) from None


def _minute(clock: str | None) -> int | None:
    """Convert "HH:MM" to minutes after midnight; None stays None."""
    return None if clock is None else int(clock[:2]) * 60 + int(clock[3:])


def _valid_now(document: OperationDocument, now_ms: int) -> None:
    check_dates(document, now_ms)
    start_ms, end_ms = epoch_ms(document.not_before), epoch_ms(document.expires)
    if end_ms - start_ms > LIFE_MAX_H * 3_600_000:
        raise DocumentRefused(reason("too-long", "expires", limit_h=LIFE_MAX_H))
    if now_ms >= CLOCK_TRUSTED_FROM_MS and now_ms + SKEW_MS < start_ms:
        raise DocumentRefused(reason("not-yet", "not_before", not_before=document.not_before))
