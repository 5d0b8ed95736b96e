"""What lamps, displays, panels and the centre show of the cases (办不成事): how many there are and how old, never what
they are about.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from edged.core.cases.case_book import due_date
from edged.core.model.commands import CasesSummary, CaseSummary, Display, Lamp, Value
from edged.core.model.point import Point, point_of
from edged.core.model.state import Case, State
from edged.core.model.turn import Turn

LISTED_MAX = 60  # in the message for the city, which has at most 16 KiB; all are counted


def signs(turn: Turn, centre: str) -> Iterator[tuple[Point, Value]]:
    """Yield what each device is to show about the cases, as (point of the device, value). ``centre`` is the device id
    under which the city gets its summary.
    """
    waiting, handled, overdue = counts(turn.state)
    site = turn.lookup.site
    lamp = Lamp("blink" if waiting or overdue else "on" if handled else "off")
    for point in site.case_lamps:
        yield point, lamp
    lines = (
        "办不成事反映窗口 Unresolved matters",
        f"待响应 Waiting {waiting}  办理中 In hand {handled}  超期 Overdue {overdue}",
    )
    for point in site.case_displays:
        yield point, Display(lines)
    point = point_of(centre, "cases")
    if turn.state.cases or f"{point}|cases" in turn.state.shown:
        live = [case for case in turn.state.cases.values() if case.state != "CLOSED"]
        summaries = tuple(_summary(case) for case in live[:LISTED_MAX])
        yield point, CasesSummary(summaries, waiting, handled, overdue, *ratios(turn.state))


def prompt(turn: Turn, window: str) -> str | None:
    """Return the line that a window's panel shows while a case waits for an answer. None if no case waits, or if the
    window does not serve cases.
    """
    if not turn.lookup.serves_cases(window):
        return None
    waiting = [case for case in turn.state.cases.values() if case.state == "OPEN"]
    if not waiting:
        return None
    oldest = min(waiting, key=lambda case: case.asked_ms)
    return f"办不成事{len(waiting)}件待响应 Case waits: {oldest.id}"


def counts(state: State) -> tuple[int, int, int]:
    """Return three numbers of cases that are not closed: those that wait for an answer, those being dealt with, and how
    many of all these are overdue.
    """
    live = [case for case in state.cases.values() if case.state != "CLOSED"]
    waiting = sum(1 for case in live if case.state == "OPEN")
    return waiting, len(live) - waiting, sum(1 for case in live if case.overdue_day is not None)


class Ratios(NamedTuple):
    """Shares of cases, from 0 to 1. Each is None while there are no cases to count.

    ``response``: of the cases that were answered or whose answer is late, the share answered in time. ``on_time``: of
    the cases that are overdue or were closed as possible (可办), the share closed in time. ``explained``: of the cases
    closed as impossible (不可办), the share closed in time. ``satisfied``: of the rated cases, the share not rated bad.
    """

    response: float | None
    on_time: float | None
    explained: float | None
    satisfied: float | None


def ratios(state: State) -> Ratios:
    """Compute the shares of cases for which the hall kept its promises (100% 响应, 100% 按时办结, 100% 满意). Deleted
    cases count too.
    """
    tally, cases = state.case_tally, state.cases.values()
    answered = [case.responded for case in cases if case.responded is not None]
    closed = [case.on_time for case in cases if case.on_time is not None and not case.undoable]
    explained = [case.on_time for case in cases if case.on_time is not None and case.undoable]
    levels = [case.level for case in cases if case.level is not None]
    good = sum(1 for level in levels if level > state.policy.ratings.bad_level)
    return Ratios(
        _ratio(sum(answered) + tally.responded, len(answered) + tally.cases),
        _ratio(
            sum(closed) + tally.on_time - tally.undoable_on_time, len(closed) + tally.cases - tally.undoable
        ),
        _ratio(sum(explained) + tally.undoable_on_time, len(explained) + tally.undoable),
        _ratio(good + tally.satisfied, len(levels) + tally.rated),
    )


def _ratio(part: int, whole: int) -> float | None:
    return None if whole == 0 else round(part / whole, 4)


def _summary(case: Case) -> CaseSummary:
    return CaseSummary(
        case.id,
        case.state,
        case.area,
        case.service,
        case.code,
        case.opened_ms,
        due_date(case),
        case.special,
        case.overdue_day is not None,
    )
