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
    """A dispenser chose and printed ``number`` by itself (topic ``up/ticket``).

    ``appointment``: id of the appointment that checks in (预约). ``reason``: a code, where the priority class needs
    one.
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
    """A dispenser asks the controller for a number (topic ``up/request``); the answer is a ``Print`` or ``Refuse``
    action.

    ``service``: a service, or a journey of the policy. ``returning``: the number that the visitor already has and comes
    back with.
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

    ``arg``: ticket number, staff id, pause reason, transfer target, minutes to park, or outcome of a visit; details
    follow after a slash ("told-once/photo", "A012/by-visitor").
    """

    point: Point
    key: Key
    arg: str | None = None
    seq: int | None = None
    again: bool = False
    boot: str | None = None


@value
class AppointmentMade:
    """The centre made or moved an appointment. ``start_ms``: wall time, ms since 1970 UTC."""

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
    """A people counter's report. ``semantics``: "total", people since the counter's reset; "window", since its last
    report; "occupancy", people present.

    ``line``: which line of a counter that has several lines or cameras; None: the only one.
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
    """A message of ``point`` was not valid: ``what`` is the kind of message, ``reason`` a short word."""

    point: Point
    what: str
    reason: str


@value
class DeviceLost:
    """The device whose id is ``point`` cannot be reached: it neither sends nor shows anything.

    ``reason``: a word of ``losses.LOSSES`` (free text in journals of earlier versions); ``detail``: what was observed.
    Sent again if the reason of the same loss turns out to be another.
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
    """The action ``id`` was carried out."""

    id: str


@value
class CommandFailed:
    """The action ``id`` failed, or may have failed. Drivers never retry it: the core decides."""

    id: str
    error: str


@value
class SiteLoaded:
    """The hall's configuration, at the first start and whenever it has changed."""

    site: Site


@value
class PolicyApplied:
    """A policy that was verified and is within its bounds takes effect. ``sha256`` is of its payload bytes.

    ``pushed``: it came from the centre just now and is on trial; otherwise it was in force before.
    """

    version: int
    sha256: str
    policy: Policy
    pushed: bool = False
    order: str = ""


@value
class ClockSet:
    """The wall time at this stamp (``wall_ms``, since 1970 UTC) and the hall's time zone. Sent at start, hourly and
    when the clock was changed.
    """

    wall_ms: int
    utc_offset_min: int


@value
class ClockDoubted:
    """The machine's clock shows ``wall_ms``, which is impossible: the core keeps the date and time it had."""

    wall_ms: int


@value
class Resumed:
    """The process did not run for ``gap_ms`` (restart or freeze). Pending deadlines move by the gap; waiting times
    include it.
    """

    gap_ms: int
    restart: bool


@value
class WindowAsked:
    """An operator (``by``: at most 64 characters) asks for a "+1" window in ``area``; the arbiter decides.

    ``withdraw``: the operator withdraws the wish instead; with ``everybody`` all wishes for that area are withdrawn.
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
    ticket (priority-insert, which happens once and does not expire). ``area``: the area for which a tidal window opens;
    None: the one with most people waiting. ``for_s`` None: the policy's default; a longer time than the policy's limit
    is cut to it. ``reason``: what ``by`` gave as reason, at most 200 characters.
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
    """``by`` has read an alarm (``kind`` about ``subject``) and takes care of it; the duty manager is no longer paged
    for it.
    """

    kind: str
    subject: str
    by: str
    order: str = ""


@value
class Announced:
    """An operator (``by``) has a text spoken once in ``areas`` (empty: everywhere). Texts have at most 200
    characters.
    """

    text: str
    text_en: str
    areas: tuple[str, ...]
    by: str
    order: str = ""


@value
class HoursFlexed:
    """Today only, ``area`` (None: the hall) opens and closes at these minutes after midnight; None: as the policy
    says.
    """

    area: str | None
    opens_min: int | None
    closes_min: int | None
    by: str
    order: str = ""


@value
class RatingCorrected:
    """``by`` corrects a rating to ``level`` 1 to 5. ``rating``: the id in the note of a visit's rating, or the id of a
    case.
    """

    rating: str
    level: int
    by: str
    order: str = ""


@value
class RatingAnswered:
    """``by`` has dealt with a bad rating (整改, 回访). ``code``: one of the policy's ``ratings.answers``; None: the
    last of them.
    """

    rating: str
    by: str
    code: str | None = None
    order: str = ""


@value
class CaseTold:
    """The centre or an operator (``by``: a name of at most 64 characters) opens, acknowledges, closes, reopens, extends
    or rates a case (办不成事).

    ``case``: its id, None only to open one. ``code``: a word of the policy: why it is opened, or the outcome it is
    closed with. ``ticket`` (a number of today), ``area``, ``service`` and ``special`` belong to opening, ``level`` 1 to
    5 to rating.
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
    """A person clears the queue by hand; refused while people wait, unless ``force``. ``by`` (at most 64 characters):
    who.
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
    """The city's key list ``version`` is in force from now on, with ``keys`` keys that may sign and ``revoked`` revoked
    ones.

    ``sha256``: of its payload. The core decides nothing by it; it is recorded for the history sent to the city.
    """

    version: int
    sha256: str
    keys: int
    revoked: int


@value
class NoticePosted:
    """A notice for the boards of ``areas`` (empty: all areas and the hall's own boards), until a wall time or until
    withdrawn.

    ``id``: at most 64 characters, chosen by whoever posts it; ``until_wall_ms``: ms since 1970 UTC, None: no end.
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
    """Safe mode begins (``on``: the daemon crashed repeatedly soon after its start) or ends."""

    on: bool


@value
class JournalRenewed:
    """The journal was damaged and began a new epoch; ``lost`` acknowledged steps are missing from it.

    ``numbers``: the last number given for each service, on business day ``day`` (0: unknown). ``skips``: how many
    numbers of a service may have been given unseen, for services whose last number is unknown.
    """

    epoch: int
    lost: int
    day: int = 0
    numbers: tuple[tuple[str, int], ...] = ()
    skips: tuple[tuple[str, int], ...] = ()


@value
class KeptVisit:
    """The recorded state of one visit, by its ticket number. ``state``: of the ticket; ``window``: where it is called
    or served, else None.
    """

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
    """Another version of this program recorded the last steps, and this version decides some of them differently.

    What was decided then was called, printed and spoken, so it stays: ``visits`` and ``windows`` hold the differing
    ones as recorded. ``next_action``: all action ids below it are used; ``unsure``: action ids that meant something
    else then; ``cases``: how many more cases were opened then.
    """

    visits: tuple[KeptVisit, ...] = ()
    windows: tuple[KeptWindow, ...] = ()
    next_action: int = 1
    unsure: tuple[str, ...] = ()
    cases: int = 0


@value
class MachineTold:
    """The controller's own machine needs a person (``stands``) or no longer does: configuration, certificates, broker.

    ``subject``: the part concerned, as technicians call it; ``detail``: why.
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
    """``by`` (a name of at most 64 characters) reports that ``staff`` is absent today, is back, or also serves
    ``areas``. ``staff``: an id or a name.
    """

    staff: str
    said: RosterWord
    by: str
    areas: tuple[str, ...] = ()
    order: str = ""


@value
class GoneOn:
    """Staff gave numbers by hand, and ``number`` is the next one to give. Of those given, ``waiting_from`` and later
    ones still wait.
    """

    number: str
    by: str
    waiting_from: str | None = None
    order: str = ""


@value
class Tick:
    """A due time that the engine asked for. Not in the journal: a replay produces it again."""


@value
class CallReported:
    """Follow mode: the queue system called ``number`` to ``window``. ``service`` None: unknown; taken from what the
    window serves.
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
    """Follow mode: all numbers that wait for ``service``, in order."""

    point: Point
    service: str
    waiting: tuple[str, ...]
    seq: int | None = None
    again: bool = False
    boot: str | None = None


@value
class WindowReported:
    """Follow mode: the queue system reports whether somebody is at ``window`` to serve."""

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
