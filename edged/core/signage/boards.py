"""The text on boards of windows, areas, the hall and the duty manager, in the policy's words.

A line is a pair of texts, Chinese and English. A board of known size shows as much as fits: both texts, or the Chinese
one, or only its beginning (a board that can scroll shows all of it). With few rows it shows the most important lines.
Unknown values are not shown: an area whose devices are lost says so instead of showing a number.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby, islice

from edged.core.calendar import hours_words, opening
from edged.core.cases import ratings
from edged.core.model import losses
from edged.core.model.commands import AreaSummary, Display
from edged.core.model.point import Point
from edged.core.model.policy.signage import fill
from edged.core.model.site import Board
from edged.core.model.state import Alarm, Ticket, WindowStateName
from edged.core.model.turn import Turn
from edged.core.people import alarms, announcements, notices
from edged.core.queue.ordering import STAFFED, next_up, serving_services
from edged.core.windows import attendance

Line = tuple[str, str]
NO_NUMBER = "正在办理"  # for a visitor served without a number
TEXT_OF: dict[WindowStateName, str] = {  # templates; CALLING, SERVING and DRAINING show the number
    "CLOSED": "closed",
    "OPEN": "open",
    "PAUSED": "paused",
    "STANDBY": "standby",
    "ACTIVATING": "activating",
    "COOLDOWN": "standby",
    "CONSULTING": "standby",
    "INVITED": "standby",  # until the clerk has said yes
}
NO_ALARM: Line = ("无告警", "No alarms")
NOTICES_SHOWN = 3  # of an area on a board of unknown size, so that calls stay visible
ALARMS_SHOWN = 8  # rows of the largest bar; all of them are in the state message
IN_WORDS = frozenset("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz:./-")
WIDE_FROM = 0x2E80  # from here on a character takes two columns (CJK, full-width signs)
ARROW = "→"  # two columns in GBK fonts, too


def width(text: str) -> int:
    """The number of columns that a text takes: one for a half-width character, two for a Chinese one."""
    return sum(2 if ord(char) >= WIDE_FROM or char == ARROW else 1 for char in text)


def fit(line: Line, board: Board | None, shorter: str = "") -> str:
    """Return as much of a line as fits into this board's columns; None: the size is unknown, and both texts are
    returned. ``shorter``: another wording, used if neither text fits but this does.

    A text that is too long is cut between words, never inside a number, which would become another number.
    """
    chinese, english = line
    both = f"{chinese} {english}" if english else chinese
    if board is None or width(both) <= board.columns:
        return both
    if board.scrolls or width(chinese) <= board.columns:
        return chinese
    if shorter and width(shorter) <= board.columns:
        return shorter
    kept, room = "", board.columns - 1
    for word in _words_of(chinese):
        room -= width(word)
        if room < 0:
            break
        kept += word
    return f"{kept.rstrip()}…"


def _words_of(text: str) -> Iterator[str]:
    """Split a text into the pieces between which it may be cut. A number, a time or a Latin word is one piece; so is
    each single Chinese character.
    """
    for together, chars in groupby(text, IN_WORDS.__contains__):
        run = "".join(chars)
        yield from (run,) if together else run


def window_board(turn: Turn, window: str) -> Display:
    """Return the board over a window: a title with its number, and below it the visitor's number or the window's state.
    The call of a visitor who does not see well fills the board in large letters.
    """
    templates = turn.state.policy.signage.templates
    state, ticket = turn.window(window), turn.ticket_at(window)
    display, number = turn.lookup.windows[window].display, turn.lookup.windows[window].number
    zh, en = _words(turn, window, ticket)
    title = _title(turn, window, zh, en)
    board = None if display is None else turn.lookup.boards.get(display)
    if ticket is None:
        reason = attendance.reason_of(turn, state.pause_reason)
        name = TEXT_OF[state.state]
        line = (
            fill(getattr(templates, name), **zh, reason="" if reason is None else reason.text),
            fill(getattr(templates, f"{name}_en"), **en, reason="" if reason is None else reason.text_en),
        )
        if state.farewell is not None:
            line = (state.farewell[0], state.farewell[1])
        elif state.state in ("CLOSED", "STANDBY"):
            line = hours_words.window_line(turn, window) or line
        return _display(turn, display, [fit(title, board, f"{number}号窗口"), line])
    called = ticket.state == "CALLED"
    name = "called" if called else "serving"
    text = NO_NUMBER if ticket.direct else fill(getattr(templates, name), **zh)
    shown = fit((text, fill(getattr(templates, f"{name}_en"), **en)), board, zh["number"])
    large = called and announcements.is_slow(turn, ticket)
    lines = [shown] if large else [fit(title, board, f"{number}号窗口"), shown]
    if ticket.direct:
        return _display(turn, display, lines)
    return Display(_display(turn, display, lines).lines, (ticket.number, number), called, large)


def area_board(turn: Turn, area: str, point: Point, summary: AreaSummary) -> Display:
    """Return the board of an area: how many wait and how long, opening hours, the newest notices if there is room, and
    the last calls. A board with a single row shows the most important line.
    """
    calls = turn.area(area).last_calls
    templates = turn.state.policy.signage.templates
    called: list[Line] = [
        (fill(templates.last_call, number=call.number, window=call.window), "") for call in calls
    ]
    board = turn.lookup.boards.get(point)
    room = None if board is None or board.scrolls else board.columns
    head, posted = area_line(turn, summary, room), notices.lines(turn, area)
    line = hours_words.area_line(turn, area)
    hours = [] if line is None else [line]
    if board is None:
        lines = [head, *hours, *posted[:NOTICES_SHOWN], *called]
    elif board.rows == 1:
        closed = opening.of(turn, area).phase == "closed"
        lines = ((hours if closed else called) or hours or [head])[:1]
    else:
        lines = [head, *hours, *posted[: max(0, (board.rows - 1) // 2)]][: board.rows]
        lines += called[: board.rows - len(lines)]
    newest = (calls[0].number, calls[0].window) if calls else None
    return Display(_display(turn, point, lines).lines, newest)


def area_line(turn: Turn, summary: AreaSummary, room: int | None = None) -> Line:
    """Return the line about an area: how many wait, then the predicted wait if it fits into ``room`` columns (None: any
    length), then the manual decision in force, if any.
    """
    templates, place = turn.state.policy.signage.templates, turn.lookup.areas[summary.area]
    if turn.area(summary.area).stale is not None:
        return fill(templates.stale, area=place.name), fill(templates.stale_en, area=place.name_en)
    text = fill(templates.area, area=place.name, waiting=summary.waiting)
    text_en = fill(templates.area_en, area=place.name_en, waiting=summary.waiting)
    if summary.wait_low_s is not None and summary.wait_high_s is not None and summary.waiting:
        minutes = {"low": summary.wait_low_s // 60, "high": summary.wait_high_s // 60}
        longer = f"{text} {fill(templates.estimate, **minutes)}"
        if room is None or width(longer) <= room:
            text, text_en = longer, f"{text_en}, {fill(templates.estimate_en, **minutes)}"
    return (text, text_en) if summary.override is None else (f"{text} {summary.override}", text_en)


def hall_board(turn: Turn, point: Point, summaries: Sequence[AreaSummary]) -> Display:
    """Return the hall's board: a line for each area with its next ticket numbers, then notices. With too few rows, the
    areas where fewest visitors wait are left out.
    """
    policy = turn.state.policy.signage
    board, posted = turn.lookup.boards.get(point), notices.lines(turn, None)
    shown = list(summaries)
    while board is not None and len(shown) > max(1, board.rows - min(1, len(posted))):
        shown.remove(min(reversed(shown), key=lambda summary: summary.waiting))
    lines: list[Line] = []
    for summary in shown:
        text, text_en = area_line(turn, summary)
        numbers = " ".join(next_up(turn, summary.area, policy.next_numbers))
        if numbers and turn.area(summary.area).stale is None:
            text += f" {fill(policy.templates.next, numbers=numbers)}"
            text_en += f", {fill(policy.templates.next_en, numbers=numbers)}"
        hours = hours_words.area_line(turn, summary.area)
        lines.append((text, text_en) if hours is None else (f"{text} {hours[0]}", f"{text_en}. {hours[1]}"))
    return _display(turn, point, [*lines, *posted[:NOTICES_SHOWN]])


def alarm_board(turn: Turn, point: Point) -> Display:
    """The duty manager's board: the alarms in force, the newest on top."""
    standing = reversed(turn.state.alarms.values())
    lines = [_alarm_line(turn, alarm) for alarm in islice(standing, ALARMS_SHOWN)]
    return _display(turn, point, lines or [NO_ALARM])


def _alarm_line(turn: Turn, alarm: Alarm) -> Line:
    text, text_en = alarms.TEXT[alarm.kind]
    subject = alarm.subject
    if alarm.kind == alarms.LOST and subject in turn.state.devices:
        why = losses.LOSSES[losses.known(turn.state.devices[subject].reason)]
        text, text_en = f"{text}：{why.zh}", f"{text_en}: {why.en}"
    if subject in turn.lookup.windows:
        subject = f"{turn.lookup.windows[subject].number}号窗口"
    elif subject in turn.lookup.areas:
        subject = turn.lookup.areas[subject].name
    elif alarm.kind == ratings.ALARM:
        subject, _ = ratings.subject_of(turn, subject)
    return f"{subject} {text}", text_en


def _words(turn: Turn, window: str, ticket: Ticket | None) -> tuple[dict[str, str], dict[str, str]]:
    """The values for the blanks of a window's templates, in Chinese and English."""
    lookup, state = turn.lookup, turn.window(window)
    skills = serving_services(turn, window) or lookup.windows[window].skills
    service = ticket.service if ticket is not None else next(iter(skills), None)
    area = lookup.area_of(service) if ticket is not None and service is not None else None
    area = area or state.area or state.lent_to or next(iter(lookup.window_areas[window]), None)
    place = None if area is None else lookup.areas[area]
    matter = None if service is None else lookup.services[service]
    both = {
        "window": lookup.windows[window].number,
        "number": "" if ticket is None or ticket.direct else ticket.number,
    }
    return (
        both
        | {"area": "" if place is None else place.name, "service": "" if matter is None else matter.name},
        both
        | {
            "area": "" if place is None else place.name_en,
            "service": "" if matter is None else matter.name_en,
        },
    )


def _title(turn: Turn, window: str, zh: dict[str, str], en: dict[str, str]) -> Line:
    """Return the title of a window's board: its number; for an opened "+1" window, or a regular window that helps
    another area, also the name of the area it serves.
    """
    templates, state = turn.state.policy.signage.templates, turn.window(window)
    name = "window"
    if state.state in STAFFED:
        name = "quick" if state.area is not None else "lent" if state.lent_to is not None else "window"
    return fill(getattr(templates, name), **zh), fill(getattr(templates, f"{name}_en"), **en)


def _display(turn: Turn, point: Point | None, lines: Sequence[Line | str]) -> Display:
    board = None if point is None else turn.lookup.boards.get(point)
    rows = None if board is None else board.rows
    return Display(tuple(line if isinstance(line, str) else fit(line, board) for line in lines[:rows]))
