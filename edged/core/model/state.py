"""All that the controller remembers, as plain data: dumping it, loading it and going on gives the same hall.

Derived look-ups live in ``lookup.py`` and are rebuilt; nothing here is computed from something else here, except the
waiting queues (``queues`` holds exactly the tickets in state WAITING) which ``Engine.check`` asserts.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, field
from typing import Literal

from edged.core.model.commands import Body, Value
from edged.core.model.events import OverrideKind, Priority
from edged.core.model.point import Point
from edged.core.model.policy import Mode, Policy, Tidal, Trial
from edged.core.model.site import Site
from edged.core.model.value import value

TicketState = Literal[
    "BOOKED",
    "WAITING",
    "ISSUE_FAILED",
    "CALLED",
    "SERVING",
    "PARKED",
    "RETURN_PENDING",
    "NO_SHOW",
    "SERVED",
    "CANCELLED",
]
WindowStateName = Literal[
    "CLOSED",
    "OPEN",
    "CALLING",
    "SERVING",
    "PAUSED",
    "STANDBY",
    "ACTIVATING",
    "DRAINING",
    "COOLDOWN",
    "CONSULTING",
    "INVITED",
]


@value
class Stop:
    """One stage of a visit: which window ended it, how (an outcome, or "transferred"), when."""

    window: str
    service: str
    outcome: str
    at_ms: int


@value
class Booking:
    """An appointment nobody claimed yet. ``start_ms`` is wall time since 1970 UTC."""

    service: str
    start_ms: int
    priority: Priority


@value
class Prepared:
    """Whom a window calls next: by which rule (None: the last one), and the window they were sent to before."""

    ticket: int
    rule: str | None
    sent_to: str | None


@value
class CallShown:
    """One line of "last calls" on an area's displays."""

    number: str
    window: str


@value
class PendingAction:
    """An action whose outcome is not known yet."""

    point: Point
    body: Body
    at_ms: int


@value
class DeviceState:
    """Whether a device can be reached, and since when (``at_ms``); ``reason`` and ``detail`` as in ``DeviceLost``."""

    up: bool
    since_ms: int
    reason: str | None = None
    detail: str | None = None


@value
class PolicyTrial:
    """A pushed policy is watched. ``rules`` and ``tidal`` are those of the last good one, which may come back.

    ``before_s``: how long people had waited, on average, when it came. ``left_min``: minutes of watch still to come.
    ``worse``: looks, a minute apart, at which the queue was too old without a break. ``harmful``: that is settled.
    ``waited_s`` and ``limit_s`` are of the last look.
    """

    good_version: int
    good_sha256: str
    rules: Trial
    tidal: Tidal
    before_s: int = 0
    left_min: int = 0
    worse: int = 0
    harmful: bool = False
    waited_s: int = 0
    limit_s: int = 0


@value
class LeftPolicy:
    """A policy that was taken out of force: never applied again under its number.

    It was ordered, or (``waited_s`` is not 0) people had waited that long where ``limit_s`` was the limit.
    """

    version: int
    sha256: str
    waited_s: int = 0
    limit_s: int = 0


@value
class UsualQueue:
    """The worst of one half hour of the day, faded over ``days`` days; ``day`` is the last of them.

    ``waited_s``: mean time that whoever waited had waited. ``pressure``: visitors of an hour per working window.
    """

    waited_s: float
    pressure: float
    days: int
    day: int


@dataclass(slots=True)
class Spoken:
    """Something to be said ``times`` times more; of a call: whose (``ticket``), to which ``window``."""

    text: str
    text_en: str
    since_ms: int
    number: str = ""
    ticket: int | None = None
    window: str | None = None
    slow: bool = False
    times: int = 1
    said: bool = False


@dataclass(slots=True)
class Voice:
    """A loudspeaker: what it says (an action's id, since when), from when on it may say more, and what waits."""

    doing: str | None = None
    since_ms: int = 0
    free_ms: int = 0
    waiting: list[Spoken] = field(default_factory=list)


@dataclass(slots=True)
class Notice:
    """A text on boards (``areas`` empty: all), until a wall time or withdrawn. The dict's order is that of posting."""

    text: str
    text_en: str
    areas: tuple[str, ...]
    until_wall_ms: int | None
    by: str


@dataclass(slots=True)
class Ticket:
    """A number (号票) and where its visit stands. ``place_ms`` orders it: arrival of the visit, not of the stage.

    ``queued_ms``: since when it waits this time. ``stages``: services that follow. ``trail``: stages that are over.
    ``returning``: was told what to bring and is back. ``direct``: served without a number.
    """

    id: int
    number: str
    service: str
    priority: Priority
    issued_ms: int
    place_ms: int
    source: Point
    state: TicketState = "WAITING"
    window: str | None = None
    only_window: str | None = None
    first_window: str | None = None
    first_staff: str | None = None
    returning: bool = False
    calls: int = 0
    called_ms: int | None = None
    serving_ms: int | None = None
    ended_ms: int | None = None
    rated: bool = False
    print_action: str | None = None
    quoted_s: tuple[int, int, int] | None = None
    late: bool = False  # printed when no numbers were given
    ahead_ms: int = 0  # how far before its place a person put it, by hand
    queued_ms: int = 0
    reason: str | None = None
    reoffers: int = 0
    print_failed: bool = False
    direct: bool = False
    stages: list[str] = field(default_factory=list)
    trail: list[Stop] = field(default_factory=list)


@dataclass(slots=True)
class WindowState:
    """A window now. ``area`` is the area a tidal window is activated for; ``due_ms`` its next deadline.

    ``farewell``: what its board says for a moment to whoever leaves: where they go next.
    ``stale``: its panel is silent, this is the last that was known. ``hint``: what its clerk is told for a moment, at
    most while ``hint_while`` holds (see ``staffing.hint``).
    ``later_until_ms``: a consultation window is not asked before that. ``reopen_until_ms``: until then a second "next"
    opens it outside opening hours. ``consults``: it is a consultation window again when the tide has fallen.
    ``answered``: questions of people without a number, today.
    ``helpers``: who is there beside ``staff`` ("+1" staff), in the order they came. ``prepared``: who is called next.
    ``reported_ms``: when a queue system last said that somebody is there.
    """

    state: WindowStateName
    ticket: int | None = None
    last_ticket: int | None = None
    last_ticket_ended_ms: int | None = None
    last_case: str | None = None
    staff: str | None = None
    helpers: list[str] = field(default_factory=list)
    area: str | None = None
    rule: str | None = None
    reason: str | None = None
    reason_zh: str | None = None
    reason_en: str | None = None  # as reason_zh, for people; ``reason`` has the rule's own word and seconds
    pause_reason: str | None = None
    paused_ms: int | None = None
    stale: bool = False
    hint: str | None = None
    farewell: list[str] | None = None
    hint_while: str | None = None
    requested_ms: int | None = None
    paged_staff: str | None = None
    acknowledged: bool = False
    later_until_ms: int = 0
    reopen_until_ms: int = 0
    consults: bool = False
    answered: int = 0
    opened_ms: int | None = None
    reported_ms: int | None = None
    activations: int = 0
    last_used_ms: int = 0
    due_ms: int | None = None
    lent_to: str | None = None
    lent_until_ms: int = 0
    overtook: int = 0
    overtook_class: str | None = None
    overtook_of_class: int = 0
    prepared: Prepared | None = None


@dataclass(slots=True)
class Learnt:
    """What an area learnt from its finished visits (aged sums, seconds) and issued tickets (counts)."""

    ratio_sum: float = 0.0
    ratio_weight: float = 0.0
    all_sum_s: float = 0.0
    all_weight: float = 0.0
    sum_s: dict[str, float] = field(default_factory=dict)
    weight: dict[str, float] = field(default_factory=dict)
    issued: dict[str, int] = field(default_factory=dict)
    arrived: dict[int, int] = field(default_factory=dict)

    def forget_missing(self, services: Container[str]) -> None:
        """Drop what was learnt of services that the hall no longer has."""
        for known in (self.sum_s, self.weight, self.issued):
            for service in [service for service in known if service not in services]:
                del known[service]


@dataclass(slots=True)
class AreaState:
    """An area's tidal bookkeeping. ``*_since_ms`` are None while the condition does not hold."""

    waiting: int = 0
    unserved: str | None = None
    over_since_ms: int | None = None
    under_since_ms: int | None = None
    last_open_ms: int | None = None
    last_action_ms: int | None = None
    tried_staff: list[str] = field(default_factory=list)
    tried_windows: list[str] = field(default_factory=list)
    heard: list[str] = field(default_factory=list)  # what became of each request of this round
    escalated_ms: int | None = None
    refused: str | None = None
    held: str | None = None
    relieved_ms: int | None = None
    last_calls: list[CallShown] = field(default_factory=list)
    due_ms: int | None = None
    learnt: Learnt = field(default_factory=Learnt)
    last_request_ms: int | None = None
    looked_ms: int | None = None
    asked: str | None = None  # of dumps from before wishes: read, not used
    asked_until_ms: int = 0  # and this
    released_ms: list[int] = field(default_factory=list)
    stale: str | None = None
    sources: list[str] = field(default_factory=list)


Phase = Literal["open", "noon", "stopped", "draining", "closed"]


@dataclass(slots=True)
class AreaHours:
    """An area's opening hours now; ``known`` False: nobody knows them, and it counts as open.

    ``serving`` and ``noon`` are what the calendar says, ``phase`` what becomes of it with the people who are there.
    ``closes_ms`` and ``next_ms`` (when the calendar says something else) are stamps, ``opens_local_ms`` is wall time.
    ``rest_ms``: from when to when the area rests today (noon without a window on duty), while that is not over.
    ``stopped``: services without any more numbers today.
    """

    known: bool = False
    phase: Phase = "open"
    mode: Mode = "full"
    serving: bool = True
    noon: bool = False
    opened_day: int = 0
    closes_ms: int | None = None
    next_ms: int | None = None
    opens_local_ms: int | None = None
    rest_ms: tuple[int, int] | None = None
    stopped: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Flex:
    """Today's hours changed by hand, for the day (since 1970) it was said on; None: as the calendar says."""

    day: int
    opens_min: int | None
    closes_min: int | None
    by: str


@dataclass(slots=True)
class StaffState:
    """A member: ``paged`` until they answer, ``bound`` while they serve ``window``; ``helped``: answers today.

    ``silent``: did not answer the last page, and so is asked last until they answer one or log in.
    """

    state: Literal["standby", "paged", "bound"] = "standby"
    window: str | None = None
    activations: int = 0
    last_used_ms: int = 0
    helped: int = 0
    silent: bool = False


@dataclass(slots=True)
class Wish:
    """One more "+1" window for ``area``, asked for ``by`` somebody, or at the panel of ``window``."""

    area: str
    trigger: str
    since_ms: int
    window: str | None = None
    by: str | None = None
    attempts: int = 0


@dataclass(slots=True)
class Today:
    """What ``by`` reported of a member of staff for today: absent, or also able to serve other areas."""

    absent: bool = False
    also: list[str] = field(default_factory=list)
    by: str = ""


@dataclass(slots=True)
class Help:
    """A commissioner (帮办) at a window, since when, and how long they took to answer."""

    staff: str
    since_ms: int
    answer_s: float


@dataclass(slots=True)
class OpenPage:
    """A page (``about`` a need of ``window`` or ``area``) that nobody answered yet; ``to`` is whom it went to last."""

    about: str
    subject: str
    text: str
    text_en: str
    since_ms: int
    window: str | None = None
    area: str | None = None
    to: str | None = None
    sent: int = 0
    to_duty: int = 0
    action: str | None = None
    tried: list[str] = field(default_factory=list)


@dataclass(slots=True)
class CounterLine:
    """One line of a people counter: its last total, and when that was heard."""

    total: int
    heard_ms: int


@dataclass(slots=True)
class PeopleCounter:
    """A people counter: its last total (or occupancy), who ``came`` per minute, how many reports it is doubted for.

    ``lines``: the same of each line, where it tells them apart.
    """

    total: int | None = None
    heard_ms: int | None = None
    suspect: int = 0
    came: dict[int, int] = field(default_factory=dict)
    lines: dict[str, CounterLine] = field(default_factory=dict)


@dataclass(slots=True)
class Sender:
    """One device's counting since it was switched on (``sequence.py``): its epoch.

    ``first``: the lowest number heard of it. ``heard_ms``: when it was heard last, and on which wall ``day``.
    ``fresh``: numbers heard lately and when, in time in which it could be heard. ``cut``: our link was down since.
    ``deaf_ms``: since when it is. ``before``: the last number of the epoch before. ``twice``: how strong the signs of a
    second sender are, ``sign_ms`` when the last was; ``echoed``: the last number that came twice.
    """

    first: int
    heard_ms: int
    day: int | None = None
    boot: str | None = None
    fresh: dict[int, int] = field(default_factory=dict)
    cut: bool = False
    deaf_ms: int | None = None
    before: int | None = None
    before_boot: str | None = None
    twice: int = 0
    sign_ms: int = 0
    echoed: int | None = None


@dataclass(slots=True)
class Alarm:
    """Something that needs a person: ``kind`` about ``subject``, since when; who said they look after it, and when."""

    kind: str
    subject: str
    since_ms: int
    accepted_by: str | None = None
    accepted_ms: int | None = None


@dataclass(slots=True)
class Override:
    """What a person decided over the rules (人工干预), until its timer ends it. ``area``: what a window opens for."""

    kind: OverrideKind
    target: str
    by: str
    since_ms: int
    area: str | None = None
    reason: str | None = None


@dataclass(slots=True)
class Rating:
    """A rating that stands (好差评). ``answer`` is None while a bad one waits to be looked after."""

    subject: str
    level: int
    window: str | None
    at_ms: int
    corrected: int = 0
    answer: str | None = None
    reminders: int = 0


@dataclass(slots=True)
class Promise:
    """容缺受理: what is still to be brought, at which window it was promised, and the last day for it."""

    number: str
    service: str
    window: str
    papers: list[str]
    due_day: int | None = None
    overdue: bool = False


CaseState = Literal["OPEN", "ACKNOWLEDGED", "CLOSED"]


@dataclass(slots=True)
class Case:
    """办不成事: something that could not be done. Words and ids only: what it is about stays between people.

    ``from_day`` is the day its working days are counted from, ``due_day`` the last of them (None before the hall knows
    the date), ``overdue_day`` when it was last said to be late. ``responded`` and ``on_time`` are None while that is
    open; late stays late, whatever follows. ``undoable``: closed with a word that says it cannot be done (不可办).
    """

    id: str
    source: str
    code: str
    opened_ms: int
    asked_ms: int
    area: str | None = None
    service: str | None = None
    ticket: str | None = None
    visit: int | None = None
    special: bool = False
    state: CaseState = "OPEN"
    pages: int = 0
    responded: bool | None = None
    from_day: int | None = None
    due_day: int | None = None
    extensions: int = 0
    warned: bool = False
    overdue_day: int | None = None
    on_time: bool | None = None
    undoable: bool = False
    closed_ms: int | None = None
    outcome: str | None = None
    level: int | None = None
    rated_ms: int | None = None
    reopened: int = 0


@dataclass(slots=True)
class CaseTally:
    """The outcomes of cases that are no longer kept, counted for the three percentages."""

    cases: int = 0
    responded: int = 0
    on_time: int = 0
    undoable: int = 0  # of ``cases``, and how many of these were closed in time
    undoable_on_time: int = 0
    rated: int = 0
    satisfied: int = 0


@dataclass(slots=True)
class State:
    """The hall. Keys are ids; ticket ids are counters that never repeat."""

    site: Site | None = None
    policy: Policy = field(default_factory=Policy)
    policy_version: int = 0
    policy_sha256: str = ""
    policy_since_ms: int | None = None  # of the version in force; None: the built-in one, from the beginning
    at_ms: int = 0
    wall_offset_ms: int | None = None
    utc_offset_min: int = 0
    day: int = 0
    day_start_ms: int = 0
    active_ms: int = 0
    next_ticket: int = 1
    next_action: int = 1
    last_number: dict[str, int] = field(default_factory=dict)
    used_numbers: dict[str, int] = field(default_factory=dict)  # today's, of the tickets that are kept
    past_numbers: dict[str, list[int]] = field(default_factory=dict)  # today's others (numbering.py)
    # what was asked about numbers by hand: the next one, the first that waits, and until when a yes counts
    many_by_hand: tuple[tuple[str, str], int] = (("", ""), 0)
    tickets: dict[int, Ticket] = field(default_factory=dict)
    closed: list[int] = field(default_factory=list)
    queues: dict[str, dict[str, list[int]]] = field(default_factory=dict)
    windows: dict[str, WindowState] = field(default_factory=dict)
    areas: dict[str, AreaState] = field(default_factory=dict)
    staff: dict[str, StaffState] = field(default_factory=dict)
    actions: dict[str, PendingAction] = field(default_factory=dict)
    undelivered: dict[str, PendingAction] = field(default_factory=dict)
    devices: dict[str, DeviceState] = field(default_factory=dict)
    seen: dict[str, dict[int, int]] = field(default_factory=dict)
    last_seq: dict[str, int] = field(default_factory=dict)
    senders: dict[str, Sender] = field(default_factory=dict)
    last_key: dict[str, tuple[str, int]] = field(default_factory=dict)
    counters: dict[str, PeopleCounter] = field(default_factory=dict)
    present: dict[str, int] = field(default_factory=dict)
    shown: dict[str, Value] = field(default_factory=dict)
    served_today: int = 0
    setup_s: float | None = None
    timers: dict[str, int] = field(default_factory=dict)
    alarms: dict[str, Alarm] = field(default_factory=dict)
    ratings: dict[str, Rating] = field(default_factory=dict)
    cases: dict[str, Case] = field(default_factory=dict)
    next_case: int = 1
    promises: dict[str, Promise] = field(default_factory=dict)
    case_tally: CaseTally = field(default_factory=CaseTally)
    duty_staff: str | None = None
    overrides: dict[str, Override] = field(default_factory=dict)
    pages: dict[str, OpenPage] = field(default_factory=dict)
    wishes: dict[str, Wish] = field(default_factory=dict)
    crowded: dict[str, int] = field(default_factory=dict)  # areas that a guide was paged to, since when
    helps: dict[str, Help] = field(default_factory=dict)  # by window
    roster: dict[str, Today] = field(default_factory=dict)  # of today only, by member
    replies: dict[Point, str] = field(
        default_factory=dict
    )  # of pagers: what the last key there came to, by point
    voices: dict[Point, Voice] = field(default_factory=dict)
    hours: dict[str, AreaHours] = field(default_factory=dict)
    flexed: dict[str, Flex] = field(default_factory=dict)  # by area; "" is the whole hall
    hall_phase: Phase = "open"
    doubt_until_ms: int = 0
    notices: dict[str, Notice] = field(default_factory=dict)
    bookings: dict[str, Booking] = field(default_factory=dict)
    trial: PolicyTrial | None = None
    put_aside: Policy | None = None  # what was in force when safe mode began
    left: list[LeftPolicy] = field(default_factory=list)  # policies taken out of force, the newest last
    usual: dict[int, UsualQueue] = field(default_factory=dict)  # by half hour of the day
    usual_due_ms: int = 0
    # in a rush (rush.py): areas that wait for their look, windows that wait for their words, each since when
    put_off: dict[str, int] = field(default_factory=dict)
    words_put_off: dict[str, int] = field(default_factory=dict)
    paced_ms: int = 0  # up to when looks are taken
    ticket_secret: str = ""  # what the addresses of visitors' pages are made of; "": none was drawn yet
