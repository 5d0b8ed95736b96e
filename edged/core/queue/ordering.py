"""The one function for the order of calling: calls, "next up" on displays, places in the queue and predicted waits all
use it. A waiting ticket is in a *lane*: its service, its priority class, and the one window it was sent to, if any.

Within a lane tickets are ordered by *place* (start of the visit, then ticket id), so only the first tickets of the
lanes that a window may call are compared:

0. Tickets put first by hand come first, the newest of them before the others.
1. The calling rules of the policy are tried in order; the first that fits some ticket wins, and "anybody" is always
   last.
2. Among the fitting tickets the earliest *effective arrival* is called: place minus the head start of the class, so
   that waiting also raises the priority of a visitor without a class. Ties: ticket id, which is the order of issue.
3. A call *overtakes* if a ticket with an earlier place stays waiting. After ``priority_streak`` overtaking calls in a
   row (for one class its own ``streak``, if smaller) the window calls the earliest place.

The bound: as long as a window may call a ticket T, the call of T is among its next ``(n + 1) * (priority_streak + 1)``
calls, where n is how often it calls a ticket with an earlier place or put first. Reason: of any ``priority_streak + 1``
calls in a row one is of the earliest place or put first, that is T or one of the n. This holds for any arrivals,
classes and rules, also for visitors without priority.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator

from edged.core.model.events import Priority
from edged.core.model.policy import Calling, CallRule
from edged.core.model.state import State, Ticket, WindowState, WindowStateName
from edged.core.model.turn import Turn
from edged.core.model.value import value

# The same words on boards, in topics, metrics and pages: a window is *asked* (its lamp blinks until a clerk comes),
# *staffed* (a clerk is there), *open* (staffed and takes visitors; paused and draining ones do not).
ASKED: tuple[WindowStateName, ...] = ("ACTIVATING", "INVITED")  # the lamp blinks until a clerk comes
AT_REST: tuple[WindowStateName, ...] = ("STANDBY", "CONSULTING", "COOLDOWN")  # of a tidal window: no area's
STAFFED: tuple[WindowStateName, ...] = (
    "OPEN",
    "CALLING",
    "SERVING",
    "PAUSED",
)  # for its area, open or paused
WITHOUT_HEAD_START: tuple[Priority, ...] = ("normal",)  # every other class has one
WORKING: tuple[WindowStateName, ...] = ("OPEN", "CALLING", "SERVING")  # open
RETURNING = "returning"  # the class of visitors who are back with the missing papers (二次通行)
FIRST = "first"  # the class of tickets put first by hand
ANYBODY = CallRule()
NO_LANES: dict[str, list[int]] = {}  # of a service for which nobody has waited yet


@value
class Choice:
    """The ticket that a window calls, the calling rule that chose it (None: "anybody"), and whether it overtakes
    another ticket.
    """

    ticket: Ticket
    rule: str | None
    overtakes: bool


def lane_of(ticket: Ticket) -> str:
    """The name of a ticket's lane within its service: the class, and the window it was sent to (``elderly``,
    ``normal@w2``).
    """
    name = FIRST if ticket.ahead_ms else RETURNING if ticket.returning else ticket.priority
    return name if ticket.only_window is None else f"{name}@{ticket.only_window}"


def class_of(lane: str) -> str:
    """The priority class of a lane."""
    return lane.partition("@")[0]


def head_start_ms(name: str, calling: Calling) -> int:
    """How many milliseconds earlier visitors of a class are treated as having come."""
    if name in WITHOUT_HEAD_START or name == FIRST:
        return 0
    if name == RETURNING:
        return calling.return_head_start_s * 1000
    own = calling.classes.get(name)
    if own is None or own.head_start_s is None:
        return calling.priority_head_start_s * 1000
    return own.head_start_s * 1000


def streak_of(name: str, calling: Calling) -> int:
    """How many visitors of priority class ``name`` one window may call in a row ahead of others who came earlier."""
    own = calling.classes.get(name)
    if own is None or own.streak is None:
        return calling.priority_streak
    return min(own.streak, calling.priority_streak)


def place_ms(ticket: Ticket) -> int:
    """A ticket's place in its lane: the stamp at which its visit began, moved ahead if it was put first by hand."""
    return ticket.place_ms - ticket.ahead_ms


def put_first(turn: Turn, ticket: Ticket) -> None:
    """Make a waiting ticket the next one of its area, by a manual decision; it goes before tickets put first
    earlier.
    """
    area = turn.lookup.area_of(ticket.service)
    first_ms = min(
        place_ms(turn.state.tickets[queue[0]])
        for service in turn.lookup.area_services[area]
        for queue in turn.state.queues.get(service, {}).values()
        if queue
    )
    dequeue(turn.state, ticket)
    ticket.ahead_ms = ticket.place_ms - first_ms + 1
    enqueue(turn.state, ticket)
    turn.touch_area(area)


def enqueue(state: State, ticket: Ticket) -> None:
    """Put a waiting ticket into its lane (the queue of its service, its priority class and the window it was sent to,
    if any), at its place.
    """
    lane = state.queues.setdefault(ticket.service, {}).setdefault(lane_of(ticket), [])
    if not lane or _place(state.tickets[lane[-1]]) < _place(ticket):
        lane.append(ticket.id)  # the usual case: the latest place
    else:
        insort(lane, ticket.id, key=lambda other: _place(state.tickets[other]))


def dequeue(state: State, ticket: Ticket) -> None:
    """Take a ticket out of its lane."""
    lanes, name = state.queues[ticket.service], lane_of(ticket)
    lane = lanes[name]
    del lane[bisect_left(lane, _place(ticket), key=lambda other: _place(state.tickets[other]))]
    if not lane and ticket.only_window is not None:  # empty lanes of classes are kept: there are few
        del lanes[name]


def queued_since_ms(turn: Turn, area: str) -> tuple[int | None, int | None]:
    """The stamps since when the longest-waiting visitor of the area waits, and the longest-waiting one with priority;
    None if there is none.
    """
    oldest: int | None = None
    priority: int | None = None
    queues, tickets = turn.state.queues, turn.state.tickets
    for service in turn.lookup.area_services[area]:
        for lane, queue in queues.get(service, NO_LANES).items():
            if queue:
                queued_ms = tickets[queue[0]].queued_ms
                if oldest is None or queued_ms < oldest:
                    oldest = queued_ms
                if (priority is None or queued_ms < priority) and class_of(lane) not in WITHOUT_HEAD_START:
                    priority = queued_ms
    return oldest, priority


def oldest_waiting_ms(turn: Turn, services: Iterable[str]) -> int | None:
    """The stamp since when the longest-waiting visitor of these services waits; None if nobody does."""
    oldest: int | None = None
    for service in services:
        for queue in turn.state.queues.get(service, {}).values():
            if queue:
                queued_ms = turn.state.tickets[queue[0]].queued_ms
                oldest = queued_ms if oldest is None else min(oldest, queued_ms)
    return oldest


def serving_services(turn: Turn, window: str) -> tuple[str, ...]:
    """The services that this window may call now: its skills; of a tidal window those of the area it was activated for;
    of a lent window those of the other area while somebody waits there.
    """
    site = turn.lookup.windows[window]
    state = turn.state.windows[window]
    if not site.tidal:
        lent_to = state.lent_to
        if lent_to is not None and turn.area(lent_to).waiting:  # lent: the other area's visitors first
            return turn.lookup.skills_in(window, lent_to)
        return site.skills
    return () if state.area is None else turn.lookup.skills_in(window, state.area)


def choose(turn: Turn, window: str) -> Choice | None:
    """The ticket that this window calls next; None if it may call none."""
    state = turn.window(window)
    tickets = turn.state.tickets
    heads = [(lane, tickets[queue[0]]) for lane, queue in _lanes(turn, window)]
    return _pick(turn, window, heads, _Streak.of(state))


def prepared_at(turn: Turn, window: str) -> Ticket | None:
    """The ticket that this window has reserved for its next call ("prepare" key); None if there is none or it left the
    queue.
    """
    prepared = turn.window(window).prepared
    ticket = None if prepared is None else turn.state.tickets.get(prepared.ticket)
    kept = ticket is not None and ticket.state == "WAITING" and ticket.only_window == window
    return ticket if kept else None


def choice_of(turn: Turn, window: str, ticket: Ticket, rule: str | None) -> Choice:
    """Return the ``Choice`` for a waiting ``ticket`` that calling rule ``rule`` chose earlier; whether it overtakes is
    computed anew.
    """
    heads = [turn.state.tickets[queue[0]] for _, queue in _lanes(turn, window)]
    overtakes = not ticket.ahead_ms and any(_place(head) < _place(ticket) for head in heads)
    return Choice(ticket, rule, overtakes)


def upcoming(turn: Turn, window: str, count: int) -> list[Ticket]:
    """The next ``count`` tickets that this window calls if nobody else comes and no other window calls."""
    tickets = turn.state.tickets
    lanes = list(_lanes(turn, window))
    at = [0] * len(lanes)
    streak = _Streak.of(turn.window(window))
    found: list[Ticket] = []
    kept, prepared = prepared_at(turn, window), turn.window(window).prepared
    if kept is not None and prepared is not None:
        found.append(kept)
        streak = streak.after(choice_of(turn, window, kept, prepared.rule))
        lanes = [(lane, [one for one in queue if one != kept.id]) for lane, queue in lanes]
    while len(found) < count:
        heads = [
            (lane, tickets[queue[n]]) for n, (lane, queue) in zip(at, lanes, strict=True) if n < len(queue)
        ]
        chosen = _pick(turn, window, heads, streak)
        if chosen is None:
            break
        found.append(chosen.ticket)
        streak = streak.after(chosen)
        for index, (_, queue) in enumerate(lanes):
            if at[index] < len(queue) and queue[at[index]] == chosen.ticket.id:
                at[index] += 1
    return found


def next_up(turn: Turn, area: str, count: int) -> list[str]:
    """The next ``count`` numbers of the area: first the next one of each working window, then the second of each, and
    so on.
    """
    asked: dict[object, str] = {}
    for window in turn.lookup.area_windows[area]:
        if turn.window(window).state in WORKING:
            asked.setdefault(_calls_alike(turn, window), window)
    lines = [upcoming(turn, window, count) for window in asked.values()]
    found = {
        line[place].number: None
        for place in range(count)
        for line in lines
        if place < len(line) and turn.lookup.area_of(line[place].service) == area
    }
    return list(found)[:count]


def _calls_alike(turn: Turn, window: str) -> object:
    """A key that is equal for two windows that would call the same tickets, so that ``upcoming`` runs once for both."""
    services = tuple(serving_services(turn, window))
    rules = turn.state.policy.calling.rules
    own = any(window in rule.windows for rule in rules) or any(
        lane.endswith(f"@{window}") for service in services for lane in turn.state.queues.get(service, ())
    )
    return services, _Streak.of(turn.window(window)), window if own else None


def count_call(turn: Turn, window: str, chosen: Choice) -> None:
    """Record that ``chosen`` is called: update the window's count of overtaking calls in a row, in all and per
    class.
    """
    state = turn.window(window)
    streak = _Streak.of(state).after(chosen)
    state.overtook, state.overtook_class, state.overtook_of_class = streak.all, streak.name, streak.of_class


@value
class _Streak:
    """Overtaking calls of a window in a row: how many in all, and how many of the last ones were for the same class."""

    all: int
    name: str | None
    of_class: int

    @classmethod
    def of(cls, state: WindowState) -> _Streak:
        return cls(state.overtook, state.overtook_class, state.overtook_of_class)

    def after(self, chosen: Choice) -> _Streak:
        if not chosen.overtakes:
            return _Streak(0, None, 0)
        name = class_of(lane_of(chosen.ticket))
        return _Streak(self.all + 1, name, self.of_class + 1 if name == self.name else 1)


def _lanes(turn: Turn, window: str) -> Iterator[tuple[str, list[int]]]:
    """The non-empty lanes that this window may call, each with its ticket ids."""
    for service in serving_services(turn, window):
        for lane, queue in turn.state.queues.get(service, {}).items():
            if queue and _may_call(turn, window, service, lane):
                yield lane, queue


def _may_call(turn: Turn, window: str, service: str, lane: str) -> bool:
    """Whether this window may call a lane. If the lane's visitors were sent to another window, only that one calls
    them, as long as it is staffed and serves ``service``.
    """
    sent_to = lane.partition("@")[2]
    if not sent_to or sent_to == window:
        return True
    if sent_to not in turn.lookup.windows or turn.window(sent_to).state not in STAFFED:
        return True
    return service not in serving_services(turn, sent_to)


def _pick(turn: Turn, window: str, heads: list[tuple[str, Ticket]], streak: _Streak) -> Choice | None:
    calling = turn.state.policy.calling
    first = min((ticket for lane, ticket in heads if class_of(lane) == FIRST), key=_place, default=None)
    if first is not None:
        return Choice(first, None, False)
    oldest = min((ticket for _, ticket in heads), key=_place, default=None)
    if oldest is None:
        return None
    if streak.all >= calling.priority_streak:
        return Choice(oldest, None, False)
    rested = streak.name if streak.name and streak.of_class >= streak_of(streak.name, calling) else None
    for rule in (*calling.rules, ANYBODY):
        fit = [
            (ticket.place_ms - head_start_ms(class_of(lane), calling), ticket.id, ticket)
            for lane, ticket in heads
            if (class_of(lane) != rested or ticket is oldest) and _fits(turn, window, rule, lane, ticket)
        ]
        if fit:
            ticket = min(fit, key=lambda found: found[:2])[2]
            return Choice(ticket, rule.name, ticket is not oldest)
    return Choice(oldest, None, False)


def _place(ticket: Ticket) -> tuple[int, int]:
    return place_ms(ticket), ticket.id


def _fits(turn: Turn, window: str, rule: CallRule, lane: str, ticket: Ticket) -> bool:
    return (
        (not rule.windows or window in rule.windows)
        and (not rule.areas or turn.lookup.area_of(ticket.service) in rule.areas)
        and (not rule.services or ticket.service in rule.services)
        and (not rule.priorities or class_of(lane) in rule.priorities)
        and turn.at_ms - ticket.place_ms >= rule.min_wait_s * 1000
    )


def ahead(turn: Turn, ticket: Ticket) -> dict[str, int]:
    """How many waiting tickets of the area are called before this one, for each service; in O(lanes * log waiting).

    Counted by the calling rules that apply to every window and any wait, then by effective arrival, as in ``choose``.
    Tickets with a later place that overtake this one count only as far as the streak allows; of those that this one
    would overtake, as many count as the streak calls first. Exact for a new ticket without priority; for one with
    priority it is what a single window would do.
    """
    calling, lane_own = turn.state.policy.calling, lane_of(ticket)
    effective_ms = place_ms(ticket) - head_start_ms(class_of(lane_own), calling)
    own = (_rank(turn, ticket.service, lane_own), effective_ms, ticket.id)
    first: dict[str, int] = {}
    spans: list[tuple[list[int], int]] = []  # (lane, how many of it are called before)
    younger = passed = older_total = 0
    oldest_passed: tuple[int, int] | None = None
    for service in turn.lookup.area_services[turn.lookup.area_of(ticket.service)]:
        for lane, queue in turn.state.queues.get(service, {}).items():
            before = _before(turn, queue, (service, lane), own)
            older = (
                before
                if FIRST in (class_of(lane), class_of(lane_own))
                else _older(turn, queue, _place(ticket))
            )
            if before < older:
                passed += older - before
                place = _place(turn.state.tickets[queue[before]])
                oldest_passed = place if oldest_passed is None else min(place, oldest_passed)
            younger += max(0, before - older)
            older_total += older
            first[service] = first.get(service, 0) + min(before, older)
            spans.append((queue, before))
    extra = min(younger, (older_total + 1) * calling.priority_streak)
    if oldest_passed is not None:
        overtaking = sum(max(0, before - _older(turn, queue, oldest_passed)) for queue, before in spans)
        extra += min(passed, overtaking // calling.priority_streak)
    if extra:
        first[ticket.service] = first.get(ticket.service, 0) + extra
    return first


def _rank(turn: Turn, service: str, lane: str) -> int:
    """Return the index of the first calling rule that fits a lane at every window and after any wait. -1 for tickets
    put first by hand; the number of rules if none fits.
    """
    rules = turn.state.policy.calling.rules
    if class_of(lane) == FIRST:
        return -1
    for number, rule in enumerate(rules):
        if rule.windows or rule.min_wait_s:
            continue
        if (
            (not rule.areas or turn.lookup.area_of(service) in rule.areas)
            and (not rule.services or service in rule.services)
            and (not rule.priorities or class_of(lane) in rule.priorities)
        ):
            return number
    return len(rules)


def _older(turn: Turn, queue: list[int], place: tuple[int, int]) -> int:
    """How many tickets of the lane ``queue`` have an earlier place than ``place``."""
    tickets = turn.state.tickets
    if not queue or _place(tickets[queue[-1]]) < place:
        return len(queue)  # the usual case: a new ticket
    if queue[-1] == place[1]:
        return len(queue) - 1
    return bisect_left(queue, place, key=lambda other: _place(tickets[other]))


def _before(turn: Turn, queue: list[int], lane: tuple[str, str], own: tuple[int, int, int]) -> int:
    """Return how many tickets of a lane are called before the ticket ``own``, given as (index of its calling rule,
    effective arrival, ticket id).
    """
    rank, effective_ms, ticket = own
    lane_rank = _rank(turn, *lane)
    if lane_rank != rank:
        return len(queue) if lane_rank < rank else 0
    if not queue:
        return 0
    head_ms = head_start_ms(class_of(lane[1]), turn.state.policy.calling)
    tickets, own_place = turn.state.tickets, (effective_ms, ticket)
    last = queue[-1]
    if last == ticket:
        return len(queue) - 1
    if (place_ms(tickets[last]) - head_ms, last) < own_place:
        return len(queue)
    return bisect_left(queue, own_place, key=lambda other: (place_ms(tickets[other]) - head_ms, other))
