"""Everything the controller remembers, as plain data. A hall whose state is saved, loaded and continued behaves as if
it had never stopped.

Nothing in the state can be computed from the rest of it, except the waiting queues: ``queues`` holds exactly the
tickets in state WAITING, and ``Engine.check`` compares the two. What is derived from the configuration is in
``lookup.py``.
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
    """A finished stage of a visit (one service at one window): the window that ended it, the ``outcome`` ("transferred"
    if the visitor was sent on), and when it ended.
    """

    window: str
    service: str
    outcome: str
    at_ms: int


@value
class Booking:
    """An appointment whose visitor has not checked in yet. ``service``: the id of a service, or of a journey (several
    services for one number). ``start_ms``: wall time, ms since 1970 UTC.
    """

    service: str
    start_ms: int
    priority: Priority


@value
class Prepared:
    """A ticket that a window has reserved and calls next. ``rule``: the name of the call rule that chose it; None: the
    ordinary order. ``sent_to``: the only window that could call the ticket before it was reserved; None: any could.
    """

    ticket: int
    rule: str | None
    sent_to: str | None


@value
class CallShown:
    """One line of "last calls" on an area's displays: the ticket number, and the window's number as visitors read
    it.
    """

    number: str
    window: str


@value
class PendingAction:
    """An action (such as a print, or a page to a pager) for which the device has not yet reported whether it was
    carried out. ``at_ms``: when it was commanded.
    """

    point: Point
    body: Body
    at_ms: int


@value
class DeviceState:
    """Whether a device can be reached (``up``), and since when (``since_ms``, hall time). For a device that cannot be
    reached, ``reason`` and ``detail`` say why, as in ``DeviceLost``.
    """

    up: bool
    since_ms: int
    reason: str | None = None
    detail: str | None = None


@value
class PolicyTrial:
    """The trial of a policy that the city pushed: if visitors wait too long under it, the previous policy returns.
    ``good_version``, ``good_sha256``, ``rules`` and ``tidal`` are of the previous policy; its ``rules`` judge the
    trial.

    A wait is the average time that the waiting visitors have waited, in seconds. ``before_s``: the wait when the policy
    came. ``waited_s`` and ``limit_s``: the wait and its limit at the last check. ``worse``: at how many checks in a row
    (one each minute) the wait reached its limit without a rush that explains it. ``left_min``: minutes of opening time
    until the trial ends. ``harmful``: the policy was found harmful.
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
    """A policy that was taken out of force. The same version is not put in force again.

    ``waited_s`` 0: an operator ordered it. Otherwise waits under the policy were too long: the waiting visitors had
    waited ``waited_s`` seconds on average, with ``limit_s`` as the limit.
    """

    version: int
    sha256: str
    waited_s: int = 0
    limit_s: int = 0


@value
class UsualQueue:
    """The longest waits recorded in one half hour of the day, on ``days`` days. Each further day multiplies the older
    record by a factor below 1, so that older days count less. ``day``: the latest day, in days since 1970.

    ``waited_s``: the highest wait, that is how many seconds the waiting visitors had waited on average. ``pressure``:
    the highest number of arrivals in an hour for each regular (not "+1") window that worked.
    """

    waited_s: float
    pressure: float
    days: int
    day: int


@dataclass(slots=True)
class Spoken:
    """An announcement in a loudspeaker's queue, to be played ``times`` more times. If it calls a visitor, ``ticket`` is
    the id of their ticket, ``number`` the printed number and ``window`` the window; otherwise they are empty.
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
    """A loudspeaker. ``doing``: the id of the action that it plays now, since ``since_ms``; None: nothing. ``free_ms``:
    the stamp from which the next announcement may be played. ``waiting``: its queue of announcements.
    """

    doing: str | None = None
    since_ms: int = 0
    free_ms: int = 0
    waiting: list[Spoken] = field(default_factory=list)


@dataclass(slots=True)
class Notice:
    """A text that somebody (``by``) put on the boards of ``areas`` (empty: all boards). It stays until the wall time
    ``until_wall_ms`` (ms since 1970 UTC), or until it is withdrawn if that is None.
    """

    text: str
    text_en: str
    areas: tuple[str, ...]
    until_wall_ms: int | None
    by: str


@dataclass(slots=True)
class Ticket:
    """A number (号票) and the state of the visit for which it was given.

    ``place_ms``: the stamp that decides the visitor's place in every queue. It is when the visit began (for an
    appointment that checked in early: when it joined the queue), not when its present stage (service) began.
    ``queued_ms``: when the present wait began. ``quoted_s``: the wait predicted then, in seconds (low, middle, high);
    None: none was. ``stages``: ids of services still to come. ``trail``: finished stages. ``returning``: the visitor
    had been told which papers were missing and is back. ``direct``: a visitor served without a number. ``booked``: the
    id of the appointment for which it was given.
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
    """The state of a window. ``area``: the area for which a tidal window is opened; None: none. ``due_ms``: the stamp
    of the window's next deadline.

    At the window: ``staff``: the clerk who is logged in; ``helpers``: staff logged in beside the clerk, in the order
    they came. ``stale``: the panel is silent, and the state is the last one known. ``reported_ms``: when a queue system
    last reported that somebody is there. ``prepared``: the ticket reserved to be called next. ``answered``: how many
    questions of people without a number were answered today.

    Texts: ``hint`` is shown to the clerk for a short time, at most while the condition ``hint_while`` holds (see
    ``staffing.hint``). ``farewell``: lines on the window's board that tell a visitor who was just served where to go
    next.

    Opening: ``consults``: once the window is no longer needed as "+1", its clerk gives general advice again
    (consultation window). ``later_until_ms``: the clerk of a consultation window answered "later" and is not asked
    again before this stamp. ``reopen_until_ms``: outside opening hours, a second "next" before this stamp opens the
    window.
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
    """What was measured in an area: service times of finished visits, and arrivals.

    A mean time is a ``*sum*`` divided by the ``*weight`` of the same name, both of which count older visits less.
    ``all_*`` is over all services; ``sum_s`` and ``weight`` are by service; ``ratio_*`` is the measured time in
    relation to the configured one. ``issued``: tickets by service, from which the mix of services follows. ``arrived``:
    tickets by number of the 30 s in which they were issued (``forecast.BIN_MS``).
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
        """Delete the sums and counts of services that are not in ``services``, because the hall no longer has them."""
        for known in (self.sum_s, self.weight, self.issued):
            for service in [service for service in known if service not in services]:
                del known[service]


@dataclass(slots=True)
class AreaState:
    """What the tidal loop (which opens and closes "+1" windows) remembers about an area.

    ``over_since_ms`` and ``under_since_ms``: the stamps since which the area asks for one more window, or could do with
    one fewer; None while it does not. ``tried_staff`` and ``tried_windows``: who was asked in vain for the present
    request; ``escalated_ms``: when the duty manager was paged because nobody came. ``refused`` and ``held``: the reason
    noted last for not opening a window, and for waiting before one is opened or given back. ``due_ms``: when the area
    is evaluated again even if nothing happens. ``stale``: "hold" or "schedule" while devices of the area have been lost
    for long (see ``sensors.judge``).
    """

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
    """An area's opening hours at present. ``known`` False: they are unknown, and the area counts as open.

    ``serving`` (windows serve) and ``noon`` (it is the noon break) follow from the calendar alone; ``phase`` also
    considers visitors who are still there. ``closes_ms`` is the stamp at which windows stop serving, ``next_ms`` the
    one at which the calendar's answer may change next. ``opens_local_ms``: when windows serve next, in local time.
    ``rest_ms``: start and end stamps of today's noon break, until it is over; None if a window of the area serves
    through it. ``stopped``: ids of services that give no more numbers today.
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
    """Opening hours that a person (``by``) changed for one ``day`` (days since 1970), in minutes after midnight. None
    leaves that end as the policy says.
    """

    day: int
    opens_min: int | None
    closes_min: int | None
    by: str


@dataclass(slots=True)
class StaffState:
    """What a member of staff does now: "paged" while they are expected at a "+1" window, "bound" while they work at one
    (both at ``window``), otherwise "standby". ``helped``: how many pages they answered today.

    ``silent``: they did not answer their last page. Then they are paged after all others, until they answer a page or
    log in.
    """

    state: Literal["standby", "paged", "bound"] = "standby"
    window: str | None = None
    activations: int = 0
    last_used_ms: int = 0
    helped: int = 0
    silent: bool = False


@dataclass(slots=True)
class Wish:
    """A request for one more "+1" window in ``area``, made by a named person (``by``) or at the panel of ``window``. It
    lasts until a window opens for it, it is withdrawn, or it expires.
    """

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
    """A commissioner (帮办) who helps at a window since ``since_ms``. ``answer_s``: how many seconds passed from the
    first page until they answered.
    """

    staff: str
    since_ms: int
    answer_s: float


@dataclass(slots=True)
class OpenPage:
    """A page (a message to a pager) that nobody has answered yet. ``about``: the role that is needed, or the kind of
    the alarm; ``subject``: the window, area or other thing concerned. ``to``: who was paged last. ``sent`` and
    ``to_duty``: how many times it was sent, in all and to the duty manager.
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
    """One line (doorway or camera) of a people counter: its last reported total, and when that was received."""

    total: int
    heard_ms: int


@dataclass(slots=True)
class PeopleCounter:
    """A people counter. ``total``: the last reported total; ``came``: how many people came in each minute.

    ``suspect``: after an implausible report, how many plausible ones must still come until the alarm about the counter
    ends (0: no alarm). ``lines``: the totals of its single lines (doorways or cameras), if it reports them.
    """

    total: int | None = None
    heard_ms: int | None = None
    suspect: int = 0
    came: dict[int, int] = field(default_factory=dict)
    lines: dict[str, CounterLine] = field(default_factory=dict)


@dataclass(slots=True)
class Sender:
    """What is known of a device's message numbers in its present *epoch*: since they last began again, usually because
    it was switched on (``sequence.py``).

    ``first``: the number that was received first in the epoch (the broker may still repeat lower ones, of an earlier
    epoch). ``heard_ms`` and ``day``: when the last number was received. ``fresh``: numbers received lately, each with
    its time; time without a connection is not counted. ``cut``: our own connection was down after the last number was
    received. ``deaf_ms``: the stamp since which it is down now; None: it is up. ``before`` and ``before_boot``: the
    last number and the ``boot`` of the previous epoch.

    Two devices may use one id by mistake. ``twice``: how strong the signs of that are; ``sign_ms``: when the last sign
    came; ``echoed``: the last number that was received twice.
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
    """Something that needs a person: a ``kind`` of alarm about a ``subject`` (an id), in force since ``since_ms``.
    ``accepted_by``: who takes care of it; None: nobody yet.
    """

    kind: str
    subject: str
    since_ms: int
    accepted_by: str | None = None
    accepted_ms: int | None = None


@dataclass(slots=True)
class Override:
    """A manual decision over the rules (人工干预) about ``target``. The time at which it ends is that of its timer in
    ``State.timers``. ``area``: if a window is to be open, the area that it serves.
    """

    kind: OverrideKind
    target: str
    by: str
    since_ms: int
    area: str | None = None
    reason: str | None = None


@dataclass(slots=True)
class Rating:
    """A rating (好差评) of a visit or case, from 1 (very bad) to 5 (very good). ``subject``: the ticket number, or the
    case's id. ``answer``: how staff dealt with a bad rating; None: it was not bad, or nobody has dealt with it yet.
    """

    subject: str
    level: int
    window: str | None
    at_ms: int
    corrected: int = 0
    answer: str | None = None
    reminders: int = 0


@dataclass(slots=True)
class Promise:
    """The papers that a visitor has promised to bring later (容缺受理), at the window ``window``. ``due_day``: the last
    day to bring them, in days since 1970; None: unknown.
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
    """A visitor's report that something could not be done (办不成事). It holds codes and ids only, no text about the
    matter or the person.

    ``asked_ms``: the stamp from which the time to answer counts (the next opening, for a case from outside opening
    hours). ``visit``: the id of the visitor's ticket. Days are counted since 1970. ``from_day``: the day from which
    working days are counted; ``due_day``: the last working day for closing the case (None while the date is unknown).
    ``overdue_day``: the day on which a note last said that the case is overdue. ``responded``: it was answered in time;
    ``on_time``: it was closed in time. Both are None until decided, and once False they stay False. ``undoable``: it
    was closed with an outcome that says it cannot be done (不可办).
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
    """How many closed cases were deleted from the state, in all and by result: the ratios of answered, punctual and
    satisfied cases (``case_signs.Ratios``) go on counting them.
    """

    cases: int = 0
    responded: int = 0
    on_time: int = 0
    undoable: int = 0  # of ``cases``, and how many of these were closed in time
    undoable_on_time: int = 0
    rated: int = 0
    satisfied: int = 0


@dataclass(slots=True)
class State:
    """The state of the whole hall. The dictionaries have ids as keys, unless a comment says otherwise. Ticket ids are
    counted up and never used twice.
    """

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
