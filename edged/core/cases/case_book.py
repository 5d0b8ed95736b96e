"""Cases (办不成事, a visitor reports that something could not be done), from opening to deletion, with every deadline.

While a case is OPEN the duty manager is paged, at most ``pages`` times, until somebody acknowledges it; after
``acknowledge_s`` the answer is late. The case has to be closed by the end of its last working day. A note says so on
the morning of that day. When the day is over, and on each later working day, another note says that the case is
overdue. For some days a closed case may be rated and reopened; later it is deleted and only counted. A case that was
late once stays marked as late.
"""

from __future__ import annotations

from edged.core.calendar import day_spans, wall
from edged.core.model.commands import Page
from edged.core.model.state import Case, Ticket
from edged.core.model.turn import Turn
from edged.core.people import alarms, staffing

CLOSED_KEPT = 1000  # months of a large hall; older ones are only counted
ACKNOWLEDGE = "case-ack"
DUE = "case-due"
KEEP = "case-keep"
UNANSWERED = "case-unanswered"
OVERDUE = "case-overdue"
FULL = "cases-full"
DAY_MS = wall.DAY_MS


def open_case(turn: Turn, case: Case, by: str) -> str | None:
    """Open a case: give it an id, page the duty manager, start its deadlines. Returns the id. Returns None if the visit
    has an open case already or too many cases are open; a note says which.
    """
    state, limits = turn.state, turn.state.policy.cases
    open_already = [
        c.id
        for c in state.cases.values()
        if c.visit is not None and c.visit == case.visit and c.state != "CLOSED"
    ]
    if open_already:
        turn.ignore(case.source, "case_exists", ticket=case.ticket, case=open_already[0])
        return None
    if sum(1 for c in state.cases.values() if c.state != "CLOSED") >= limits.open_max:
        turn.ignore(case.source, "too_many_cases", by=by)
        alarms.sound(turn, FULL, turn.lookup.site.hall, open=limits.open_max)
        return None
    local = wall.local_ms(turn)
    date = "" if local is None else wall.iso_date(wall.day(local)).replace("-", "")
    case.id = f"{date or 'c'}-{state.next_case}"
    state.next_case += 1
    if case.code not in limits.codes:
        case.code = limits.codes[-1] if limits.codes else "other"
    state.cases[case.id] = case
    _begin(turn, case)
    turn.note(
        "case.opened",
        case.id,
        source=case.source,
        by=by,
        code=case.code,
        area=case.area,
        service=case.service,
        ticket=case.ticket,
        special=int(case.special),
        due=due_date(case),
    )
    _ask(turn, case)
    return case.id


def opened_by_ticket(turn: Turn, ticket: Ticket) -> None:
    """Open a case for a ticket of a case service, taken at a kiosk; no-op for a ticket of any other service."""
    service = turn.lookup.services[ticket.service]
    if service.case:
        case = _empty(turn, ticket.source)
        case.area, case.service = service.area, service.id
        case.ticket, case.visit = ticket.number, ticket.id
        open_case(turn, case, ticket.source)


def _empty(turn: Turn, source: str) -> Case:
    return Case("", source, "", turn.at_ms, turn.at_ms)


def case_of(turn: Turn, source: str, code: str | None, special: bool, ticket: Ticket | None) -> Case:
    """Return a new case with number, area and service of the visit of ``ticket``; they stay empty if ``ticket`` is
    None. The case is not in the state yet: ``open_case`` puts it there.
    """
    case = _empty(turn, source)
    case.code, case.special = code or "", special
    if ticket is not None:
        case.area, case.service = turn.lookup.area_of(ticket.service), ticket.service
        case.ticket, case.visit = ticket.number, ticket.id
    return case


def _begin(turn: Turn, case: Case) -> None:
    """Start the deadlines of a case that was just opened or reopened. The time to answer starts when the hall is
    staffed, and working days are counted from today.
    """
    case.state, case.asked_ms, case.pages = "OPEN", _staffed_ms(turn), 0
    case.from_day, case.due_day, case.warned, case.overdue_day, case.extensions = None, None, False, None, 0
    turn.touch_cases()
    plan(turn, case)


def _staffed_ms(turn: Turn) -> int:
    """Return the stamp from which somebody can answer a case: now if the hall is open, otherwise its next opening. Also
    now if the hours are unknown.
    """
    hours, local = turn.state.policy.hours, wall.local_ms(turn)
    if local is None or not day_spans.configured(hours):
        return turn.at_ms
    day, minute = wall.day(local), wall.minute(local)
    spans = [day_spans.spans(hours, area, day) for area in turn.lookup.areas]
    if any(day_spans.serves_until(found, minute) is not None for found in spans):
        return turn.at_ms
    openings = [day_spans.next_opening(hours, area, day, minute) for area in turn.lookup.areas]
    opening = min((moment for moment in openings if moment is not None), default=None)
    stamp_ms = None if opening is None else wall.stamp_ms(turn, _moment(*opening))
    return turn.at_ms if stamp_ms is None else stamp_ms


def _ask(turn: Turn, case: Case) -> None:
    """Page the duty manager about a case, and again until somebody answers. Outside opening hours the first page waits
    until the hall opens.
    """
    limits = turn.state.policy.cases
    next_ms = case.asked_ms
    if turn.at_ms >= case.asked_ms:
        if case.reopened:
            text, text_en = (
                f"办不成事 {case.id} 重新办理，请尽快响应",
                f"Case {case.id} is open again: please answer",
            )
        else:
            text, text_en = f"新的办不成事反映 {case.id}，请尽快响应", f"New case {case.id}: please answer"
        _page(turn, case, text, text_en)
        next_ms = turn.at_ms + min(limits.remind_s, limits.acknowledge_s) * 1000
    turn.set_timer(f"{ACKNOWLEDGE}/{case.id}", next_ms)


def acknowledge(turn: Turn, case: Case, by: str) -> None:
    """Record that a person (``by``) takes care of the case (响应). The duty manager is no longer paged about it."""
    if case.state != "OPEN":
        turn.ignore(case.id, "case_state", state=case.state, trigger="acknowledge")
        return
    after_s = max(0.0, turn.seconds_since(case.asked_ms))
    if case.responded is None:
        case.responded = after_s <= turn.state.policy.cases.acknowledge_s
    case.state = "ACKNOWLEDGED"
    turn.drop_timer(f"{ACKNOWLEDGE}/{case.id}")
    alarms.clear(turn, UNANSWERED, case.id, by=by)
    turn.touch_cases()
    turn.note("case.acknowledged", case.id, by=by, after_s=after_s, in_time=int(case.responded))


def unanswered(turn: Turn, name: str) -> None:
    """Timer: nobody has acknowledged the case yet. Page the duty manager again. After the policy's ``acknowledge_s``,
    also mark the answer as late and raise an alarm.
    """
    case, limits = turn.state.cases.get(name), turn.state.policy.cases
    if case is None or case.state != "OPEN":
        return
    if not case.pages:
        _ask(turn, case)
        return
    after_s = turn.seconds_since(case.asked_ms)
    if after_s >= limits.acknowledge_s and not alarms.is_raised(turn, UNANSWERED, name):
        case.responded = False
        alarms.sound(turn, UNANSWERED, name, after_s=after_s)
        turn.touch_cases()
    if case.pages < limits.pages:
        minutes = int(after_s // 60)
        text = f"办不成事 {name} 已{minutes}分钟无人响应"
        _page(turn, case, text, f"Case {name}: no answer for {minutes} min")
    late = alarms.is_raised(turn, UNANSWERED, name)
    if not late or case.pages < limits.pages:
        first_ms = case.asked_ms + limits.acknowledge_s * 1000
        next_ms = turn.at_ms + limits.acknowledge_s * 1000 if late else max(first_ms, turn.at_ms)
        turn.set_timer(f"{ACKNOWLEDGE}/{name}", next_ms)


def close(turn: Turn, case: Case, outcome: str | None, by: str) -> bool:
    """Close a case with an outcome of the policy. If nobody had acknowledged it, this also acknowledges it. False if it
    cannot be closed; a note says why.
    """
    outcomes = turn.state.policy.cases.outcomes
    word = outcome or outcomes[-1]
    if case.state == "CLOSED":
        turn.ignore(case.id, "case_state", state=case.state, trigger="close")
        return False
    if word not in outcomes:
        turn.ignore(case.id, "unknown_word", by=by)
        return False
    if case.state == "OPEN":
        acknowledge(turn, case, by)
    if case.on_time is None:
        case.on_time = True
    case.state, case.closed_ms, case.outcome = "CLOSED", turn.at_ms, word
    case.undoable = word in turn.state.policy.cases.undoable
    turn.drop_timer(f"{DUE}/{case.id}")
    turn.set_timer(f"{KEEP}/{case.id}", turn.at_ms + turn.state.policy.cases.keep_days * DAY_MS)
    alarms.clear(turn, OVERDUE, case.id, by=by)
    alarms.clear(turn, FULL, turn.lookup.site.hall)
    turn.touch_cases()
    turn.note(
        "case.closed",
        case.id,
        by=by,
        outcome=word,
        on_time=int(case.on_time),
        doable=int(not case.undoable),
        stood_s=turn.seconds_since(case.opened_ms),
    )
    closed = [c for c in turn.state.cases.values() if c.state == "CLOSED"]
    if len(closed) > CLOSED_KEPT:
        forget(turn, min(closed, key=lambda c: c.closed_ms or 0).id)
    return True


def reopen(turn: Turn, case: Case, by: str, why: str) -> None:
    """Open a closed case again, because the matter was not settled. What was late before stays late."""
    limits = turn.state.policy.cases
    if case.state != "CLOSED" or case.closed_ms is None:
        turn.ignore(case.id, "case_state", state=case.state, trigger="reopen")
        return
    if why != "rated bad" and turn.at_ms - case.closed_ms > limits.reopen_days * DAY_MS:
        turn.ignore(case.id, "reopen_too_late", by=by)
        return
    case.closed_ms, case.outcome, case.undoable = None, None, False
    case.responded = None if case.responded else False
    case.on_time = None if case.on_time else False
    case.reopened += 1
    turn.drop_timer(f"{KEEP}/{case.id}")
    _begin(turn, case)
    turn.note("case.reopened", case.id, by=by, reason=why, times=case.reopened, due=due_date(case))
    _ask(turn, case)


def extend(turn: Turn, case: Case, by: str) -> None:
    """Give a case more working days until it must be closed; the note names the person (``by``). Refused, with a note,
    once the case is closed or late, or was extended as often as the policy allows.
    """
    if case.state == "CLOSED" or case.overdue_day is not None:
        turn.ignore(
            case.id, "case_state", state="overdue" if case.overdue_day else case.state, trigger="extend"
        )
    elif case.extensions >= turn.state.policy.cases.extensions:
        turn.ignore(case.id, "extended_already", by=by)
    else:
        case.extensions += 1
        plan(turn, case)
        turn.touch_cases()
        turn.note("case.extended", case.id, by=by, due=due_date(case))


def plan(turn: Turn, case: Case) -> None:
    """Compute the case's last working day and set its next timer; repeated whenever the calendar or the clock
    changes.
    """
    local, limits = wall.local_ms(turn), turn.state.policy.cases
    if local is None or case.state == "CLOSED":
        return
    if case.from_day is None:
        case.from_day = wall.day(local)
    days = limits.special_days if case.special else limits.close_days
    due_day = working_days_after(turn, case.from_day, days + case.extensions * limits.extend_days)
    if due_day != case.due_day:
        case.due_day, case.warned = due_day, False
        turn.touch_cases()
    if case.overdue_day is not None:
        moment = _moment(working_days_after(turn, case.overdue_day, 1), limits.remind_min)
    else:
        moment = _moment(due_day, limits.due_min if case.warned else limits.remind_min)
    at_ms = wall.stamp_ms(turn, moment)
    assert at_ms is not None
    turn.set_timer(f"{DUE}/{case.id}", max(at_ms, turn.at_ms))


def last_day_due(turn: Turn, name: str) -> None:
    """Timer: a case's last working day has begun or is over. Record that in a note and page the duty manager. If it is
    over, raise the alarm that the case is overdue.
    """
    case, local, limits = turn.state.cases.get(name), wall.local_ms(turn), turn.state.policy.cases
    if case is None or case.state == "CLOSED" or case.due_day is None or local is None:
        return
    case.warned = True
    if local < _moment(case.due_day, limits.due_min):
        turn.note("case.due", name, due=due_date(case), state=case.state)
        _page(turn, case, f"办不成事 {name} 今日到期", f"Case {name} is due today")
    else:
        case.on_time, case.overdue_day = False, wall.day(local)
        days = case.overdue_day - case.due_day
        alarms.sound(turn, OVERDUE, name, due=due_date(case))
        turn.note("case.overdue", name, due=due_date(case), days=days, state=case.state)
        late = (f"已超期{days}天", f"{days} days overdue") if days else ("今日已到期", "overdue since today")
        _page(turn, case, f"办不成事 {name} {late[0]}，未办结", f"Case {name} is {late[1]}")
    turn.touch_cases()
    plan(turn, case)


def forget(turn: Turn, name: str) -> None:
    """Timer: the case was closed long ago. Delete it and add it to the counts of closed cases."""
    case = turn.state.cases.pop(name, None)
    if case is None:
        return
    turn.drop_timer(f"{KEEP}/{name}")
    tally = turn.state.case_tally
    tally.cases += 1
    tally.responded += bool(case.responded)
    tally.on_time += bool(case.on_time)
    tally.undoable += case.undoable
    tally.undoable_on_time += case.undoable and bool(case.on_time)
    tally.rated += case.level is not None
    tally.satisfied += case.level is not None and case.level > turn.state.policy.ratings.bad_level
    turn.touch_cases()


def recompute_deadlines(turn: Turn) -> None:
    """Recompute the deadlines of every open case, because the clock, the calendar or the limits changed."""
    for case in turn.state.cases.values():
        plan(turn, case)


def working_days_after(turn: Turn, day: int, count: int) -> int:
    """The ``count``-th working day after ``day``; both days are counted from 1970-01-01."""
    while count > 0:
        day += 1
        count -= is_working_day(turn, day)
    return day


def is_working_day(turn: Turn, day: int) -> bool:
    """Whether the staff work on this day: Monday to Friday except public holidays, or a make-up working day."""
    return day_spans.kind_of(turn.state.policy.hours, day) in ("workday", "make-up")


def due_date(case: Case) -> str | None:
    """The case's last day as ISO text (2026-10-01); None while it is unknown."""
    return None if case.due_day is None else wall.iso_date(case.due_day)


def _moment(day: int, minute: int) -> int:
    return day * DAY_MS + minute * wall.MINUTE_MS


def _page(turn: Turn, case: Case, text: str, text_en: str) -> None:
    case.pages += 1
    staffing.send(turn, Page(staffing.DUTY_MANAGER, case.area, None, text, text_en))
