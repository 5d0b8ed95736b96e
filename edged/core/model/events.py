"""Everything that can happen to a hall, as frozen data. The inbox stamps each event with ``at_ms`` when it arrives.

Fields that several events have:

``point``: the device channel that sent it (see ``site.py``). ``seq``: the device's own increasing number; with the
point and the epoch it recognises a repeated message (``sequence.py``). None where the device has no counter (serial
panels). ``again``: the broker marks the message as one it has delivered before. ``order``: id of the signed operation
that asks for this (``orders.py``); "" if none does. ``boot``: an id that the device gives itself each time it is
switched on; None if it gives none. ``by``: the name of a person.
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
    "later",  # answer of a consultation window that is asked to open: first finish the conversation
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
    "no-show-or-finish",  # the other one there: no-show while calling, finish while serving
    "force-open",  # overrides (人工干预), see ``overrides.press``
    "force-close",
    "hold",
    "lift",
    "pause-issuing",
    "priority-insert",
    "extend-hours",  # an area or the hall closes later today, see ``late_hours.py``
    "roster",  # who is absent today, back, or serves another area, see ``roster.py``
    "go-on",  # numbers were given by hand, see ``by_hand.py``
    "promise-kept",  # papers that were promised (容缺受理) came
    "answer",  # of the duty manager: a bad rating was dealt with
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
    """A dispenser chose and printed ``number`` by itself (MQTT topic ``up/ticket``).

    ``appointment``: the id of the appointment (预约) that checks in; None: no appointment. ``reason``: a code for why
    the visitor has priority, where the priority class needs one.
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
    """A dispenser asks the controller for a number (MQTT topic ``up/request``); a ``Print`` or ``Refuse`` action
    answers it.

    ``service``: the id of a service, or of a journey (several services for one number) of the policy. ``returning``:
    the number that a visitor who comes back already has.
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

    ``arg``: what the key refers to: a ticket number, staff id, pause reason, transfer target, number of minutes to park
    a visitor, or the outcome of a visit. Details follow after a slash ("told-once/photo", "A012/by-visitor").
    """

    point: Point
    key: Key
    arg: str | None = None
    seq: int | None = None
    again: bool = False
    boot: str | None = None


@value
class AppointmentMade:
    """The centre made or moved an appointment. ``service``: the id of a service, or of a journey (several services for
    one number). ``start_ms``: wall time, ms since 1970 UTC.
    """

    id: str
    service: str
    start_ms: int
    priority: Priority = "normal"


@value
class AppointmentCancelled:
    """The visitor or the centre cancelled an appointment."""

    id: str


@value
class RatingGiven:
    """A visitor rated (好差评): ``level`` 1 (very bad) to 5 (very good)."""

    point: Point
    level: int
    seq: int | None = None
    again: bool = False
    boot: str | None = None


@value
class CountRead:
    """A people counter's report. ``semantics`` says what its figures count. "total": people since the counter was
    reset; "window": people since its last report; "occupancy": people present.

    ``line``: which line (doorway or camera) of a counter that has several; None: it has only one.
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
    """A message of the device at ``point`` was not valid and had no effect. ``what`` is the kind of message, ``reason``
    a short code word.
    """

    point: Point
    what: str
    reason: str


@value
class DeviceLost:
    """The device whose id is ``point`` cannot be reached: it neither sends nor shows anything.

    ``reason``: a word of ``losses.LOSSES`` (free text in journals of earlier versions); ``detail``: what was observed.
    The event is sent again if the same loss turns out to have another reason.
    """

    point: Point
    reason: str
    detail: str = ""


@value
class DeviceBack:
    """The device whose id is ``point`` can be reached again (also sent at the first contact after a start)."""

    point: Point


@value
class CommandDone:
    """A device reports that it has carried out the action ``id``."""

    id: str


@value
class CommandFailed:
    """A device or its driver reports that the action ``id`` failed, or that nobody knows whether it was carried out.
    Drivers never retry an action, because it might be done twice: the core decides.
    """

    id: str
    error: str


@value
class SiteLoaded:
    """The hall's configuration (from hall.toml) takes effect: at the first start, and whenever it has changed."""

    site: Site


@value
class PolicyApplied:
    """A policy that was verified and is within its bounds takes effect. ``sha256`` is the hash of the policy document.

    ``pushed``: it came from the centre just now and is on trial (it is taken back if waits get worse); False: it was in
    force already, and is only loaded again. ``order``: see the module.
    """

    version: int
    sha256: str
    policy: Policy
    pushed: bool = False
    order: str = ""


@value
class ClockSet:
    """What the wall clock shows at this event's ``at_ms`` stamp: ``wall_ms``, in ms since 1970 UTC, and the hall's time
    zone. Sent at start, hourly and whenever the clock was changed.
    """

    wall_ms: int
    utc_offset_min: int


@value
class ClockDoubted:
    """The machine's clock shows ``wall_ms`` (ms since 1970 UTC), which is impossible. The core does not use it and
    counts on from the last wall time it believed.
    """

    wall_ms: int


@value
class Resumed:
    """The process did not run for ``gap_ms``, because it was restarted (``restart``) or frozen. Pending deadlines move
    later by the gap, except those at a time of day. Visitors' waiting times include it, because they did wait.
    """

    gap_ms: int
    restart: bool


@value
class WindowAsked:
    """An operator (``by``: at most 64 characters) asks for a "+1" window (an extra one) in ``area``; the arbiter of the
    tidal loop decides whether one opens.

    ``withdraw``: the operator withdraws the earlier request instead; with ``everybody``, the requests of all others for
    this area are withdrawn too.
    """

    area: str
    by: str
    withdraw: bool = False
    everybody: bool = False
    order: str = ""


@value
class OverrideSet:
    """A person (``by``: a name of at most 64 characters) overrides the rules (人工干预) for ``for_s`` seconds of hall
    time.

    ``target``: a window (open, close, hold), an area or ``WHOLE_HALL`` (pause-issuing), or the number of a waiting
    ticket (priority-insert, which happens once and does not expire). ``area``: the area for which a tidal window opens,
    unless it serves one already; None: the one with most people waiting. ``for_s`` None: the policy's default; a longer
    time than the policy's limit is cut to it. ``reason``: what ``by`` gave as reason, at most 200 characters.
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
    """A person (``by``) ends a manual decision (override) before its time."""

    kind: OverrideKind
    target: str
    by: str
    reason: str | None = None
    order: str = ""


@value
class AlarmAccepted:
    """``by`` has read an alarm (``kind`` about ``subject``) and takes care of it; the duty manager is no longer paged
    for it.
    """

    kind: str
    subject: str
    by: str
    order: str = ""


@value
class Announced:
    """An operator (``by``) lets the loudspeakers of ``areas`` (empty: of all areas) speak a text once. Each text has at
    most 200 characters.
    """

    text: str
    text_en: str
    areas: tuple[str, ...]
    by: str
    order: str = ""


@value
class HoursFlexed:
    """A person (``by``) changes today's hours of ``area`` (None: of the whole hall). ``opens_min`` and ``closes_min``
    are minutes after midnight; None leaves that end as the policy says.
    """

    area: str | None
    opens_min: int | None
    closes_min: int | None
    by: str
    order: str = ""


@value
class RatingCorrected:
    """A person (``by``) corrects a rating to ``level``, 1 (very bad) to 5 (very good). ``rating``: the id that the note
    of a visit's rating gives, or the id of the rated case.
    """

    rating: str
    level: int
    by: str
    order: str = ""


@value
class RatingAnswered:
    """A person (``by``) has dealt with a bad rating (整改, 回访), whose id is ``rating``. ``code``: how, as one of the
    policy's ``ratings.answers``; None: the last of these.
    """

    rating: str
    by: str
    code: str | None = None
    order: str = ""


@value
class CaseTold:
    """The centre or an operator (``by``: a name of at most 64 characters) opens, acknowledges, closes, reopens, extends
    or rates a case (办不成事); ``told`` says which.

    ``case``: the case's id; None only when a case is opened. ``code``: a code of the policy, either why the case is
    opened or the outcome with which it is closed. Only for opening: ``ticket`` (a number of today), ``area``,
    ``service`` and ``special`` (the deadline of special cases applies). Only for rating: ``level``, 1 to 5.
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
    """A person (``by``: at most 64 characters) orders that the queue is cleared. Refused while people wait, unless
    ``force`` is set.
    """

    by: str
    force: bool = False
    order: str = ""


@value
class DocumentRejected:
    """A document of the centre was refused before it reached the core. ``code``: why; ``named``: the version that it
    claims (policy, key list) or the name of the operation; ``order``: the id that an operation or appointment claims.
    "" if there is none.
    """

    kind: Literal["policy", "operation", "appointment", "keys"]
    code: str
    named: str
    order: str = ""


@value
class KeyListTaken:
    """Version ``version`` of the city's list of signing keys takes effect. ``keys``: how many keys on it may sign;
    ``revoked``: how many it revokes.

    ``sha256``: the hash of the list. The core decides nothing by it and only records the change for the history that
    the city receives.
    """

    version: int
    sha256: str
    keys: int
    revoked: int


@value
class NoticePosted:
    """Somebody (``by``) puts a notice on the boards of ``areas`` (empty: of all areas and of the hall).

    ``id``: at most 64 characters, chosen by the person or system that posts it. ``until_wall_ms``: when it is removed,
    in ms since 1970 UTC; None: it stays until it is withdrawn.
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
    """The notice ``id`` is no longer to be shown."""

    id: str
    by: str
    order: str = ""


@value
class SafeModeSet:
    """Safe mode (reduced operation after repeated crashes soon after a start) begins if ``on``, otherwise ends."""

    on: bool


@value
class JournalRenewed:
    """The journal was damaged, and a new one (the next ``epoch``) was begun; ``lost`` steps that had been acknowledged
    to devices are missing from it.

    ``numbers``: the last ticket number given for each service on business day ``day`` (days since 1970; 0: unknown).
    ``skips``: for each service whose last number is unknown, how many numbers may have been given since the last one on
    record.
    """

    epoch: int
    lost: int
    day: int = 0
    numbers: tuple[tuple[str, int], ...] = ()
    skips: tuple[tuple[str, int], ...] = ()


@value
class KeptVisit:
    """One visit as another version of the program recorded it (see ``OutcomeKept``). ``state``: of the ticket;
    ``window``: where the visitor is called or served, None if nowhere.
    """

    number: str
    service: str
    state: str
    window: str | None = None
    priority: Priority = "normal"
    point: Point = Point("")


@value
class KeptWindow:
    """One window as another version of the program recorded it (see ``OutcomeKept``). ``area``: the area that it served
    as a "+1" window; None: none.
    """

    window: str
    state: str
    area: str | None = None


@value
class OutcomeKept:
    """The journal's last steps (events with their outputs) were recorded by another version of this program, and this
    version would decide some of them differently.

    What the other version decided has been called, printed and spoken, so it stays valid. ``visits`` and ``windows``
    hold the states that differ, as recorded. ``next_action``: the first action id that was not used yet. ``unsure``:
    action ids that mean something else in this version, so that reports about them cannot be trusted. ``cases``: how
    many more cases the other version had opened.
    """

    visits: tuple[KeptVisit, ...] = ()
    windows: tuple[KeptWindow, ...] = ()
    next_action: int = 1
    unsure: tuple[str, ...] = ()
    cases: int = 0


@value
class MachineTold:
    """The controller's own machine needs a person (``stands`` is True), for example because of its configuration,
    certificates or broker; or it no longer does (False).

    ``alarm``: the kind of alarm; ``subject``: the part concerned, as technicians call it; ``detail``: why.
    """

    alarm: MachineAlarm
    subject: str
    stands: bool
    detail: str | None = None


@value
class TicketSecretDrawn:
    """A random ``secret`` (64 hexadecimal digits) was drawn, which makes the addresses of visitors' own pages
    unguessable.
    """

    secret: str


@value
class RosterTold:
    """A person (``by``: a name of at most 64 characters) reports that ``staff`` (an id or a name) is absent today, is
    back, or today also serves ``areas``; ``said`` says which.
    """

    staff: str
    said: RosterWord
    by: str
    areas: tuple[str, ...] = ()
    order: str = ""


@value
class GoneOn:
    """Numbering continues after staff (``by``) gave numbers by hand, for example during an outage. ``number`` is the
    next one to give. ``waiting_from``: visitors with this and later numbers still wait; None: none of them does.
    """

    number: str
    by: str
    waiting_from: str | None = None
    order: str = ""


@value
class Tick:
    """The time of a timer that the core had set has come. It is not in the journal, because a replay produces it
    again.
    """


@value
class CallReported:
    """In follow mode the hall's own queue system reports that it called ``number`` to ``window``. ``service`` None: not
    reported; the core then derives it from what the window serves.
    """

    point: Point
    number: str
    window: str
    service: str | None = None
    seq: int | None = None
    again: bool = False
    boot: str | None = None


@value
class EndReported:
    """In follow mode the hall's own queue system reports that the visitor at ``window`` has left it, with this
    ``outcome``. ``number`` None: the visitor who is there, whoever it is.
    """

    point: Point
    window: str
    number: str | None = None
    outcome: Literal["served", "no-show", "parked", "cancelled"] = "served"
    seq: int | None = None
    again: bool = False
    boot: str | None = None


@value
class QueueReported:
    """In follow mode the hall's own queue system reports all ticket numbers that wait for ``service``, the next one
    first.
    """

    point: Point
    service: str
    waiting: tuple[str, ...]
    seq: int | None = None
    again: bool = False
    boot: str | None = None


@value
class WindowReported:
    """In follow mode the hall's own queue system reports whether a clerk is at ``window`` (``staffed``)."""

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
