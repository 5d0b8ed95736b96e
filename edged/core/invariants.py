"""Invariants of the state between two events, asserted by ``Engine.check``.

Each function takes the whole state and raises ``AssertionError`` with the names of what is wrong. It takes time in
proportion to everybody present, so simulators and tests run it after every step, the daemon does not.
"""

from __future__ import annotations

from edged.core import rush
from edged.core.model.events import WHOLE_HALL
from edged.core.model.lookup import Lookup
from edged.core.model.state import State, Ticket, WindowState
from edged.core.model.turn import override_key
from edged.core.queue.bookings import BOOKINGS_MAX
from edged.core.queue.ordering import ASKED, AT_REST, lane_of, place_ms
from edged.core.queue.tickets import TIMER_OF

IDLE = (
    "OPEN",
    "CLOSED",
    "STANDBY",
    "ACTIVATING",
    "COOLDOWN",
    "CONSULTING",
    "INVITED",
)  # states in which nobody is at the window

STATE_OF = {timer: state for state, timer in TIMER_OF.items()}


def check(state: State, lookup: Lookup) -> None:
    """Assert every invariant of this module. Raises ``AssertionError`` at the first that does not hold."""
    _queues(state, lookup)
    _visitors(state)
    _waits(state)
    _prepared(state)
    for name, window in state.windows.items():
        _window(name, window, state)
        _tidal(name, window, lookup)
    _staff(state)
    _overrides(state, lookup)
    _pages(state, lookup)
    _wishes(state, lookup)
    _cases(state)
    _put_off(state)
    _numbers(state)


def _put_off(state: State) -> None:
    """In a rush, evaluating an area or a window's texts is postponed by at most ``rush.EVERY_MS``."""
    for name, since_ms in (*state.put_off.items(), *state.words_put_off.items()):
        late_ms = state.at_ms - since_ms
        assert late_ms <= rush.EVERY_MS, f"{name} was put off {late_ms} ms ago and not looked at"


def _numbers(state: State) -> None:
    """Every known number leads to its ticket; the ranges of other given numbers are in order, and each has an end."""
    for number, ticket in state.used_numbers.items():
        known = state.tickets[ticket].number
        assert known == number, f"{number} leads to the ticket of {known}"
    for run, bounds in state.past_numbers.items():
        assert bounds == sorted(set(bounds)), f"runs of {run} out of order: {bounds}"
        assert len(bounds) % 2 == 0, f"a run of {run} does not end: {bounds}"


def _queues(state: State, lookup: Lookup) -> None:
    """Every waiting ticket is in exactly one queue, in order of place, and is counted once."""
    queued: list[int] = []
    for service, by_class in state.queues.items():
        for lane, queue in by_class.items():
            for ticket in map(state.tickets.__getitem__, queue):
                own = (ticket.service, lane_of(ticket))
                assert own == (service, lane), f"{ticket.number} of {own} stands in {service} {lane}"
            places = [(place_ms(state.tickets[ticket]), ticket) for ticket in queue]
            assert places == sorted(places), f"the queue of {service} is out of order"
            queued += queue
    waiting = [ticket.id for ticket in state.tickets.values() if ticket.state == "WAITING"]
    assert sorted(queued) == sorted(waiting), (
        f"queues and waiting tickets differ: {set(queued) ^ set(waiting)}"
    )
    for area, area_state in state.areas.items():
        here = sum(
            len(queue) for s in lookup.area_services[area] for queue in state.queues.get(s, {}).values()
        )
        assert area_state.waiting == here, f"{area} counts {area_state.waiting}, but {here} wait"


def _visitors(state: State) -> None:
    """A called or served visitor is at exactly one window, and that window names the same ticket."""
    held = {window.ticket: name for name, window in state.windows.items() if window.ticket is not None}
    assert len(held) == sum(w.ticket is not None for w in state.windows.values()), (
        "two windows hold one ticket"
    )
    for ticket in state.tickets.values():
        if ticket.state in ("CALLED", "SERVING"):
            assert held.get(ticket.id) == ticket.window, f"{ticket.number} thinks it is at {ticket.window}"
        else:
            assert ticket.id not in held, f"{held.get(ticket.id)} holds {ticket.number} in {ticket.state}"


def _waits(state: State) -> None:
    """Every timer of a ticket's state (booked, parked, papers missing, no-show) belongs to a ticket in that state. An
    early check-in and a visitor who is to bring papers always have one, as has every appointment.
    """
    clocks = {tuple(name.split("/", 1)) for name in state.timers}
    for kind, key in clocks:
        if kind in STATE_OF:
            ticket = state.tickets.get(int(key))
            assert ticket is not None, f"{kind}/{key} runs for nobody"
            assert ticket.state == STATE_OF[kind], f"{kind}/{key} runs, but {ticket.number} is {ticket.state}"
    for ticket in state.tickets.values():
        if ticket.state in ("BOOKED", "RETURN_PENDING"):
            assert (TIMER_OF[ticket.state], str(ticket.id)) in clocks, f"{ticket.number} waits for ever"
        assert ticket.returning <= (ticket.state == "WAITING"), f"{ticket.number} is back, yet {ticket.state}"
    booked = {key for kind, key in clocks if kind == "booking"}
    assert booked == set(state.bookings), f"bookings without an end: {booked ^ set(state.bookings)}"
    assert len(state.bookings) <= BOOKINGS_MAX


def _prepared(state: State) -> None:
    """A window that has prepared a visitor (reserved them for its next call) has a timer for that, and is open, calling
    or serving.
    """
    for name in [name for name, window in state.windows.items() if window.prepared is not None]:
        assert f"prepared/{name}" in state.timers, f"{name} keeps somebody for ever"
        assert state.windows[name].state in ("OPEN", "CALLING", "SERVING"), f"{name} keeps somebody"


def _window(name: str, window: WindowState, state: State) -> None:
    """The state of a window agrees with its visitor, its deadline and its pause."""
    ticket: Ticket | None = None if window.ticket is None else state.tickets[window.ticket]
    at_window = None if ticket is None else ticket.state
    allowed: dict[str, tuple[str | None, ...]] = {
        "CALLING": ("CALLED",),
        "SERVING": ("SERVING",),
        "DRAINING": ("CALLED", "SERVING"),
        "PAUSED": (None, "SERVING"),
    }
    assert at_window in allowed.get(window.state, (None,)), f"{name} is {window.state} with {at_window}"
    waits = window.state in ("ACTIVATING", "INVITED", "COOLDOWN") or at_window == "CALLED"
    may_wait = waits or window.state == "DRAINING"  # for an end of service that is never reported
    assert waits <= (window.due_ms is not None) <= may_wait, f"{name} is {window.state}, due {window.due_ms}"
    assert window.pause_reason is None or window.state == "PAUSED", f"{name} is {window.state}, yet paused"
    paused = window.state == "PAUSED"
    assert paused == (window.paused_ms is not None), (
        f"{name} is {window.state}, paused since {window.paused_ms}"
    )
    assert paused or f"pause-too-long/{name}" not in state.alarms, (
        f"{name} is {window.state}, not paused too long"
    )


def _tidal(name: str, window: WindowState, lookup: Lookup) -> None:
    """Only a tidal window rests, blinks, drains and cools down; while it serves, it does so for one of its areas."""
    if not lookup.windows[name].tidal:
        assert window.state not in (*AT_REST, *ASKED, "DRAINING"), f"{name}: {window.state}"
        assert window.area is None, f"regular window {name} is bound to {window.area}"
        return
    assert window.state != "CLOSED", f"tidal window {name} is closed and cannot be chosen"
    assert (window.state not in ("CONSULTING", "INVITED")) or window.staff is not None, f"nobody is at {name}"
    assert window.state != "STANDBY" or window.staff is None, f"{window.staff} is at {name}, which rests"
    if window.state in AT_REST:
        assert window.area is None, f"{name} rests for {window.area}"
    else:
        assert window.area in lookup.areas, f"{name} is {window.state} for {window.area}"
    if window.state not in (*AT_REST, "DRAINING"):
        assert window.area in lookup.window_areas[name], f"{name} cannot serve {window.area}"
    if window.state == "ACTIVATING":
        assert window.staff is None, f"{name} blinks although {window.staff} is there"
    else:
        assert window.paged_staff is None, f"{window.paged_staff} is paged to {name}, which is {window.state}"


def _staff(state: State) -> None:
    """A member who is "bound" sits at exactly one window, one who is "paged" is awaited at exactly one, and any other
    is at none.

    A window with helpers has a clerk.
    """
    sitting: dict[str, list[str]] = {}
    called: dict[str, list[str]] = {}
    for name, window in state.windows.items():
        there = (window.staff, *window.helpers)
        for one in there:
            if one is not None:
                sitting.setdefault(one, []).append(name)
        if window.paged_staff is not None:
            called.setdefault(window.paged_staff, []).append(name)
        assert len(there) == len(set(there)), f"twice at {name}: {there}"
        assert window.staff is not None or not window.helpers, f"{there} help nobody at {name}"
    for name, member in state.staff.items():
        seats, calls = sitting.get(name, []), called.get(name, [])
        if member.state == "bound":
            assert seats == [member.window], f"{name} is bound to {member.window}, but sits at {seats}"
            assert not calls, f"{name} serves {member.window} and is paged to {calls}"
        elif member.state == "paged":
            assert calls == [member.window], f"{name} is paged to {member.window}, but {calls} wait"
            assert not seats, f"{name} is paged, but sits at {seats}"
        else:
            assert not seats, f"{name} is free, but sits at {seats}"
            assert not calls, f"{name} is free, but {calls} wait"


def _overrides(state: State, lookup: Lookup) -> None:
    """Every override has a timer and is about something the hall has. A window ordered closed is neither open nor asked
    to open, and not ordered open as well.
    """
    for name, override in state.overrides.items():
        assert name == override_key(override.kind, override.target), f"{name} is {override}"
        assert f"override/{name}" in state.timers, f"{name} never ends"
        window = state.windows.get(override.target)
        if override.kind == "pause-issuing":
            assert override.target in (*lookup.areas, WHOLE_HALL), f"{name}: no such area"
        else:
            assert window is not None, f"{name}: no such window"
        if override.kind == "close" and window is not None:
            assert window.state not in ("OPEN", *ASKED), f"{override.target} is {window.state}"
            assert "open/" + override.target not in state.overrides, f"{name}: and open"
    for name in state.timers:
        kind, _, key = name.partition("/")
        assert kind != "override" or key in state.overrides, f"{name} ends nothing"


def _wishes(state: State, lookup: Lookup) -> None:
    """Every wish has a timer and is about an area of the hall."""
    for name, wish in state.wishes.items():
        assert f"wish/{name}" in state.timers, f"{name} never ends"
        assert wish.area in lookup.areas, f"{name}: no such area"


def _pages(state: State, lookup: Lookup) -> None:
    """Every open page went to a member of staff or the duty manager. Members get at most one at a time, and it has a
    timer.
    """
    helping = [page.to for page in state.pages.values() if page.to in lookup.staff]
    assert len(helping) == len(set(helping)), f"paged twice: {helping}"
    for name, page in state.pages.items():
        assert page.to in lookup.staff or page.to == "duty-manager", f"{name} went to {page.to}"
        if page.to in lookup.staff:
            assert f"page/{name}" in state.timers, f"{name} waits for {page.to} for ever"


def _cases(state: State) -> None:
    """Every case has a timer for its next deadline, and no timer is about a deleted case."""
    for name, case in state.cases.items():
        assert name == case.id, f"{name} is {case}"
        closed = case.state == "CLOSED"
        assert closed == (case.closed_ms is not None), f"{name} is {case.state}, closed {case.closed_ms}"
        assert closed == (f"case-keep/{name}" in state.timers), f"{name} is {case.state}"
        assert not closed or f"case-due/{name}" not in state.timers, f"{name} is closed and due"
        assert case.due_day is None or closed or f"case-due/{name}" in state.timers, f"{name} is never due"
        assert case.state == "OPEN" or f"case-ack/{name}" not in state.timers, f"{name} is {case.state}"
        assert not closed or None not in (case.responded, case.on_time), f"{name} closed undecided"
    for name in state.timers:
        kind, _, key = name.partition("/")
        assert kind not in ("case-ack", "case-due", "case-keep") or key in state.cases, (
            f"{name}: no such case"
        )
