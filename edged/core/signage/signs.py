"""Computes from the state what lamps, displays, panels and summaries for the city are to show.

Only windows and areas that changed in this turn (event) are computed, and a ``Desired`` is sent only if the value
differs from the last one. ``boards.py`` composes the texts.
"""

from __future__ import annotations

from typing import Literal

from edged.core.calendar import opening
from edged.core.cases import case_requests, case_signs
from edged.core.model import losses
from edged.core.model.commands import (
    AlarmsSummary,
    AreaSummary,
    Desired,
    Evaluator,
    Lamp,
    Panel,
    Value,
    WindowSummary,
)
from edged.core.model.point import Point, point_of
from edged.core.model.state import WindowState, WindowStateName
from edged.core.model.turn import Turn
from edged.core.people import alarms, pagers
from edged.core.queue import issuing
from edged.core.queue.demand import area_load
from edged.core.queue.ordering import ASKED, WORKING, prepared_at, serving_services
from edged.core.signage import boards
from edged.core.visits import follow, rating
from edged.core.windows import attendance, overrides, preparation

CENTRE = "centre"  # device id that stands for the city: its driver publishes state messages
ALARMS_SHOWN = 100  # the newest, to the centre: a message has 16 KiB
LampLevel = Literal["off", "on", "blink"]

LAMP_OF: dict[WindowStateName, LampLevel] = {
    "CLOSED": "off",
    "OPEN": "on",
    "CALLING": "on",
    "SERVING": "on",
    "PAUSED": "off",
    "STANDBY": "off",
    "ACTIVATING": "blink",
    "DRAINING": "off",  # nobody new is called: a lit lamp would make people queue up
    "COOLDOWN": "off",
    "CONSULTING": "off",
    "INVITED": "blink",
}
LAMPS: dict[LampLevel, Lamp] = {"off": Lamp("off"), "on": Lamp("on"), "blink": Lamp("blink")}
PROMPT: dict[WindowStateName, str] = {
    "ACTIVATING": "请到岗：+1窗口 Please take this window",
    "DRAINING": "办完本号后收窗 Last visitor",
    "PAUSED": "暂停中 Paused",
    "CONSULTING": "业务咨询 Enquiries",
}


def sign_lamps(turn: Turn) -> None:
    """Set the lamps of the windows changed so far, before anything slow is computed. ``sign`` sets them again once it
    is decided which "+1" windows open.
    """
    for window in turn.dirty_windows:
        _show(turn, turn.lookup.windows[window].lamp, LAMPS[LAMP_OF[turn.window(window).state]])


def sign(turn: Turn) -> None:
    """Send what devices and the city are to show of all windows and areas that changed in this turn.

    In a rush this may be postponed to the next evaluation (``rush.py``). Panels of changed windows are not postponed,
    so that the clerk sees the answer to a key at once.
    """
    if turn.put_off:
        _answer_on_panels(turn)
    else:
        _sign_touched(turn)
    if turn.issuing_changed and turn.lookup.site.dispensers:
        issued = issuing.level(turn)
        for point in turn.lookup.site.dispensers:
            _show(turn, point, issued)
    if turn.alarmed:
        _sign_alarms(turn)
    for point in turn.dirty_pagers:
        if pagers.owner(turn, point) is not None:
            _show(turn, point, pagers.level(turn, point))
    if turn.cases_changed:
        for point, value in case_signs.signs(turn, CENTRE):
            _show(turn, point, value)


def _sign_touched(turn: Turn) -> None:
    """Send what devices and the city are to show of all changed windows and areas, and the waiting counts on the panels
    concerned.
    """
    for window in turn.dirty_windows:
        _sign_window(turn, window)
    _sign_panels(turn)
    for area in turn.dirty_areas:
        if area not in turn.only_due or _shows_another_wait(turn, area):
            _sign_area(turn, area)
    if turn.dirty_areas and turn.lookup.site.displays:
        _sign_hall(turn)
    queue = turn.lookup.site.queue
    if queue is not None and turn.dirty_windows:
        _show(turn, queue, follow.windows_to_serve(turn))


def _answer_on_panels(turn: Turn) -> None:
    """Update the panels of changed windows at once, so that a clerk sees the effect of a key. The waiting counts are
    not computed anew but stay as last shown.
    """
    for window in turn.dirty_windows:
        shown = turn.state.shown.get(turn.lookup.panel_slots.get(window, ""))
        if isinstance(shown, Panel):
            _sign_panel(turn, window, (shown.waiting, shown.wait_low_s, shown.wait_high_s))


Counts = tuple[int, int | None, int | None]


class _Counts:
    """Waiting counts and predicted waits for panels. They are computed once per turn and shared by all windows with the
    same services and area.
    """

    def __init__(self, turn: Turn) -> None:
        self._turn = turn
        self._known: dict[tuple[tuple[str, ...], str | None], Counts] = {}

    def of(self, window: str) -> Counts:
        """How many wait for the window's services, and the predicted wait in its area (low and high, in seconds; None
        if unknown).
        """
        turn = self._turn
        state = turn.state.windows[window]
        areas = turn.lookup.window_areas[window]
        services = serving_services(turn, window)
        area = state.area or state.lent_to or (areas[0] if areas else None)
        found = self._known.get((services, area))
        if found is None:
            found = self._known[services, area] = self._count(services, area)
        return found

    def _count(self, services: tuple[str, ...], area: str | None) -> Counts:
        queues = self._turn.state.queues
        waiting = sum([len(queue) for s in services if s in queues for queue in queues[s].values()])
        wait = None if area is None else area_load(self._turn, area).wait_range_s
        return (waiting, None, None) if wait is None else (waiting, wait[0], wait[2])


def slot(point: Point, value: Value | type[Value]) -> str:
    """Return the key in ``State.shown`` (what devices show now) for this point and kind of value. Each key holds one
    value.
    """
    return f"{point}|{value.kind}"


def point_of_slot(key: str) -> Point:
    """Return the point of which ``slot`` made the key ``key``."""
    return Point(key.partition("|")[0])


def _show(turn: Turn, point: Point | None, value: Value) -> None:
    if point is None:
        return
    key = slot(point, value)
    if turn.state.shown.get(key) != value:
        turn.state.shown[key] = value
        turn.commands.append(Desired(point, value))


def _sign_window(turn: Turn, window: str) -> None:
    site = turn.lookup.windows[window]
    state = turn.window(window)
    ticket = turn.ticket_at(window)
    number = None if ticket is None or ticket.direct else ticket.number
    if site.lamp is not None:
        _show(turn, site.lamp, LAMPS[LAMP_OF[state.state]])
    if site.evaluator is not None:
        case = case_requests.case_to_rate(turn, window)
        rater = None if case is not None else rating.may_rate(turn, window)
        asked = Evaluator(window, None if rater is None else rater.number, case)
        _show(turn, site.evaluator, asked)
    if site.display is not None:
        _show(turn, site.display, boards.window_board(turn, window))
    _show(turn, point_of(CENTRE, window), _summary(turn, window, number))


def _summary(turn: Turn, window: str, number: str | None) -> WindowSummary:
    state = turn.window(window)
    line = overrides.window_line(turn, window)
    helpers = len(state.helpers)
    return WindowSummary(
        window, state.state, number, state.area, state.reason, line, state.stale, helpers, state.reason_zh
    )


def _sign_panels(turn: Turn) -> None:
    """Update the panels of changed windows, then those of other windows of changed areas. On the latter usually only
    the waiting counts differ.
    """
    counts = _Counts(turn)
    slots = turn.lookup.panel_slots
    for window in turn.dirty_windows:
        if window in slots:
            _sign_panel(turn, window, counts.of(window))
    called = any(page.about in attendance.CALLED for page in turn.state.pages.values())
    words_change = turn.alarmed or called or turn.state.overrides
    wished = {wish.window for wish in turn.state.wishes.values()}
    signed = dict(turn.dirty_windows)
    for area in turn.dirty_areas:
        if area not in turn.only_due:
            for window in turn.lookup.area_windows[area]:
                if window in slots and window not in signed:
                    signed[window] = None
                    state = turn.state.windows[window]
                    whole = (
                        words_change
                        or window in wished
                        or state.prepared is not None
                        or state.hint is not None
                        or state.state == "INVITED"
                    )
                    (_sign_panel if whole else _count_on_panel)(turn, window, counts.of(window))
    for wish in turn.state.wishes.values():  # a change at another window may change their line
        if wish.window in slots and wish.window not in signed and signed:
            signed[wish.window] = None
            _sign_panel(turn, wish.window, counts.of(wish.window))


def _count_on_panel(turn: Turn, window: str, found: Counts) -> None:
    """Update only the waiting count and predicted wait on a window's panel, and keep everything else as last shown."""
    panel, key = turn.lookup.windows[window].panel, turn.lookup.panel_slots[window]
    shown = turn.state.shown.get(key)
    if panel is None or not isinstance(shown, Panel):
        _sign_panel(turn, window, found)
        return
    if (shown.waiting, shown.wait_low_s, shown.wait_high_s) != found:
        waiting, low_s, high_s = found
        value = Panel(window, shown.state, waiting, shown.number, shown.prompt, low_s, high_s)
        turn.state.shown[key] = value
        turn.commands.append(Desired(panel, value))


def _sign_panel(turn: Turn, window: str, counts: Counts) -> None:
    state = turn.window(window)
    ticket = turn.ticket_at(window)
    waiting, low_s, high_s = counts
    number = None if ticket is None or ticket.direct else ticket.number
    prompt = prompt_of(turn, window)
    kept = prepared_at(turn, window)
    prepared = None if kept is None else kept.number
    value = Panel(window, state.state, waiting, number, prompt, low_s, high_s, prepared)
    _show(turn, turn.lookup.windows[window].panel, value)


def _invitation(turn: Turn, state: WindowState) -> str | None:
    """The line on the panel of a consultation window (a "+1" window whose clerk gives general advice) that asks the
    clerk to open it for an area. None if no area asks.
    """
    if state.area is None:
        return None
    place, waiting = turn.lookup.areas[state.area], turn.area(state.area).waiting
    return (
        f"{place.name}等候{waiting}人，请准备受理：接受 / 稍后 / 谢绝 "
        f"{place.name_en}: {waiting} waiting, please open: accept / later / decline"
    )


def prompt_of(turn: Turn, window: str) -> str | None:
    """The line that a clerk reads on the panel beside the number. It answers the last key; if there is no answer, it
    says what needs the clerk's attention, or else the window's state. None if there is nothing to say.
    """
    state = turn.window(window)
    there = 1 + len(state.helpers)
    return (
        attendance.prompt(turn, window)
        or (None if state.prepared is None else preparation.prompt(turn, window))
        or overrides.window_line(turn, window)
        or (_invitation(turn, state) if state.state == "INVITED" else PROMPT.get(state.state))
        or (case_signs.prompt(turn, window) if turn.state.cases else None)
        or (f"{there}人办理 {there} at this window" if state.helpers else None)
    )


def _shows_another_wait(turn: Turn, area: str) -> bool:
    """Whether the predicted wait of an area, computed now, differs from the one last shown. It may, although nothing
    changed, because time has passed.
    """
    shown = turn.state.shown.get(slot(point_of(CENTRE, area), AreaSummary))
    if not isinstance(shown, AreaSummary):
        return True
    wait = area_load(turn, area).wait_range_s
    return wait != (None if shown.wait_low_s is None else (shown.wait_low_s, shown.wait_s, shown.wait_high_s))


def _sign_area(turn: Turn, area: str) -> None:
    site = turn.lookup.areas[area]
    state = turn.area(area)
    load = area_load(turn, area)
    wait = load.wait_range_s
    states = turn.state.windows
    windows = [states[window] for window in turn.lookup.area_windows[area]]
    own = opening.of(turn, area)
    tidal = [states[window] for window in turn.lookup.area_tidal[area] if states[window].area == area]
    plus = len([window for window in tidal if window.state in WORKING])
    for lamp in site.lamps:
        _show(turn, lamp, LAMPS["on" if plus else "off"])
    summary = AreaSummary(
        area,
        state.waiting,
        load.oldest_ms,
        len([w for w in windows if w.state in WORKING and w.area in (None, area)]),
        plus,
        wait_low_s=wait and wait[0],
        wait_s=wait and wait[1],
        wait_high_s=wait and wait[2],
        override=overrides.area_line(turn, area),
        hours=own.phase if own.known else None,
        mode=own.mode if own.known else None,
        asked_windows=len([window for window in tidal if window.state in ASKED]),
    )
    for display in site.displays:
        _show(turn, display, boards.area_board(turn, area, display, summary))
    _show(turn, point_of(CENTRE, area), summary)


def _sign_hall(turn: Turn) -> None:
    """Update the hall's boards from what each area last showed of itself (its ``AreaSummary``)."""
    shown = [turn.state.shown.get(slot(point_of(CENTRE, area), AreaSummary)) for area in turn.lookup.areas]
    summaries = [summary for summary in shown if isinstance(summary, AreaSummary)]
    for display in turn.lookup.site.displays:
        _show(turn, display, boards.hall_board(turn, display, summaries))


def _sign_alarms(turn: Turn) -> None:
    for display in turn.lookup.site.duty_displays:
        _show(turn, display, boards.alarm_board(turn, display))
    newest = list(turn.state.alarms.values())[-ALARMS_SHOWN:]
    devices = turn.state.devices
    lost = tuple(
        (alarm.subject, losses.known(devices[alarm.subject].reason))
        for alarm in newest
        if alarm.kind == alarms.LOST and alarm.subject in devices
    )
    raised = tuple((alarm.kind, alarm.subject, alarm.since_ms) for alarm in newest)
    summary = AlarmsSummary(raised, lost)
    _show(turn, point_of(CENTRE, "alarms"), summary)
