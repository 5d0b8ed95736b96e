"""The phases of an area's day: closed, open, noon, stopped (no more numbers), draining, closed again (当日清零).

The calendar says when windows serve. At closing time an area *drains*: whoever holds a number is served, and its
windows stay open until nobody is left. A draining area also closes after an hour in which no panel key was pressed and
no ticket was issued: those still in the queue have surely gone home, and an alarm says so.

A clock change that opens the hall for the first time today is believed at once. One of more than ``STEP_MS`` that would
close an open area, or reopen one that has closed today, counts only after ``DOUBT_MS``, because the clock may be wrong.
Before the clock was ever set, nothing closes.
"""

from __future__ import annotations

from edged.core.calendar import day_spans, opening, wall
from edged.core.calendar.day_spans import Span
from edged.core.hours import cutoff, day
from edged.core.model.events import HoursFlexed
from edged.core.model.policy import Mode
from edged.core.model.state import AreaHours, Flex, Phase
from edged.core.model.turn import Turn
from edged.core.model.value import value
from edged.core.people import alarms, staffing
from edged.core.queue.ordering import ASKED, STAFFED
from edged.core.windows import activation, overrides
from edged.core.windows.machine import move_window

STEP_MS = 300_000  # drift is corrected by seconds; a larger step is an error, before or now
DOUBT_MS = 900_000  # by then a wrong time server has been corrected
HALL = ""  # the key of the whole hall in ``State.flexed``


@value
class _CalendarHours:
    """What the calendar alone says about an area now, whoever is still there."""

    mode: Mode
    serving: bool
    noon: bool
    day: int
    closes_ms: int | None
    next_ms: int
    opens_local_ms: int | None
    rest_ms: tuple[int, int] | None


def judge_all(turn: Turn) -> None:
    """Recompute the hours of every area, because the clock, the policy or the site changed."""
    for gone in [area for area in turn.state.hours if area not in turn.lookup.areas]:
        del turn.state.hours[gone]
        turn.drop_timer(f"hours/{gone}")
    for area in turn.lookup.areas:
        _judge(turn, area)
    _check_calendar(turn)
    _note_hall(turn)


def fire(turn: Turn, area: str) -> None:
    """Timer: the phase of this area may change now. Also judge other areas whose timer is due, so that all change
    together.
    """
    due = [
        other
        for other in turn.lookup.areas
        if turn.state.timers.get(f"hours/{other}", turn.at_ms + 1) <= turn.at_ms
    ]
    for other in dict.fromkeys([area, *due] if area in turn.lookup.areas else due):
        turn.drop_timer(f"hours/{other}")
        _judge(turn, other)
    _check_calendar(turn)
    _note_hall(turn)


def follow(turn: Turn) -> None:
    """At the end of an event, decide for each area it changed: does the area still give numbers, and if it drains, has
    its last visitor been served?
    """
    followed = False
    seen: set[str] = set()
    while found := [area for area in turn.dirty_areas if area not in seen]:
        seen.update(found)  # settling one may change another that shares a window
        for area in found:
            own = opening.of(turn, area)
            if own.known and area not in turn.only_due and not _in_full_swing(turn, own):
                _settle(turn, area, own)
                followed = True
    if followed:
        _note_hall(turn)


def _in_full_swing(turn: Turn, own: AreaHours) -> bool:
    """Whether the area is open and closing is too far off for numbers to stop. Then no event can change its phase."""
    return own.phase == "open" and own.serving and not own.noon and cutoff.is_far_off(turn, own)


def set_clock(turn: Turn, forward_ms: int | None) -> None:
    """Recompute all hours after the wall clock was set. ``forward_ms``: how far it was moved ahead (negative: back);
    None: no time was known before. After a step of more than ``STEP_MS``, areas that would close early because of it
    stay open for ``DOUBT_MS``, and those that have closed today stay closed.
    """
    if forward_ms is not None and abs(forward_ms) > STEP_MS:
        turn.state.doubt_until_ms = turn.at_ms + DOUBT_MS
        turn.note("clock.stepped", turn.lookup.site.hall, forward_s=forward_ms / 1000)
    judge_all(turn)


def flex(turn: Turn, event: HoursFlexed) -> None:
    """Change today's opening or closing time as a named person ordered. It takes effect at once. (A clock change that
    would close the hall early is doubted for a while; this is not.)
    """
    local_ms = wall.local_ms(turn)
    subject = turn.lookup.site.hall if event.area is None else event.area
    if event.area is not None and event.area not in turn.lookup.areas:
        turn.ignore(event.area, "unknown_area", by=event.by)
        return
    if local_ms is None or not day_spans.configured(turn.state.policy.hours):
        turn.ignore(subject, "hours_unknown", by=event.by)
        return
    stamps = [event.opens_min, event.closes_min]
    known = [minute for minute in stamps if minute is not None]
    if not known or known != sorted(set(known)) or not all(0 <= m <= wall.DAY_MIN for m in known):
        turn.ignore(subject, "hours_unfit", opens_min=event.opens_min, closes_min=event.closes_min)
        return
    today = wall.day(local_ms)
    turn.state.flexed[event.area or HALL] = Flex(today, event.opens_min, event.closes_min, event.by)
    turn.state.doubt_until_ms = turn.at_ms
    turn.note(
        "hours.flexed",
        subject,
        opens=None if event.opens_min is None else wall.clock(event.opens_min),
        closes=None if event.closes_min is None else wall.clock(event.closes_min),
        by=event.by,
    )
    judge_all(turn)


def closes_min(turn: Turn, area: str) -> int | None:
    """Return the minute of today (after midnight) at which ``area`` closes; the present minute if it has closed
    already. None if it is not open today, or the hours are unknown.
    """
    local_ms = wall.local_ms(turn)
    if local_ms is None or not day_spans.configured(turn.state.policy.hours):
        return None
    serving = [
        span for span in _spans_today(turn, area, wall.day(local_ms)) if span.mode in day_spans.SERVING
    ]
    return max(serving[-1].end_min, int(wall.minute(local_ms))) if serving else None


def _spans_today(turn: Turn, area: str, today: int) -> tuple[Span, ...]:
    spans = day_spans.spans(turn.state.policy.hours, area, today)
    for name in (HALL, area):  # the area's own change is applied last
        flexed = turn.state.flexed.get(name)
        if flexed is not None and flexed.day == today:
            spans = day_spans.flexed(spans, flexed.opens_min, flexed.closes_min)
    return spans


def _plan(turn: Turn, area: str) -> _CalendarHours | None:
    hours = turn.state.policy.hours
    local_ms = wall.local_ms(turn)
    if local_ms is None or not day_spans.configured(hours):
        return None
    today, minute = wall.day(local_ms), wall.minute(local_ms)
    midnight_ms = turn.at_ms - local_ms % wall.DAY_MS
    found = _spans_today(turn, area, today)
    span = day_spans.at(found, minute)
    closes_min = day_spans.serves_until(found, minute)
    noon = day_spans.noon_of(hours, found)
    at_noon = noon is not None and noon[0] <= minute < noon[1]
    next_min = next(edge for edge in day_spans.edges(hours, found) if edge > minute)
    later = next((s.start_min for s in found if s.mode in day_spans.SERVING and s.start_min > minute), None)
    opens = (today, later) if later is not None else day_spans.next_opening(hours, area, today + 1, -1)
    rest = None
    if noon is not None and minute < noon[1] and not opening.noon_windows(turn, area):
        rest = (midnight_ms + noon[0] * wall.MINUTE_MS, midnight_ms + noon[1] * wall.MINUTE_MS)
    return _CalendarHours(
        "full" if span is None else span.mode,
        closes_min is not None,
        at_noon and closes_min is not None,
        today,
        None if closes_min is None else midnight_ms + closes_min * wall.MINUTE_MS,
        midnight_ms + next_min * wall.MINUTE_MS,
        None if opens is None else opens[0] * wall.DAY_MS + opens[1] * wall.MINUTE_MS,
        rest,
    )


def _judge(turn: Turn, area: str) -> None:
    own = turn.state.hours.setdefault(area, AreaHours())
    plan = _plan(turn, area)
    if plan is None:
        turn.drop_timer(f"hours/{area}")
        if own.known:
            turn.state.hours[area] = AreaHours()
            _touch(turn, area)
        return
    own.known = True
    own.rest_ms = plan.rest_ms
    own.next_ms = plan.next_ms
    doubted = turn.at_ms < turn.state.doubt_until_ms
    if doubted and _ends_early(turn, own, plan):
        own.next_ms = min(turn.state.doubt_until_ms, own.closes_ms or turn.state.doubt_until_ms)
        if own.next_ms <= turn.at_ms:
            own.next_ms = turn.state.doubt_until_ms
    else:
        closes_ms = own.closes_ms if doubted and own.serving else None
        if plan.mode != own.mode or plan.opens_local_ms != own.opens_local_ms or plan.noon != own.noon:
            _touch(turn, area)
        own.mode, own.serving, own.noon = plan.mode, plan.serving, plan.noon
        own.opens_local_ms = plan.opens_local_ms
        own.closes_ms = plan.closes_ms if plan.serving else own.closes_ms
        if closes_ms is not None and plan.closes_ms is not None:
            own.closes_ms = max(closes_ms, plan.closes_ms)
        if plan.serving:
            own.opened_day = plan.day
    _settle(turn, area, own)


def _ends_early(turn: Turn, own: AreaHours, plan: _CalendarHours) -> bool:
    """Whether the hours that follow from a changed clock would close an open area before its time, or reopen one that
    has closed today. Such a change is not believed at once.
    """
    if own.serving:
        return not plan.serving and (own.closes_ms is None or turn.at_ms < own.closes_ms)
    return plan.serving and own.opened_day == plan.day


def _settle(turn: Turn, area: str, own: AreaHours) -> None:
    """Set the area's phase from the calendar and from the visitors who are still there, and set its timer for the next
    change.
    """
    stops_ms: int | None = None
    if not own.serving:
        own.stopped.clear()
    elif not own.noon:  # the windows on duty at noon do not show the afternoon's capacity
        stops_ms = cutoff.judge(turn, area, own)
    phase = _phase(turn, area, own)
    if not own.serving:
        own.closes_ms = None if phase == "closed" else min(own.closes_ms or turn.at_ms, turn.at_ms)
    if phase != own.phase:
        _enter(turn, area, own, phase)
    stamps = [stamp for stamp in (own.next_ms, stops_ms) if stamp is not None]
    if phase == "draining" or (phase == "closed" and _left_open(turn, area, own)):
        quiet_ms = turn.state.active_ms + opening.QUIET_MS + 1
        if quiet_ms > turn.at_ms:
            stamps.append(quiet_ms)
        else:
            _close_windows(turn, area)
    due_ms = min(stamps, default=None)
    if due_ms is not None and turn.state.timers.get(f"hours/{area}") != due_ms:
        turn.set_timer(f"hours/{area}", due_ms)


def _phase(turn: Turn, area: str, own: AreaHours) -> Phase:
    if own.serving:
        if own.stopped and len(own.stopped) == len(turn.lookup.area_services[area]):
            return "stopped"
        return "noon" if own.noon else "open"
    if (
        (own.phase != "closed" or _closed_today(turn, own))
        and not opening.quiet(turn)
        and _somebody_is_here(turn, area)
    ):
        return "draining"
    return "closed"


def _closed_today(turn: Turn, own: AreaHours) -> bool:
    local_ms = wall.local_ms(turn)
    return not own.serving and local_ms is not None and own.opened_day == wall.day(local_ms)


def _somebody_is_here(turn: Turn, area: str) -> bool:
    """Whether a visitor of the area waits or is at a window, or has a visit that is not over (parked, for example)."""
    if turn.area(area).waiting:
        return True
    for window in turn.lookup.area_windows[area]:
        ticket = turn.ticket_at(window)
        if ticket is not None and turn.lookup.area_of(ticket.service) == area:
            return True
    return any(
        ticket.ended_ms is None and turn.lookup.area_of(ticket.service) == area
        for ticket in turn.state.tickets.values()
    )


def _enter(turn: Turn, area: str, own: AreaHours, phase: Phase) -> None:
    before, own.phase = own.phase, phase
    waiting = turn.area(area).waiting
    turn.note("area.hours", area, phase=phase, before=before, mode=own.mode, waiting=waiting)
    _touch(turn, area)
    if before in ("closed", "draining") and own.serving:
        day.turn_day(turn)
    if phase == "closed":
        _close_windows(turn, area)
    if phase == "closed" and waiting:
        alarms.sound(turn, "left-waiting", area, waiting=waiting)
    else:
        alarms.clear(turn, "left-waiting", area)


def _left_open(turn: Turn, area: str, own: AreaHours) -> bool:
    """Whether a window of the area is open although the area has closed for today, for example because "next" was
    pressed once too often. Before today's opening it is False: a clerk who opens early is no mistake.
    """
    return _closed_today(turn, own) and any(
        turn.window(w).state in ("OPEN", "PAUSED") for w in turn.lookup.area_windows[area]
    )


def _close_windows(turn: Turn, area: str) -> None:
    """Close the area's windows, as nobody is left. Windows that serve another open area stay open; "+1" windows are
    given back.
    """
    for window in turn.lookup.area_windows[area]:
        state = turn.window(window)
        if overrides.keeps_open(turn, window):
            continue
        if turn.lookup.windows[window].tidal:
            if state.area == area and state.state in ASKED:
                turn.note("tidal.released", window, area=area, reason="closed", open_s=0)
                activation.stand_by(turn, window)
            elif state.area == area and state.state in STAFFED:
                activation.drain(turn, window, "closed")
        elif (
            state.ticket is None
            and state.state in ("OPEN", "PAUSED")
            and all(opening.of(turn, other).phase == "closed" for other in turn.lookup.window_areas[window])
            and move_window(turn, window, "close")
        ):
            staffing.unbind_window(turn, window)
            turn.note("window.closed", window, reason="hours")


def _touch(turn: Turn, area: str) -> None:
    turn.issuing_changed = True
    turn.touch_area(area)
    for window in turn.lookup.area_windows[area]:
        turn.touch_window(window)


def _note_hall(turn: Turn) -> None:
    """Update the phase of the whole hall and note a change. The hall is open while any area is, and drains while one
    drains and none is open.
    """
    phases = {own.phase for own in turn.state.hours.values()}
    phase: Phase = "open"
    if not phases & {"open", "noon", "stopped"}:
        phase = "draining" if "draining" in phases else "closed"
    if phase == turn.state.hall_phase or not phases:
        return
    turn.state.hall_phase = phase
    for area, own in turn.state.hours.items():  # 已下班 while others are open, 已闭厅 when none is
        if own.phase == "closed" and area in turn.lookup.areas:
            _touch(turn, area)
    kind = {"open": "hall.opened", "draining": "hall.draining"}.get(phase, "hall.closed")
    turn.note(kind, turn.lookup.site.hall, waiting=sum(area.waiting for area in turn.state.areas.values()))


def _check_calendar(turn: Turn) -> None:
    """Raise an alarm if the policy lacks the public holidays of this year, or those of next year shortly before it
    begins. Without them the hall would open on holidays.
    """
    local_ms, hours = wall.local_ms(turn), turn.state.policy.hours
    missing = None
    if local_ms is not None and day_spans.configured(hours):
        missing = day_spans.missing_year(hours, wall.day(local_ms))
    hall = turn.lookup.site.hall
    if missing is None:
        alarms.clear(turn, "calendar-missing", hall)
    else:
        alarms.sound(turn, "calendar-missing", hall, year=missing)
