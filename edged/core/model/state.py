"""Everything the controller remembers, as plain data: a hall that is dumped, loaded and continued behaves the same.

Look-ups derived from the site are in ``lookup.py``. Nothing in the state can be computed from the rest of it, except
the waiting queues (``queues`` holds exactly the tickets in state WAITING), which ``Engine.check`` compares.
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
    """A finished stage of a visit: the window that ended it, the outcome (or "transferred"), and when."""

    window: str
    service: str
    outcome: str
    at_ms: int


@value
class Booking:
    """An appointment that has not checked in yet. ``start_ms``: wall time, ms since 1970 UTC."""

    service: str
    start_ms: int
    priority: Priority


@value
class Prepared:
    """The ticket that a window calls next, the rule that chose it (None: the ordinary order), and the window that the
    ticket was bound to before.
    """

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
    """An action (such as a print, or a page to a pager) whose outcome no device has reported yet."""

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
    """A pushed policy on trial. ``rules`` and ``tidal`` are of the policy before it, which may be put back in force.

    ``before_s``: how long people had waited on average when it came. ``left_min``: minutes until the trial ends.
    ``worse``: for how many minutes in a row the queue has been too old. ``harmful``: the policy has been found harmful.
    ``waited_s`` and ``limit_s``: the average wait and its limit at the last check.
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
    """A policy that was taken out of force; it is not applied again under its version number.

    ``waited_s`` 0: an operator ordered it; otherwise people had waited that long on average, above ``limit_s``.
    """

    version: int
    sha256: str
    waited_s: int = 0
    limit_s: int = 0


@value
class UsualQueue:
    """The worst queue in one half hour of the day, averaged over ``days`` days with older ones weighted less; ``day``
    is the last of them.

    ``waited_s``: how long the waiting visitors had waited on average. ``pressure``: arrivals per hour and working
    window.
    """

    waited_s: float
    pressure: float
    days: int
    day: int


@dataclass(slots=True)
class Spoken:
    """A text that loudspeakers have to say ``times`` more times; for the call of a visitor also their ``ticket`` and
    ``window``.
    """

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
    """A loudspeaker: the action it plays (id, since when), the stamp from which it may play the next, and its queue."""

    doing: str | None = None
    since_ms: int = 0
    free_ms: int = 0
    waiting: list[Spoken] = field(default_factory=list)


@dataclass(slots=True)
class Notice:
    """A text on the boards of ``areas`` (empty: all), until a wall time or until withdrawn. Notices are kept in the
    order of posting.
    """

    text: str
    text_en: str
    areas: tuple[str, ...]
    until_wall_ms: int | None
    by: str


@dataclass(slots=True)
class Ticket:
    """A number (号票) and the state of its visit.

    ``place_ms``: the time that decides its place in every queue: when the visit began, not its present stage.
    ``queued_ms``: since when it has been waiting this time. ``stages``: services still to come. ``trail``: finished
    stages. ``returning``: the visitor was told which papers are missing and is back. ``direct``: served without a
    number. ``booked``: the appointment with which it was given.
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
    late: bool = False  # printed by a dispenser while no numbers were to be given
    ahead_ms: int = 0  # how far it was moved ahead of its place by hand
    queued_ms: int = 0
    reason: str | None = None
    reoffers: int = 0
    print_failed: bool = False
    direct: bool = False
    booked: str | None = None
    stages: list[str] = field(default_factory=list)
    trail: list[Stop] = field(default_factory=list)


@dataclass(slots=True)
class WindowState:
    """The state of a window. ``area``: the area for which a tidal window is activated; ``due_ms``: its next deadline.

    ``farewell``: lines on its board for a visitor who has just been served and goes on to another place. ``stale``: its
    panel is silent, and the state is the last known. ``hint``: a text shown to its clerk for a short time, at most
    while the condition ``hint_while`` holds (see ``staffing.hint``). ``later_until_ms``: a consultation window whose
    clerk said "later" is not asked again before that. ``reopen_until_ms``: until then a second "next" opens it outside
    opening hours. ``consults``: after the tide it becomes a consultation window again. ``answered``: today's questions
    from people without a number. ``helpers``: staff logged in beside ``staff``, in the order they came. ``prepared``:
    who is called next. ``reported_ms``: when a queue system last reported somebody there.
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
    reason_en: str | None = None  # like reason_zh, for people; ``reason`` has the rule's name and figures
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
    """The statistics of an area from its finished visits (exponentially aged sums, in seconds) and issued tickets
    (counts).
    """

    ratio_sum: float = 0.0
    ratio_weight: float = 0.0
    all_sum_s: float = 0.0
    all_weight: float = 0.0
    sum_s: dict[str, float] = field(default_factory=dict)
    weight: dict[str, float] = field(default_factory=dict)
    issued: dict[str, int] = field(default_factory=dict)
    arrived: dict[int, int] = field(default_factory=dict)

    def forget_missing(self, services: Container[str]) -> None:
        """Forget the figures of services that the hall no longer has."""
        for known in (self.sum_s, self.weight, self.issued):
            for service in [service for service in known if service not in services]:
                del known[service]


@dataclass(slots=True)
class AreaState:
    """An area's state for the tidal loop. ``*_since_ms``: since when a condition holds; None while it does not."""

    waiting: int = 0
    unserved: str | None = None
    over_since_ms: int | None = None
    under_since_ms: int | None = None
    last_open_ms: int | None = None
    last_action_ms: int | None = None
    tried_staff: list[str] = field(default_factory=list)
    tried_windows: list[str] = field(default_factory=list)
    heard: list[str] = field(default_factory=list)  # results of this round's requests (``forget_tries``)
    escalated_ms: int | None = None
    refused: str | None = None
    held: str | None = None
    relieved_ms: int | None = None
    last_calls: list[CallShown] = field(default_factory=list)
    due_ms: int | None = None
    learnt: Learnt = field(default_factory=Learnt)
    last_request_ms: int | None = None
    looked_ms: int | None = None
    asked: str | None = None  # only in dumps of earlier versions: read, not used
    asked_until_ms: int = 0  # likewise
    released_ms: list[int] = field(default_factory=list)
    stale: str | None = None
    sources: list[str] = field(default_factory=list)


Phase = Literal["open", "noon", "stopped", "draining", "closed"]


@dataclass(slots=True)
class AreaHours:
    """An area's opening hours now; ``known`` False: the hours are unknown, and the area counts as open.

    ``serving`` and ``noon`` are the calendar's answer; ``phase`` also considers who is still there. ``closes_ms`` and
    ``next_ms`` (when the calendar's answer changes next) are stamps, ``opens_local_ms`` is local time. ``rest_ms``:
    start and end stamp of today's noon break, until it is over; None if a window is on duty. ``stopped``: services that
    give no more numbers today.
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
    """Today's hours as changed by hand, valid on ``day`` (days since 1970); None: as the policy says."""

    day: int
    opens_min: int | None
    closes_min: int | None
    by: str


@dataclass(slots=True)
class StaffState:
    """A member of staff: ``paged`` until they answer, ``bound`` while they serve ``window``; ``helped``: pages answered
    today.

    ``silent``: they did not answer the last page, and are paged after all others until they answer one or log in.
    """

    state: Literal["standby", "paged", "bound"] = "standby"
    window: str | None = None
    activations: int = 0
    last_used_ms: int = 0
    helped: int = 0
    silent: bool = False


@dataclass(slots=True)
class Wish:
    """A request for one more "+1" window in ``area``, made ``by`` a person or at the panel of ``window``."""

    area: str
    trigger: str
    since_ms: int
    window: str | None = None
    by: str | None = None
    attempts: int = 0


@dataclass(slots=True)
class Today:
    """What ``by`` reported about a member of staff for today: absent, or able to serve other areas as well."""

    absent: bool = False
    also: list[str] = field(default_factory=list)
    by: str = ""


@dataclass(slots=True)
class Help:
    """A commissioner (帮办) who is at a window: since when, and how many seconds they took to answer."""

    staff: str
    since_ms: int
    answer_s: float


@dataclass(slots=True)
class OpenPage:
    """A page (a message to a pager) that nobody has answered yet: ``about`` says what ``window`` or ``area`` needs,
    ``to`` who was paged last.
    """

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
    """One line of a people counter: its last total, and when it was received."""

    total: int
    heard_ms: int


@dataclass(slots=True)
class PeopleCounter:
    """A people counter: its last total, how many people ``came`` in each minute, and for how many more reports it is
    ``suspect``.

    ``lines``: the totals of its single lines, where it reports them.
    """

    total: int | None = None
    heard_ms: int | None = None
    suspect: int = 0
    came: dict[int, int] = field(default_factory=dict)
    lines: dict[str, CounterLine] = field(default_factory=dict)


@dataclass(slots=True)
class Sender:
    """The message numbers of one device since it was switched on, its epoch (``sequence.py``).

    ``first``: the number received first (the broker may repeat lower ones, of an earlier epoch). ``heard_ms``: when the
    last was received, and on which ``day``. ``fresh``: numbers received lately, each with its time (periods without a
    connection left out). ``cut``: our connection was down since. ``deaf_ms``: since when it is down. ``before``: the
    last number of the epoch before. ``twice``: how strong the signs are that two devices use one id; ``sign_ms``: when
    the last sign came; ``echoed``: the last number that came twice.
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
    """Something that needs a person: ``kind`` about ``subject``, since when; who has accepted it, and when."""

    kind: str
    subject: str
    since_ms: int
    accepted_by: str | None = None
    accepted_ms: int | None = None


@dataclass(slots=True)
class Override:
    """A manual decision over the rules (人工干预), until its timer ends it. ``area``: the area for which a window
    opens.
    """

    kind: OverrideKind
    target: str
    by: str
    since_ms: int
    area: str | None = None
    reason: str | None = None


@dataclass(slots=True)
class Rating:
    """A rating (好差评). ``answer`` is None while a bad one waits for somebody to deal with it."""

    subject: str
    level: int
    window: str | None
    at_ms: int
    corrected: int = 0
    answer: str | None = None
    reminders: int = 0


@dataclass(slots=True)
class Promise:
    """Papers that a visitor has promised to bring (容缺受理): which, at which window it was promised, and the last
    day.
    """

    number: str
    service: str
    window: str
    papers: list[str]
    due_day: int | None = None
    overdue: bool = False


CaseState = Literal["OPEN", "ACKNOWLEDGED", "CLOSED"]


@dataclass(slots=True)
class Case:
    """A visitor's report that something could not be done (办不成事). Codes and ids only: no text about the matter or
    the person.

    ``from_day``: the day from which working days are counted, ``due_day``: the last of them (None while the date is
    unknown), ``overdue_day``: when a note last said that it is overdue. ``responded`` and ``on_time`` are None until
    decided; once False they stay so. ``undoable``: closed with an outcome that says it cannot be done (不可办).
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
    """The numbers of deleted cases by result, for the ratios (see ``case_signs.Ratios``)."""

    cases: int = 0
    responded: int = 0
    on_time: int = 0
    undoable: int = 0  # of ``cases``, and how many of these were closed in time
    undoable_on_time: int = 0
    rated: int = 0
    satisfied: int = 0


@dataclass(slots=True)
class State:
    """The whole hall. Keys are ids; ticket ids are counted up and never used twice."""

    site: Site | None = None
    policy: Policy = field(default_factory=Policy)
    policy_version: int = 0
    policy_sha256: str = ""
    policy_since_ms: int | None = None  # when the version in force took effect; None: built-in
    at_ms: int = 0
    wall_offset_ms: int | None = None
    utc_offset_min: int = 0
    day: int = 0
    day_start_ms: int = 0
    active_ms: int = 0
    next_ticket: int = 1
    next_action: int = 1
    last_number: dict[str, int] = field(default_factory=dict)
    used_numbers: dict[str, int] = field(default_factory=dict)  # today's numbers -> ticket ids
    past_numbers: dict[str, list[int]] = field(default_factory=dict)  # today's others (numbering.py)
    # an order that must be repeated (by_hand.py): next number, first that waits; until which stamp
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
    crowded: dict[str, int] = field(default_factory=dict)  # areas to which a guide was paged, since when
    helps: dict[str, Help] = field(default_factory=dict)  # by window
    roster: dict[str, Today] = field(default_factory=dict)  # by member, today only
    replies: dict[Point, str] = field(
        default_factory=dict
    )  # the answer to the last key of each pager, by point
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
    # in a rush (rush.py): areas and windows whose evaluation was postponed, each since when
    put_off: dict[str, int] = field(default_factory=dict)
    words_put_off: dict[str, int] = field(default_factory=dict)
    paced_ms: int = 0  # the rate limit of evaluations is used up to this stamp
    ticket_secret: str = ""  # the secret of own_page.py; "": not drawn yet
