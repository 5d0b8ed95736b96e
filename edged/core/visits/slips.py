"""Slips (凭条): what a visitor takes home in writing: papers by name, a deadline, the next place.

A slip comes out of the dispenser that printed the number, or else of the hall's first one. If it cannot be printed, the
clerk is asked to write it down. Each line is in Chinese and English.
"""

from __future__ import annotations

from edged.core.calendar import hours_words, wall
from edged.core.model.commands import About, Print
from edged.core.model.point import Point, point_of
from edged.core.model.state import Case, Promise, Ticket
from edged.core.model.turn import Turn
from edged.core.people import staffing

WINDOWS_NAMED = 4  # on one line
Line = tuple[str, str]
BY_HAND: Line = ("凭条未打出，请手写告知", "No slip: please write it down")


def told_once(turn: Turn, ticket: Ticket, window: str, papers: tuple[str, ...], until_ms: int | None) -> None:
    """Print a list of missing papers (一次性告知单): their names, until when the number is valid, where to come back
    to.
    """
    zh, en = papers_by_name(turn, papers)
    owner = turn.state.policy.visits.return_to_owner
    place, place_en = window_place(turn, window) if owner else service_place(turn, ticket.service)
    until, until_en = moment(turn, until_ms)
    lines = [
        _head(turn, "一次性告知单", "What is missing", ticket),
        (f"还需材料：{zh}", f"Please bring: {en}"),
    ]
    if until_ms is None:
        lines.append(("请带齐材料后重新取号", "Come back with them and take a new number"))
    else:
        lines.append((f"请于{until}前到{place}", f"Be back by {until_en} at {place_en}"))
        lines.append((f"凭原号{ticket.number}，无需重新取号", f"Your number {ticket.number} stays good"))
    _put(turn, ticket, window, "told-once", lines)


def promised(turn: Turn, ticket: Ticket, window: str, name: str, promise: Promise) -> None:
    """Print a promise (容缺受理): which papers, by when, and the reference ``name`` to state when they are
    handed in.
    """
    zh, en = papers_by_name(turn, tuple(promise.papers))
    place, place_en = window_place(turn, window)
    lines = [
        _head(turn, "容缺受理承诺单", "Accepted with a promise", ticket),
        (f"承诺补交：{zh}", f"Still to bring: {en}"),
    ]
    if promise.due_day is not None:
        due, due_en = day_and_time(promise.due_day, turn.state.policy.cases.due_min)
        lines.append((f"请于{due}前补交", f"By {due_en}"))
    lines.append((f"补交地点：{place}，编号{name}", f"At {place_en}, under {name}"))
    _put(turn, ticket, window, "promise", lines)


def next_stage(turn: Turn, ticket: Ticket, window: str) -> None:
    """Print the next service of a journey (一件事一次办) and its place; the clerk's panel shows it too."""
    service = turn.lookup.services[ticket.service]
    place, place_en = service_place(turn, ticket.service)
    lines = [
        (f"一件事一次办 {ticket.number}", f"Next step: {ticket.number}"),
        (f"下一环节：{service.name}", f"Next: {service.name_en}"),
        (f"地点：{place}", f"At {place_en}"),
        ("号码不变，无需重新取号", "Keep your number"),
    ]
    _put(turn, ticket, window, "next-stage", lines)
    turn.window(window).farewell = [
        f"{ticket.number}号下一环节：{service.name}，{place}",
        f"{ticket.number} next: {service.name_en}, {place_en}",
    ]
    staffing.hint(turn, window, f"请告知{ticket.number}号：下一环节{service.name}，{place} Next: {place_en}")


def case_receipt(turn: Turn, case: Case, window: str) -> None:
    """Print a receipt for a case (办不成事回执): its number, by when it is answered, and where to ask."""
    ticket = None if case.visit is None else turn.state.tickets.get(case.visit)
    service = case.service or next(iter(turn.lookup.windows[window].skills), "")
    place, place_en = window_place(turn, next(iter(turn.lookup.case_windows), window))
    lines = [
        (f"办不成事回执 编号{case.id}", f"Your case: {case.id}"),
        (f"查询和补充：{place}，报编号", f"Ask at {place_en} with this number"),
    ]
    if case.due_day is not None:
        due, due_en = day_and_time(case.due_day, turn.state.policy.cases.due_min)
        lines.insert(1, (f"将于{due}前答复", f"You will be answered by {due_en}"))
    source = point_of(window) if ticket is None else ticket.source
    _put_at(turn, (case.id, service, source), window, "case", lines)


def failed(turn: Turn, body: Print, point: Point, error: str) -> None:
    """Ask the clerk of the window to write down a slip that could not be printed."""
    turn.note("slip.failed", body.number, about=body.about, point=point, error=error)
    if body.window is not None and body.window in turn.lookup.windows:
        staffing.hint(turn, body.window, f"{body.number} {BY_HAND[0]} {BY_HAND[1]}")


def papers_by_name(turn: Turn, papers: tuple[str, ...]) -> Line:
    """The names of papers, in Chinese and English; a code without a name stays as it is."""
    known = turn.state.policy.visits.papers
    zh = [known[code].text if code in known else code for code in papers]
    en = [known[code].text_en if code in known else code for code in papers]
    return "、".join(zh) or "见窗口说明", ", ".join(en) or "as told at the window"


def window_place(turn: Turn, window: str) -> Line:
    """A window as a place to go to, in Chinese and English."""
    number = turn.lookup.windows[window].number
    area = next(iter(turn.lookup.window_areas[window]), None)
    name = "" if area is None else turn.lookup.areas[area].name
    return f"{name}{number}号窗口", f"window {number}"


def service_place(turn: Turn, service: str) -> Line:
    """Where to go for a service: its area and its regular windows, in Chinese and English."""
    area = turn.lookup.areas[turn.lookup.area_of(service)]
    numbers = [
        turn.lookup.windows[window].number
        for window in turn.lookup.area_windows[area.id]
        if service in turn.lookup.windows[window].skills and not turn.lookup.windows[window].tidal
    ]
    if not 0 < len(numbers) <= WINDOWS_NAMED:
        return f"{area.name}专区", area.name_en
    return f"{area.name}{'、'.join(numbers)}号窗口", f"{area.name_en}, window {', '.join(numbers)}"


def moment(turn: Turn, at_ms: int | None) -> Line:
    """Date and time of a stamp, in Chinese and English; a phrase if it is None or the time is unknown."""
    local = wall.local_ms(turn)
    if at_ms is None or local is None:
        return "今日下班", "closing time"
    then = local + at_ms - turn.at_ms
    return day_and_time(wall.day(then), wall.minute(then))


def day_and_time(day: int, minute: int) -> Line:
    """A day (since 1970) and a minute of it, in Chinese and English."""
    _, month, day_of_month = wall.date(day)
    clock = wall.clock(minute)
    return f"{month}月{day_of_month}日{clock}", f"{wall.iso_date(day)} {clock}"


def _printer(turn: Turn, source: Point) -> Point | None:
    """The printer of the machine where the number was taken; for a number given at a window, the hall's first. None if
    there is none.
    """
    if source in turn.lookup.windows:
        site = turn.lookup.site
        source = next(iter(site.dispensers), None) or next((point_of(of) for of, _ in site.printers), source)
    return None if source in turn.lookup.windows else turn.lookup.printer_of(source)


def resumption(turn: Turn, area: str) -> Line | None:
    """Return the line printed when no wait can be predicted: when somebody serves again. If that is not known, it says
    that numbers stay valid.
    """
    found = hours_words.area_line(turn, area)
    return found or ("暂无窗口办理，开窗后按号叫号", "No window serves just now, numbers are kept")


def _head(turn: Turn, title: str, title_en: str, ticket: Ticket) -> Line:
    service = turn.lookup.services[ticket.service]
    return f"{title} {ticket.number} {service.name}", f"{title_en}: {ticket.number} {service.name_en}"


def _put(turn: Turn, ticket: Ticket, window: str, about: About, lines: list[Line]) -> None:
    _put_at(turn, (ticket.number, ticket.service, ticket.source), window, about, lines)


def _put_at(turn: Turn, what: tuple[str, str, Point], window: str, about: About, lines: list[Line]) -> None:
    """Print a slip at the machine where the number was taken; ``what``: ticket number, service and that machine.
    Without a printer the clerk's panel asks to write it down; in follow mode nothing happens.
    """
    if turn.lookup.site.queue is not None:  # in follow mode the queue system prints
        return
    number, service, source = what
    point = _printer(turn, source)
    turn.note("slip.printed", number, about=about, window=window, point=point)
    zh, en = tuple(line[0] for line in lines), tuple(line[1] for line in lines)
    if point is None:
        staffing.hint(turn, window, f"{number} {BY_HAND[0]} {BY_HAND[1]}")
    else:
        turn.act(
            Point(point),
            Print(number, service, 0, about=about, window=window, lines=zh, lines_en=en),
        )
