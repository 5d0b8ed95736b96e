"""Attendance (服务规范): a pause has a reason and a time limit, and an open window has somebody at it (空岗).

Except for the keys nothing here is tied to one event: ``watch`` checks the windows and areas that a turn changed,
starts the timers that should run and clears alarms whose cause is gone. A window counts as unmanned when its visitors
wait and no key was pressed there for ``unmanned_s``; an area as unserved when somebody waits that long and no working
window can call them. If the panel is lost, the last known state is kept and marked stale.
"""

from __future__ import annotations

from edged.core.calendar import opening
from edged.core.model.policy import PauseReason
from edged.core.model.state import WindowState
from edged.core.model.turn import Turn
from edged.core.people import alarms, helps, pages, staffing
from edged.core.queue.ordering import AT_REST, WORKING, oldest_waiting_ms, serving_services
from edged.core.windows import wishes
from edged.core.windows.machine import TABLE, move_window

PAUSE = "pause-too-long"
UNSERVED = "area-unserved"
UNSPECIFIED = "unspecified"
CALLED = {pages.COMMISSIONER: ("帮办", "Commissioner"), pages.GUIDE: ("导办", "Guide")}


def pause(turn: Turn, window: str, arg: str | None) -> None:
    """Handle the "pause" key. ``arg``: the id or text of one of the policy's reasons; None only if the policy allows a
    pause without a reason.
    """
    policy = turn.state.policy.staffing
    known = reason_of(turn, arg)
    if "pause" not in TABLE[turn.window(window).state]:
        move_window(turn, window, "pause")  # notes why not
    elif arg is None and not policy.pause_unspecified:
        turn.ignore(window, "pause_without_reason")
    elif arg is not None and known is None:
        turn.ignore(window, "unknown_pause_reason", given=arg)
    elif move_window(turn, window, "pause"):
        turn.window(window).pause_reason = UNSPECIFIED if known is None else known.id
        turn.note("window.paused", window, reason=turn.window(window).pause_reason)


def unpause(turn: Turn, window: str, _arg: str | None) -> None:
    """Handle the "unpause" key: end the pause. A visitor who was at the window is served on."""
    serving = turn.window(window).ticket is not None
    if move_window(turn, window, "unpause-serving" if serving else "unpause"):
        turn.note("window.unpaused", window)


def reason_of(turn: Turn, named: str | None) -> PauseReason | None:
    """The policy's pause reason with this id or Chinese text; None if there is none."""
    return next((r for r in turn.state.policy.staffing.pause_reasons if named in (r.id, r.text)), None)


def key_pressed(turn: Turn, window: str) -> None:
    """Handle a key press: somebody is at the window. If its "unmanned" timer runs or its alarm stands, the window is
    evaluated again in this turn, which restarts the timer and clears the alarm.
    """
    if f"unmanned/{window}" in turn.state.timers or alarms.is_raised(turn, alarms.UNMANNED, window):
        turn.touch_window(window)


def seen(turn: Turn, window: str) -> None:
    """Record that the queue system reported somebody at the window, which counts like a key."""
    turn.window(window).reported_ms = turn.at_ms
    key_pressed(turn, window)


def panel_changed(turn: Turn, device: str, up: bool) -> None:
    """Mark the windows of panel ``device`` as stale if it was lost (not those that are closed or at rest), and as up to
    date if it is back.
    """
    for window in turn.lookup.windows_of_device.get(device, ()):
        state = turn.window(window)
        if up and state.stale:
            state.stale = False
            turn.note("window.fresh", window, state=state.state)
        elif not up and not state.stale and state.state not in ("CLOSED", *AT_REST):
            state.stale = True
            turn.note("window.stale", window, state=state.state)
        turn.touch_window(window)


def watch(turn: Turn) -> None:
    """Check attendance at every window and area changed in this turn."""
    touched = dict(turn.dirty_windows)
    for area in turn.dirty_areas:
        if area not in turn.only_due:
            touched.update(dict.fromkeys(turn.lookup.area_windows[area]))
            _watch_area(turn, area)
    timers, standing = turn.state.timers, turn.state.alarms
    for window in touched:
        state = turn.state.windows[window]
        if state.state == "PAUSED" or state.paused_ms is not None:
            _watch_pause(turn, window, state)
        if (
            state.state == "OPEN"
            or state.stale
            or f"unmanned/{window}" in timers
            or (standing and alarms.key(alarms.UNMANNED, window) in standing)
        ):
            _watch_seat(turn, window, state)


def pause_over(turn: Turn, window: str) -> None:
    """Timer: a pause has lasted longer than allowed. Raise an alarm and page the duty manager."""
    state = turn.state.windows.get(window)
    if state is None or state.paused_ms is None:
        return
    paused_s = turn.seconds_since(state.paused_ms)
    if alarms.sound(turn, PAUSE, window, reason=state.pause_reason, paused_s=paused_s):
        _call_duty(turn, PAUSE, window)
        turn.touch_window(window)


def seat_empty(turn: Turn, window: str) -> None:
    """Timer: nobody has pressed a key at the window for ``unmanned_s`` while visitors wait. Raise the alarm "unmanned";
    unless the panel is lost, page the duty manager.
    """
    state = turn.state.windows.get(window)
    empty_since = None if state is None else _empty_since_ms(turn, window, state)
    if empty_since is None or opening.quiet(turn) or not opening.on_duty(turn, window):
        return
    since_ms, cause = empty_since
    limit_ms = turn.state.policy.staffing.unmanned_s * 1000
    if turn.at_ms - since_ms < limit_ms:
        turn.set_timer(f"unmanned/{window}", since_ms + limit_ms)
        return
    if alarms.sound(turn, alarms.UNMANNED, window, cause=cause, empty_s=turn.seconds_since(since_ms)):
        _touch_capacity(turn, window)
        if cause == "no-key":  # a lost panel has its own alarm, for the technician
            _call_duty(turn, alarms.UNMANNED, window)


def area_waits(turn: Turn, area: str) -> None:
    """Timer: check whether somebody waits whom no working window can call. Two such checks in a row, ``unmanned_s``
    apart, raise an alarm and page the duty manager.
    """
    state = turn.state.areas.get(area)
    if state is None or not state.waiting or not opening.attended(turn, area):
        return
    service = _unserved(turn, area)
    seen_twice = service is not None and state.unserved is not None
    if seen_twice and alarms.sound(turn, UNSERVED, area, service=service):
        place = turn.lookup.areas[area]
        pages.call_duty(turn, UNSERVED, area, place.name, place.name_en)
    state.unserved = service
    turn.set_timer(f"unserved/{area}", turn.at_ms + turn.state.policy.staffing.unmanned_s * 1000)


def prompt(turn: Turn, window: str) -> str | None:
    """Return the line that the panel shows beside the window's state, because the clerk must read it now; None if there
    is none.
    """
    state = turn.window(window)
    if state.hint is not None and _hint_holds(turn, window, state):
        return state.hint
    if turn.state.alarms:  # for speed: runs for every panel at every event
        if alarms.is_raised(turn, PAUSE, window):
            return "暂停超时，请恢复服务 Pause is over its limit"
        if alarms.is_raised(turn, alarms.UNMANNED, window):
            return "有人等候，请叫号 Visitors wait: call next"
    wish = wishes.prompt(turn, window) if turn.state.wishes else None
    paged = _paged(turn, window) if turn.state.pages else None
    return wish or paged or (helps.prompt(turn, window) if turn.state.helps else None)


def _paged(turn: Turn, window: str) -> str | None:
    """The line on who was paged to this window and has not answered yet; None if nobody was."""
    for role, (chinese, english) in CALLED.items():
        page = turn.state.pages.get(alarms.key(role, window))
        if page is not None and page.to == staffing.DUTY_MANAGER:
            return f"{chinese}无应答，已通知值班长 Duty manager paged"
        if page is not None:
            return f"已呼叫{chinese} {english} paged"
    return None


def _hint_holds(turn: Turn, window: str, state: WindowState) -> bool:
    """Whether the condition under which a sentence is shown on the panel still holds (see ``staffing.hint``)."""
    if state.hint_while == staffing.NOBODY:
        return not any(oldest_waiting_ms(turn, [service]) for service in serving_services(turn, window))
    return state.hint_while in (None, staffing.situation(state))


def _watch_pause(turn: Turn, window: str, state: WindowState) -> None:
    if state.state == "PAUSED":
        if state.paused_ms is None:
            state.paused_ms = turn.at_ms
            turn.set_timer(f"pause/{window}", turn.at_ms + turn.state.policy.staffing.pause_alarm_s * 1000)
    elif state.paused_ms is not None:
        state.paused_ms = None
        turn.drop_timer(f"pause/{window}")
        alarms.clear(turn, PAUSE, window)
        pages.close(turn, PAUSE, window)


def _watch_seat(turn: Turn, window: str, state: WindowState) -> None:
    name = f"unmanned/{window}"
    empty_since = _empty_since_ms(turn, window, state)
    if empty_since is None:
        turn.drop_timer(name)
        _manned(turn, window)
    elif name not in turn.state.timers and not alarms.is_raised(turn, alarms.UNMANNED, window):
        turn.set_timer(
            name, max(turn.at_ms + 1, empty_since[0] + turn.state.policy.staffing.unmanned_s * 1000)
        )
    elif empty_since[0] == turn.at_ms and _manned(turn, window):  # a key: somebody came back
        turn.set_timer(name, turn.at_ms + turn.state.policy.staffing.unmanned_s * 1000)


def _manned(turn: Turn, window: str) -> bool:
    """Clear a window's alarm "unmanned" (空岗), because somebody is there or no visitor waits for the window. False if
    the alarm was not raised.
    """
    if not alarms.clear(turn, alarms.UNMANNED, window):
        return False
    pages.close(turn, alarms.UNMANNED, window)
    _touch_capacity(turn, window)
    return True


def _touch_capacity(turn: Turn, window: str) -> None:
    """Mark a window and its areas for evaluation, because an unmanned window does not count in predictions."""
    turn.touch_window(window)
    for area in turn.lookup.window_areas[window]:
        turn.touch_area(area)


def _empty_since_ms(turn: Turn, window: str, state: WindowState) -> tuple[int, str] | None:
    """Return the stamp since when visitors of this window have waited without a key being pressed there, and the cause
    ("no-key"; "panel-silent": its panel is lost). None if nobody waits, or if the panel works and the window is not
    free for the next visitor.
    """
    silent = state.stale and state.state in WORKING
    if state.state != "OPEN" and not silent:
        return None
    waiting_ms = oldest_waiting_ms(turn, serving_services(turn, window))
    if waiting_ms is None:
        return None
    return max(waiting_ms, _last_seen_ms(turn, window, state)), "panel-silent" if silent else "no-key"


def _last_seen_ms(turn: Turn, window: str, state: WindowState) -> int:
    panel = turn.lookup.windows[window].panel
    _, key_ms = turn.state.last_key.get(panel or "", ("", 0))
    return max(key_ms, state.last_ticket_ended_ms or 0, state.opened_ms or 0, state.reported_ms or 0)


def _watch_area(turn: Turn, area: str) -> None:
    state = turn.area(area)
    pages.crowd(turn, area)
    name = f"unserved/{area}"
    if state.waiting and name not in turn.state.timers:
        turn.set_timer(name, turn.at_ms + turn.state.policy.staffing.unmanned_s * 1000)
    elif not state.waiting and name in turn.state.timers:
        turn.drop_timer(name)
    if state.unserved is not None and (not state.waiting or _unserved(turn, area) is None):
        state.unserved = None
        if alarms.clear(turn, UNSERVED, area):
            pages.close(turn, UNSERVED, area)


def _unserved(turn: Turn, area: str) -> str | None:
    """A service of the area for which somebody waits and which no working window can call; None if there is none."""
    served = {
        service
        for window in turn.lookup.area_windows[area]
        if turn.window(window).state in WORKING
        for service in serving_services(turn, window)
    }
    for service in turn.lookup.area_services[area]:
        if service not in served and oldest_waiting_ms(turn, [service]) is not None:
            return service
    return None


def _call_duty(turn: Turn, kind: str, window: str) -> None:
    number = turn.lookup.windows[window].number
    pages.call_duty(turn, kind, window, f"{number}号窗口", f"Window {number}")
