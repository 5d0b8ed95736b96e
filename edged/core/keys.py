"""What a key on a call panel or pager does in each state of its window: one function for each key, in one table.

A panel with only a "next" key is enough to run a window: arrivals, finishes and no-shows are inferred and marked so.
The same key twice on one panel within ``double_press_ms`` counts as one press.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from edged.core.calendar import opening
from edged.core.cases import case_requests, ratings
from edged.core.hours import late_hours
from edged.core.model.events import KeyPressed
from edged.core.model.key_words import with_ids
from edged.core.model.point import point_of
from edged.core.model.state import Ticket
from edged.core.model.turn import Turn
from edged.core.people import answers, pagers, pages, staffing, stranded
from edged.core.queue import by_hand
from edged.core.queue.ordering import ASKED, AT_REST, STAFFED
from edged.core.signage import signs
from edged.core.tide import arbiter, triggers
from edged.core.visits import detours, follow, printing, promises, slips, walkins
from edged.core.visits.outcomes import finish
from edged.core.windows import activation, attendance, overrides, preparation, roster, wishes
from edged.core.windows.machine import arrive, call_next, move_window, no_show, recall


def press(turn: Turn, event: KeyPressed) -> None:
    """Handle a key: route it to its window or member of staff, and show the answer to whoever pressed it."""
    if _double_press(turn, event):
        turn.ignore(event.point, "double_press", key=event.key)
        return
    window = turn.lookup.window_of_panel.get(event.point)
    if event.arg is not None:
        words = with_ids(turn.lookup.site, event.key, event.arg, window is not None)
        event = event if words == event.arg else replace(event, arg=words)
    if window is not None:
        staffing.hint_over(turn, window)
        before, noted = _shown(turn, window), len(turn.notes)
        _route(turn, event)
        _answer_window(turn, window, before, noted)
    elif pagers.owner(turn, event.point) is not None:
        staffing.reply(turn, event.point, None)
        noted = len(turn.notes)
        _route(turn, event)
        answer = answers.answer_of(turn.lookup, turn.notes[noted:])
        staffing.reply(turn, event.point, " ".join(answers.RECEIVED) if answer is None else answer.both)
    else:
        turn.ignore(event.point, "no_window_for_panel", key=event.key)
        stranded.unreadable(turn, event.point, "no_window_for_panel")


def _shown(turn: Turn, window: str) -> tuple[str, str | None]:
    """The window's state and visitor, and the line (None: no line) that its panel shows. If both are the same after a
    key press, the clerk has seen no effect.
    """
    return staffing.situation(turn.window(window)), signs.prompt_of(turn, window)


def _answer_window(turn: Turn, window: str, before: tuple[str, str | None], noted: int) -> None:
    """Show the answer to a key on the panel for a short time, unless the panel's usual line already shows the
    effect.
    """
    shown = _shown(turn, window)
    if shown[1] is not None and shown[1] != before[1]:  # its line shows the effect
        return
    answer = answers.answer_of(turn.lookup, turn.notes[noted:])
    if answer is not None and not answer.code and wishes.prompt(turn, window) is not None:
        return  # its line goes on showing the wish
    if answer is not None:
        nobody = answer.code == "nobody_waiting"
        staffing.hint(turn, window, answer.both, staffing.NOBODY if nobody else shown[0])
    elif shown == before:
        staffing.hint(turn, window, " ".join(answers.RECEIVED), shown[0])


def _route(turn: Turn, event: KeyPressed) -> None:
    if event.key in follow.THEIRS and follow.following(turn):
        turn.ignore(event.point, "queue_system_calls", key=event.key)
        return
    if event.key in overrides.KIND_OF_KEY or event.key == "lift":
        overrides.press(turn, event)
        return
    if event.key == late_hours.KEY:
        late_hours.press(turn, event)
        return
    if event.key == roster.KEY:
        roster.press(turn, event)
        return
    if event.key == by_hand.KEY:
        by_hand.press(turn, event)
        return
    if event.key == "answer":
        ratings.press(turn, event)
        return
    who = pagers.owner(turn, event.point)
    if who == staffing.DUTY_MANAGER:
        _duty(turn, event)
        return
    if who is not None and event.key in ("accept", "decline"):
        if not pages.answer(turn, who, event.key, event.arg):
            (activation.accept if event.key == "accept" else activation.decline)(turn, who)
        return
    window = turn.lookup.window_of_panel.get(event.point)
    if window is None:
        turn.ignore(event.point, "no_window_for_panel", key=event.key)
        return
    action = KEYS.get(event.key)
    if action is None:
        turn.ignore(window, "key_not_used", key=event.key)
        return
    attendance.key_pressed(turn, window)
    action(turn, window, event.arg)


def _duty(turn: Turn, event: KeyPressed) -> None:
    """Handle a key of the duty manager. "accept" answers their pages about alarms and also acknowledges the case that
    has waited longest; other keys open a case, report promised papers, decline, log in or log out.
    """
    answered = event.key in ("accept", "decline") and pages.answer(
        turn, staffing.DUTY_MANAGER, event.key, event.arg
    )
    if event.key == "case":
        case_requests.press(turn, event.point, None, event.arg)
    elif event.key == "promise-kept":
        promises.press(turn, event.point, event.arg, None)
    elif event.key == "accept" and (case_requests.any_waits(turn) or not answered):
        case_requests.answer_oldest(turn, event.point, turn.state.duty_staff or event.point)
    elif not answered:
        overrides.duty_key(turn, event)


def _double_press(turn: Turn, event: KeyPressed) -> bool:
    pressed = event.key if event.arg is None else f"{event.key} {event.arg}"
    last = turn.state.last_key.get(event.point)
    turn.state.last_key[event.point] = (pressed, turn.at_ms)
    window_ms = turn.state.policy.calling.double_press_ms
    return last is not None and last[0] == pressed and turn.at_ms - last[1] < window_ms


def _next(turn: Turn, window: str, _arg: str | None) -> None:
    state = turn.window(window)
    before, called = state.state, _called(turn, window)
    if before in ASKED:
        activation.acknowledge(turn, window, None)
    elif before == "CONSULTING":
        if not arbiter.volunteer(turn, window):
            return
    elif before == "CLOSED":
        if not _may_reopen(turn, window):
            return
        _open(turn, window, None)
    elif called is not None:
        assert called.called_ms is not None
        waited_ms = turn.at_ms - called.called_ms
        if waited_ms < turn.state.policy.calling.infer_arrival_s * 1000:
            no_show(turn, window, inferred=True)
        else:
            finish(turn, window, inferred=True)
    elif before in ("SERVING", "DRAINING"):
        finish(turn, window, inferred=True)
    if state.state == "OPEN":
        call_next(turn, window)
    elif before != "DRAINING":
        turn.ignore(window, "window_state", state=before, trigger="next")


def _may_reopen(turn: Turn, window: str) -> bool:
    """Whether a key may reopen a window after closing time: only when pressed twice, because once may be habit."""
    known = [opening.of(turn, area) for area in turn.lookup.window_areas[window]]
    if any(not own.known or own.phase != "closed" for own in known):
        return True
    state = turn.window(window)
    asked = state.reopen_until_ms > turn.at_ms
    state.reopen_until_ms = 0 if asked else turn.at_ms + staffing.HINT_MS
    if not asked:
        turn.ignore(window, "closed_now")
    return asked


def _announce(turn: Turn, window: str, arg: str | None) -> None:
    if preparation.prompt(turn, window) is None:
        turn.ignore(window, "nothing_prepared")
    else:
        _next(turn, window, arg)


def _called(turn: Turn, window: str) -> Ticket | None:
    """The visitor whom the window calls and who has not arrived; None if there is none. A draining window may still be
    calling.
    """
    ticket = turn.ticket_at(window)
    return ticket if ticket is not None and ticket.state == "CALLED" else None


def _next_or_recall(turn: Turn, window: str, arg: str | None) -> None:
    if _called(turn, window) is not None:
        recall(turn, window)
    else:
        _next(turn, window, arg)


def _no_show_or_finish(turn: Turn, window: str, _arg: str | None) -> None:
    if _called(turn, window) is not None:
        no_show(turn, window, inferred=False)
    else:
        finish(turn, window, inferred=False)


def _recall(turn: Turn, window: str, _arg: str | None) -> None:
    recall(turn, window)


def _arrive(turn: Turn, window: str, _arg: str | None) -> None:
    arrive(turn, window, inferred=False)


def _no_show(turn: Turn, window: str, _arg: str | None) -> None:
    no_show(turn, window, inferred=False)


def _login(turn: Turn, window: str, arg: str | None) -> None:
    state = turn.window(window)
    if state.state == "ACTIVATING":
        activation.acknowledge(turn, window, arg)
    elif state.state == "CLOSED":
        _open(turn, window, arg)
    elif state.state == "STANDBY" and arg is not None:
        activation.consult(turn, window, arg)
    elif arg is not None and state.state in STAFFED and state.staff not in (None, arg) and _helps(turn):
        _join(turn, window, arg)
    elif arg is not None:
        turn.note("window.login", window, staff=arg)
        activation.seat(turn, arg, window)
        turn.touch_window(window)
    else:
        turn.ignore(window, "login_without_name")


def _helps(turn: Turn) -> bool:
    return turn.state.policy.staffing.helpers_max > 0


def _join(turn: Turn, window: str, staff: str) -> None:
    """Handle a second login at a staffed window: the new member becomes a helper of the clerk there. As several people
    are logged in, whoever leaves then logs out by name.
    """
    helpers = turn.window(window).helpers
    if staff in helpers:
        turn.ignore(window, "helps_already", staff=staff)
    elif len(helpers) >= turn.state.policy.staffing.helpers_max:
        turn.ignore(window, "helpers_full", staff=staff)
    else:
        activation.join(turn, staff, window)


def _open(turn: Turn, window: str, staff: str | None) -> None:
    if turn.override("close", window) is not None:
        turn.ignore(window, "forced_closed")
    elif move_window(turn, window, "open"):
        if staff is not None:
            activation.seat(turn, staff, window)
        turn.note("window.opened", window, staff=staff)


def _logout(turn: Turn, window: str, arg: str | None) -> None:
    state = turn.window(window)
    if arg is not None and state.helpers and arg in (state.staff, *state.helpers):
        staffing.vacate(turn, arg, window, "logout")
        staffing.rest(turn, arg, window)
    elif state.ticket is not None:
        turn.ignore(window, "visitor_at_window")
    elif state.state in (*AT_REST, "INVITED"):
        staffing.unbind_window(turn, window)
        activation.leave(turn, window)
        turn.touch_window(window)
        turn.note("window.logout", window)
    elif turn.lookup.windows[window].tidal:
        activation.drain(turn, window, activation.STAFF_LEFT)
    elif move_window(turn, window, "close"):
        staffing.unbind_window(turn, window)
        turn.note("window.closed", window)


def _accept(turn: Turn, window: str, arg: str | None) -> None:
    if turn.window(window).state in ASKED:
        activation.acknowledge(turn, window, arg)
    elif turn.lookup.serves_cases(window):
        case_requests.answer_oldest(turn, window, arg or turn.window(window).staff or window)
    else:
        turn.ignore(window, "nothing_to_accept")


def _decline(turn: Turn, window: str, _arg: str | None) -> None:
    if turn.window(window).state == "ACTIVATING":
        activation.unanswered(turn, window, reason=activation.DECLINED)
    elif turn.window(window).state == "INVITED":
        activation.not_now(turn, window, activation.DECLINED)
    else:
        turn.ignore(window, "nothing_to_decline")


def _later(turn: Turn, window: str, _arg: str | None) -> None:
    if turn.window(window).state == "INVITED":
        activation.later(turn, window)
    else:
        turn.ignore(window, "nothing_to_decline")


def _walk_direct(turn: Turn, window: str, arg: str | None) -> None:
    """Handle the key for somebody without a number: a consultation window counts a question, any other window serves
    them.
    """
    if turn.window(window).state in ("CONSULTING", "INVITED"):
        activation.answer_question(turn, window)
    else:
        walkins.walk_direct(turn, window, arg)


def _special_need(turn: Turn, window: str, arg: str | None) -> None:
    """Handle the key for a visitor who needs more time or help: wish for one more window in their area. ``arg`` "back"
    withdraws the wish made at this window.
    """
    if not turn.state.policy.tidal.triggers.special_need:
        turn.ignore(window, "key_not_used", key="special-need")
        return
    ticket = turn.ticket_at(window)
    area = turn.window(window).area or turn.lookup.window_areas[window][0]
    area = area if ticket is None else turn.lookup.area_of(ticket.service)
    if arg != preparation.BACK:
        triggers.record_wish(turn, area, "special-need", window=window)
    elif not any(wishes.withdraw(turn, name, None, window) for name in turn.lookup.areas):
        turn.ignore(window, "no_wish")


def _case(turn: Turn, window: str, arg: str | None) -> None:
    """Open a case (办不成事) and print its receipt; pressed again for the same visitor, only print it again."""
    before, noted = turn.state.next_case, len(turn.notes)
    case_requests.press(turn, point_of(window), window, arg)
    known = [
        str(note.data.get("case")) for note in turn.notes[noted:] if note.data.get("reason") == "case_exists"
    ]
    opened = list(turn.state.cases)[-1:] if turn.state.next_case > before else known
    for name in opened:
        if name in turn.state.cases:
            slips.case_receipt(turn, turn.state.cases[name], window)


def _reprint(turn: Turn, window: str, arg: str | None) -> None:
    case = turn.state.cases.get(arg or "")
    if case is None:
        printing.reprint(turn, window, arg)
    else:
        slips.case_receipt(turn, case, window)
        turn.note("ticket.reprint", case.id, window=window, point=None)


def _promise_kept(turn: Turn, window: str, arg: str | None) -> None:
    promises.press(turn, window, arg, window)


KEYS: dict[str, Callable[[Turn, str, str | None], None]] = {
    "next": _next,
    "next-or-recall": _next_or_recall,
    "prepare": preparation.prepare,
    "announce": _announce,
    "recall": _recall,
    "arrive": _arrive,
    "finish": detours.finish_key,
    "no-show": _no_show,
    "no-show-or-finish": _no_show_or_finish,
    "park": detours.park,
    "resume": detours.resume,
    "transfer": detours.transfer,
    "pause": attendance.pause,
    "unpause": attendance.unpause,
    "login": _login,
    "logout": _logout,
    "accept": _accept,
    "decline": _decline,
    "later": _later,
    "special-need": _special_need,
    "commissioner": pages.call_commissioner,
    "guide": pages.call_guide,
    "case": _case,
    "cancel": detours.cancel_key,
    "priority": detours.priority_key,
    "walk-direct": _walk_direct,
    "green-lane": walkins.green_lane,
    "reprint": _reprint,
    "promise-kept": _promise_kept,
}
