"""Everything that can happen to a hall, as frozen data. The inbox stamps each with ``at_ms`` on its way in.

``point`` names where a device event came from (see ``site.py``). ``seq`` is the device's own increasing number and,
with the point and the sender's epoch, the idempotency key (``sequence.py``); ``None`` where the device has no counter
(serial panels). ``again``: the broker says that it sent us this before. ``order``: id of the signed operation that asks
for this (``orders.py``), empty if none does. ``boot``: the device's own name for its life
since it was switched on, where it gives one.
"""

from __future__ import annotations

from typing import Literal

from edged.core.model.point import Point
from edged.core.model.policy import Policy
from edged.core.model.site import Site
from edged.core.model.value import value

Key = Literal[
    "next",
    "prepare",
    "announce",
    "recall",
    "arrive",
    "finish",
    "no-show",
    "park",
    "resume",
    "transfer",
    "pause",
    "unpause",
    "login",
    "logout",
    "accept",
    "decline",
    "later",  # a consultation window that is asked to open finishes a conversation first
    "case",
    "commissioner",
    "guide",
    "special-need",
    "cancel",
    "priority",
    "walk-direct",
    "green-lane",
    "reprint",
    "next-or-recall",  # one physical key on candle485 panels: call next, or recall while a call is open
    "no-show-or-finish",  # its other half: no-show while calling, finish while serving
    "force-open",  # overrides (人工干预), see ``overrides.press``
    "force-close",
    "hold",
    "lift",
    "pause-issuing",
    "priority-insert",
    "extend-hours",  # today's, of an area or the hall, see ``late_hours.py``
    "roster",  # who is absent today, back, or serves another area, see ``roster.py``
    "go-on",  # numbers were given by hand, see ``by_hand.py``
    "promise-kept",  # papers that were promised (容缺受理) came
    "answer",  # of the duty manager: a bad rating is looked after
]
OverrideKind = Literal["open", "close", "hold", "pause-issuing", "priority-insert"]
CaseWord = Literal["open", "acknowledge", "close", "reopen", "extend", "rate"]
MachineAlarm = Literal[
    "config-refused",
    "config-waiting",
    "file-refused",
    "certificate-ends",
    "client-id-taken",
    "broker-refuses",
    "ack-ahead",
    "not-kept",
    "journal-renewed",
    "device-unknown",
    "device-lost",
    "key-ends",
    "key-list-unsigned",
    "policy-key-revoked",
]
RosterWord = Literal["absent", "back", "also"]
WHOLE_HALL = "hall"  # the target of pause-issuing that means every area
Priority = str  # the id of a class: one of CLASSES, or one that the policy adds (企业, 重点项目绿色通道)
CLASSES: tuple[Priority, ...] = (
    "normal",
    "elderly",
    "disabled",
    "pregnant",
    "military",
    "child",
    "appointment",
)


@value
class TicketPrinted:
    """A dispenser allotted and printed ``number`` by itself (WIRE ``up/ticket``).

    ``appointment``: id of the booking that checks in (预约). ``reason``: a code, where the priority class needs one.
    """

    point: Point
    number: str
    service: str
    priority: Priority = "normal"
    seq: int | None = None
    appointment: str | None = None
    reason: str | None = None
    again: bool = False
    boot: str | None = None


@value
class TicketRequested:
    """A dispenser asks the controller for a number (WIRE ``up/request``); answered by a ``Print`` action.

    ``service`` may be a journey of the policy. ``returning``: the visitor has this number already and is back.
    """

    point: Point
    service: str
    priority: Priority = "normal"
    seq: int | None = None
    appointment: str | None = None
    reason: str | None = None
    returning: str | None = None
    again: bool = False
    boot: str | None = None


@value
class KeyPressed:
    """A key on a call panel or pager.

    ``arg``: ticket number, staff id, pause reason, transfer target, minutes of a park, or outcome of a finish; what is
    said about it follows after a slash ("told-once/photo", "A012/by-visitor").
    """

    point: Point
    key: Key
    arg: str | None = None
    seq: int | None = None
    again: bool = False
    boot: str | None = None


@value
class AppointmentMade:
    """The centre booked (or moved) an appointment. ``start_ms``: wall time since 1970 UTC."""

    id: str
    service: str
    start_ms: int
    priority: Priority = "normal"


@value
class AppointmentCancelled:
    """The visitor, or the centre, called an appointment off."""

    id: str


@value
class RatingGiven:
    """好差评: ``level`` 1 (very bad) to 5 (very good)."""

    point: Point
    level: int
    seq: int | None = None
    again: bool = False
    boot: str | None = None


@value
class CountRead:
    """A people counter's report. ``semantics`` says what the numbers mean: since reset, in a window, or present.

    ``line``: of a counter with several lines (or cameras), whose total this is.
    """

    point: Point
    semantics: Literal["total", "window", "occupancy"]
    entered: int = 0
    left: int = 0
    occupancy: int | None = None
    seq: int | None = None
    again: bool = False
    boot: str | None = None
    line: str | None = None


@value
class HealthRead:
    """A device's own health: paper state and a fault text (at most 200 characters)."""

    point: Point
    paper: Literal["ok", "low", "out", "unknown"] = "unknown"
    fault: str | None = None
    seq: int | None = None
    again: bool = False
    boot: str | None = None


@value
class InputRefused:
    """What ``point`` said was no input: ``what`` is the kind of message, ``reason`` a short word."""

    point: Point
    what: str
    reason: str


@value
class DeviceLost:
    """``point`` is a device id: nothing can be heard from or shown on it.

    ``reason``: a word of ``losses.LOSSES`` (a text in journals of earlier versions); ``detail``: what was seen. Told
    again where the reason of the same loss turns out to be another.
    """

    point: Point
    reason: str
    detail: str = ""


@value
class DeviceBack:
    """``point`` is a device id that can be reached again (also sent at the first contact after start)."""

    point: Point


@value
class CommandDone:
    """The action ``id`` was carried out."""

    id: str


@value
class CommandFailed:
    """The action ``id`` was not, or not surely, carried out. Drivers never retry it: the core decides."""

    id: str
    error: str


@value
class SiteLoaded:
    """The hall's configuration, at first start and whenever it changed."""

    site: Site


@value
class PolicyApplied:
    """A verified and bounded policy takes effect at this step boundary. ``sha256`` is over its payload bytes.

    ``pushed``: it came from the centre just now (and goes on trial); else it was in force before.
    """

    version: int
    sha256: str
    policy: Policy
    pushed: bool = False
    order: str = ""


@value
class ClockSet:
    """Wall time at this stamp: ``wall_ms`` since 1970 UTC and the hall's zone offset. Rare: start, hourly, steps."""

    wall_ms: int
    utc_offset_min: int


@value
class ClockDoubted:
    """The machine's clock shows ``wall_ms``, which cannot be: hours and dates stay as they were known."""

    wall_ms: int


@value
class Resumed:
    """The process was away (restart or freeze) for ``gap_ms``; pending deadlines move by it, waits do not."""

    gap_ms: int
    restart: bool


@value
class WindowAsked:
    """An operator (``by``: at most 64 characters) asks for a window in ``area``; the arbiter decides.

    ``withdraw``: and does not any more; ``everybody``: nor anybody else who wished for one there.
    """

    area: str
    by: str
    withdraw: bool = False
    everybody: bool = False
    order: str = ""


@value
class OverrideSet:
    """人工干预: ``by`` (a name, at most 64 characters) decides for the rules, for ``for_s`` hall seconds.

    ``target``: a window (open, close, hold), an area or ``WHOLE_HALL`` (pause-issuing), or the number of a waiting
    ticket (priority-insert, which happens once and does not expire). ``area``: the one a tidal window opens for; None:
    the one with most people waiting. ``for_s`` None: the policy's default; longer than its limit is cut to that.
    ``reason``: in the words of ``by``, at most 200 characters, for whoever reads of it later.
    """

    kind: OverrideKind
    target: str
    by: str
    for_s: int | None = None
    area: str | None = None
    reason: str | None = None
    order: str = ""


@value
class OverrideLifted:
    """``by`` ends an override before its time."""

    kind: OverrideKind
    target: str
    by: str
    reason: str | None = None
    order: str = ""


@value
class AlarmAccepted:
    """``by`` has read an alarm (``kind`` about ``subject``) and looks after it; its pages to the duty manager end."""

    kind: str
    subject: str
    by: str
    order: str = ""


@value
class Announced:
    """An operator (``by``) has something said once in ``areas`` (none: everywhere); texts: at most 200 characters."""

    text: str
    text_en: str
    areas: tuple[str, ...]
    by: str
    order: str = ""


@value
class HoursFlexed:
    """Today only, ``area`` (None: the hall) opens and closes at these minutes after midnight; None: as planned."""

    area: str | None
    opens_min: int | None
    closes_min: int | None
    by: str
    order: str = ""


@value
class RatingCorrected:
    """``by`` corrects a rating to ``level`` 1…5. ``rating`` is its id: of a visit as in the note, or that of a case."""

    rating: str
    level: int
    by: str
    order: str = ""


@value
class RatingAnswered:
    """``by`` looked after a bad rating (整改, 回访); ``code`` is one of the policy's words, None: the last of them."""

    rating: str
    by: str
    code: str | None = None
    order: str = ""


@value
class CaseTold:
    """办不成事, from the centre or an operator: ``by`` (a name, at most 64 characters) tells what becomes of a case.

    ``case`` is its id, None only to open one. ``code`` is a word of the policy: why it is opened, or the outcome it
    closes with. ``ticket`` (a number of today), ``area``, ``service`` and ``special`` go with opening, ``level`` 1…5
    with rating.
    """

    told: CaseWord
    by: str
    case: str | None = None
    code: str | None = None
    area: str | None = None
    service: str | None = None
    ticket: str | None = None
    special: bool = False
    level: int | None = None
    order: str = ""


@value
class DayReset:
    """``by`` (who, at most 64 characters) starts the day anew; refused while people wait unless ``force``."""

    by: str
    force: bool = False
    order: str = ""


@value
class DocumentRejected:
    """A document of the centre was refused before it reached the core: ``kind`` says of what, ``code`` why, ``named``
    what it called itself. ``order``: the id that it claims, where one can be read.
    """

    kind: Literal["policy", "operation", "appointment", "keys"]
    code: str
    named: str
    order: str = ""


@value
class KeyListTaken:
    """The city's key list ``version`` counts from now on; ``keys`` of it may sign, ``revoked`` may not any more.

    ``sha256``: of its payload. The core decides nothing by it; the history has it.
    """

    version: int
    sha256: str
    keys: int
    revoked: int


@value
class NoticePosted:
    """A notice on the boards of ``areas`` (none: all, and the hall's), until a wall time or until withdrawn.

    ``id``: at most 64 characters, of whoever posts it; ``until_wall_ms``: since 1970 UTC.
    """

    id: str
    text: str
    text_en: str
    areas: tuple[str, ...]
    until_wall_ms: int | None
    by: str
    order: str = ""


@value
class NoticeWithdrawn:
    """The notice ``id`` is withdrawn."""

    id: str
    by: str
    order: str = ""


@value
class SafeModeSet:
    """The daemon ended too fast too often (``on``), or is whole again."""

    on: bool


@value
class JournalRenewed:
    """The journal began a new epoch without ``lost`` steps that were acknowledged.

    ``numbers``: the last ones allotted, per service, on business day ``day`` (0: not known).
    ``skips``: how many numbers of a service may have been given unseen, where nobody knows the last one.
    """

    epoch: int
    lost: int
    day: int = 0
    numbers: tuple[tuple[str, int], ...] = ()
    skips: tuple[tuple[str, int], ...] = ()


@value
class KeptVisit:
    """Where a visit stood, by its number; ``window`` while it is called or served there. ``state``: of a ticket."""

    number: str
    service: str
    state: str
    window: str | None = None
    priority: Priority = "normal"
    point: Point = Point("")


@value
class KeptWindow:
    """The state of a window as recorded by another version of the program, and the area it served as a "+1" window."""

    window: str
    state: str
    area: str | None = None


@value
class OutcomeKept:
    """Another version of this program recorded the last steps, and we would have decided some of them otherwise.

    What was decided then was called, printed and spoken, and stands: ``visits`` and ``windows`` that differ are as
    given here. ``next_action``: ids below it are used; ``unsure``: ids of ours that then meant something else;
    ``cases``: how many more were opened then.
    """

    visits: tuple[KeptVisit, ...] = ()
    windows: tuple[KeptWindow, ...] = ()
    next_action: int = 1
    unsure: tuple[str, ...] = ()
    cases: int = 0


@value
class MachineTold:
    """The machine under the hall needs a person (``stands``), or no longer: configuration, certificates, broker.

    ``subject`` is what it is about, as a technician calls it; ``detail`` says why.
    """

    alarm: MachineAlarm
    subject: str
    stands: bool
    detail: str | None = None


@value
class TicketSecretDrawn:
    """Drawn by chance: ``secret`` (64 hexadecimal digits) makes the addresses of visitors' own pages unguessable."""

    secret: str


@value
class RosterTold:
    """``by`` (a name, at most 64 characters) says of today's people: ``staff`` is absent, back, or may also serve
    ``areas``. ``staff`` is an id or the name people use.
    """

    staff: str
    said: RosterWord
    by: str
    areas: tuple[str, ...] = ()
    order: str = ""


@value
class GoneOn:
    """Numbers were given by hand: ``number`` is the next one. From ``waiting_from`` on, those before it still wait."""

    number: str
    by: str
    waiting_from: str | None = None
    order: str = ""


@value
class Tick:
    """A due time the engine asked for. Regenerated on replay, never an input."""


@value
class CallReported:
    """Follow mode: the queue system called ``number`` to ``window``. ``service`` None: what the window serves."""

    point: Point
    number: str
    window: str
    service: str | None = None
    seq: int | None = None
    again: bool = False
    boot: str | None = None


@value
class EndReported:
    """Follow mode: the queue system is done with the visitor at ``window`` (``number`` None: whoever is there)."""

    point: Point
    window: str
    number: str | None = None
    outcome: Literal["served", "no-show", "parked", "cancelled"] = "served"
    seq: int | None = None
    again: bool = False
    boot: str | None = None


@value
class QueueReported:
    """Follow mode: the numbers that wait for ``service``, all of them, in order."""

    point: Point
    service: str
    waiting: tuple[str, ...]
    seq: int | None = None
    again: bool = False
    boot: str | None = None


@value
class WindowReported:
    """Follow mode: the queue system says whether somebody is at ``window`` to serve."""

    point: Point
    window: str
    staffed: bool
    seq: int | None = None
    again: bool = False
    boot: str | None = None


DeviceEvent = (
    TicketPrinted
    | TicketRequested
    | KeyPressed
    | RatingGiven
    | CountRead
    | HealthRead
    | CallReported
    | EndReported
    | QueueReported
    | WindowReported
)
Event = (
    DeviceEvent
    | InputRefused
    | DeviceLost
    | DeviceBack
    | CommandDone
    | CommandFailed
    | SiteLoaded
    | PolicyApplied
    | ClockSet
    | ClockDoubted
    | Resumed
    | WindowAsked
    | Announced
    | NoticePosted
    | NoticeWithdrawn
    | OverrideSet
    | OverrideLifted
    | AlarmAccepted
    | RatingCorrected
    | RatingAnswered
    | CaseTold
    | HoursFlexed
    | DayReset
    | DocumentRejected
    | KeyListTaken
    | SafeModeSet
    | MachineTold
    | JournalRenewed
    | OutcomeKept
    | RosterTold
    | TicketSecretDrawn
    | GoneOn
    | AppointmentMade
    | AppointmentCancelled
    | Tick
)
