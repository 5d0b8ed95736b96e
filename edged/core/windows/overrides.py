"""Overrides (人工干预): what a person decides against the rules, with a name and for a limited time.

Open: a window is opened like any "+1" (lamp, page, somebody comes) and then kept open. Hold: a "+1" window that serves
is kept open. Close: the window finishes its visitor, calls nobody and is not chosen by any rule. Pause issuing: the
controller gives no numbers in an area or the hall; a number that a dispenser printed by itself is still queued, because
somebody holds it. Priority insert: one waiting visitor goes first, once. All end with the business day.
"""

from __future__ import annotations

from edged.core.calendar import wall
from edged.core.model.events import WHOLE_HALL, KeyPressed, OverrideKind, OverrideLifted, OverrideSet
from edged.core.model.state import Override
from edged.core.model.turn import Turn, override_key
from edged.core.model.value import value
from edged.core.queue.ordering import ASKED, AT_REST, put_first
from edged.core.windows import activation
from edged.core.windows.machine import move_window

TIMER = "override"
KIND_OF_KEY: dict[str, OverrideKind] = {
    "force-open": "open",
    "force-close": "close",
    "hold": "hold",
    "pause-issuing": "pause-issuing",
    "priority-insert": "priority-insert",
}
OF_AN_AREA = ("pause-issuing", "extend-hours")  # keys
OF_A_WINDOW: tuple[OverrideKind, ...] = ("open", "hold", "close")
_REPLACES: dict[OverrideKind, tuple[OverrideKind, ...]] = {
    "open": ("close",),
    "hold": ("close",),
    "close": ("open", "hold"),
}
_TEXT: dict[OverrideKind, str] = {
    "open": "人工开放 Forced open",
    "hold": "人工保持 Held",
    "close": "人工关闭 Forced closed",
    "pause-issuing": "暂停取号 No tickets now",
}


def decide(turn: Turn, event: OverrideSet) -> None:
    """Apply an override, or refuse it with a reason. Repeating one restarts its time, under the newer name."""
    turn.state.active_ms = turn.at_ms  # it counts as a sign of use, like a key
    problem = _problem(turn, event)
    if problem is not None:
        turn.ignore(event.target, problem, override=event.kind, by=event.by)
        return
    if event.kind == "priority-insert":
        ticket = turn.state.tickets[turn.state.used_numbers[event.target]]
        put_first(turn, ticket)
        turn.note("override.set", event.target, override=event.kind, by=event.by, **_reason(event))
        return
    limits = turn.state.policy.overrides
    for_s = min(limits.default_s if event.for_s is None else event.for_s, limits.longest_s)
    for other in _REPLACES.get(event.kind, ()):
        _end(turn, override_key(other, event.target), "replaced", event.by)
    area = _area_to_open(turn, event) if event.kind == "open" else None
    name = override_key(event.kind, event.target)
    turn.state.overrides[name] = Override(event.kind, event.target, event.by, turn.at_ms, area, event.reason)
    turn.set_timer(f"{TIMER}/{name}", turn.at_ms + for_s * 1000)
    facts: dict[str, str | int] = {"for_s": for_s} if area is None else {"for_s": for_s, "area": area}
    turn.note("override.set", event.target, override=event.kind, by=event.by, **facts, **_reason(event))
    _touch(turn, event.target)
    if event.kind == "open":
        if area is not None and area in turn.state.areas:
            activation.forget_tries(turn, area, over=False)  # for an order everybody is asked again
        _open(turn, event.target)
    elif event.kind == "close":
        _close(turn, event.target, event.by)


def _reason(event: OverrideSet) -> dict[str, str]:
    """The reason as a field of the note; empty if none was given."""
    return {} if event.reason is None else {"said": event.reason}


def lift(turn: Turn, event: OverrideLifted) -> None:
    """End an override before its time."""
    if not _end(turn, override_key(event.kind, event.target), "lifted", event.by, event.reason):
        turn.ignore(event.target, "no_override", override=event.kind, by=event.by)


def expire(turn: Turn, name: str) -> None:
    """Timer: the time of an override is over."""
    _end(turn, name, "time is up", None)


def reset(turn: Turn) -> None:
    """End all overrides, because a new business day begins. Each end is noted."""
    for name in list(turn.state.overrides):
        _end(turn, name, "new day", None)


def end_orphaned(turn: Turn) -> None:
    """End overrides of windows and areas that no longer exist after a change of configuration."""
    for name, override in list(turn.state.overrides.items()):
        probe = OverrideSet(override.kind, override.target, override.by, area=override.area)
        if _unknown_target(turn, probe) is not None:
            _end(turn, name, "configuration changed", None)


@value
class OverrideWords:
    """The parsed argument of an override key: target, name, seconds (None: the policy's default) and area (None: not
    given).
    """

    target: str
    by: str
    for_s: int | None
    area: str | None


def press(turn: Turn, event: KeyPressed) -> None:
    """Handle a key press that sets an override (a decision by hand, such as keeping a window open) or lifts it."""
    order = parsed(turn, event)
    if order is None:
        return
    if event.key == "lift":
        _lift_all(turn, order.target, order.by)
        return
    decide(turn, OverrideSet(KIND_OF_KEY[event.key], order.target, order.by, order.for_s, order.area))


def parsed(turn: Turn, event: KeyPressed) -> OverrideWords | None:
    """Parse the ``arg`` of an override key: ``[target [area]] [by=name] [for_s=seconds]``, the words with "=" in any
    position.

    A window's panel may only order for that window, its areas and any ticket; the duty manager's panel or pager for
    everything. Without ``by=`` the name is that of the clerk logged in there. None (and a note) if the argument is
    invalid.
    """
    window = turn.lookup.window_of_panel.get(event.point)
    site = turn.lookup.site
    if window is None and event.point not in (site.duty_panel, site.duty_pager):
        turn.ignore(event.point, "no_window_for_panel", key=event.key)
        return None
    words = (event.arg or "").split()
    named = dict(word.split("=", 1) for word in words if "=" in word)
    plain = [word for word in words if "=" not in word]
    by = named.get("by") or (turn.state.duty_staff if window is None else turn.window(window).staff)
    for_s = named.get("for_s")
    if by is None:
        turn.ignore(window or event.point, "override_without_name", key=event.key)
        return None
    if for_s is not None and not (for_s.isascii() and for_s.isdigit() and 0 < len(for_s) <= 6):
        turn.ignore(window or event.point, "override_without_time", key=event.key)
        return None
    target = plain[0] if plain else _own_target(turn, window, event.key)
    if target is None or not _may(turn, window, event.key, target):
        turn.ignore(window or event.point, "override_target", key=event.key, target=target)
        return None
    return OverrideWords(
        target, by, None if for_s is None else int(for_s), plain[1] if len(plain) > 1 else None
    )


def duty_key(turn: Turn, event: KeyPressed) -> None:
    """Handle login and logout at the duty manager's own panel."""
    if event.key == "login" and event.arg is not None:
        turn.state.duty_staff = event.arg
        turn.note("duty.login", event.point, staff=event.arg)
    elif event.key == "logout":
        turn.state.duty_staff = None
        turn.note("duty.logout", event.point)
    else:
        turn.ignore(event.point, "key_not_used", key=event.key)


def keeps_open(turn: Turn, window: str) -> bool:
    """Whether an override keeps this window open: no rule may give it back or lend it."""
    return turn.override("open", window) is not None or turn.override("hold", window) is not None


def wanted(turn: Turn, area: str) -> list[str]:
    """The tidal windows that a person ordered open for ``area`` and that are still at rest."""
    return [
        override.target
        for override in turn.state.overrides.values()
        if override.kind == "open" and override.area == area and turn.window(override.target).state in AT_REST
    ]


def settle(turn: Turn, window: str) -> None:
    """Close a regular window if it was ordered to close and has no visitor any more."""
    if turn.override("close", window) is None or turn.lookup.windows[window].tidal:
        return
    state = turn.window(window)
    if state.ticket is None and state.state in ("OPEN", "PAUSED") and move_window(turn, window, "close"):
        turn.note("window.closed", window, reason="override")


def window_line(turn: Turn, window: str) -> str | None:
    """The overrides in force at a window, for a clerk to read; None if there are none."""
    if not turn.state.overrides:  # for speed: runs for every panel at every event
        return None
    return next((text for kind in OF_A_WINDOW if (text := _line(turn, kind, window))), None)


def area_line(turn: Turn, area: str) -> str | None:
    """The overrides in force in an area, for visitors to read (without names); None if there are none."""
    return None if turn.issuing_paused(area) is None else _TEXT["pause-issuing"]


def _line(turn: Turn, kind: OverrideKind, target: str) -> str | None:
    override = turn.override(kind, target)
    if override is None:
        return None
    local = wall.local_ms(turn)
    left_ms = turn.state.timers[f"{TIMER}/{override_key(kind, target)}"] - turn.at_ms
    until = "" if local is None else f" → {wall.clock(wall.minute(local + left_ms))}"
    staff = turn.lookup.staff.get(override.by)
    return f"{_TEXT[kind]}{until} ({override.by if staff is None else staff.name})"


def _problem(turn: Turn, event: OverrideSet) -> str | None:
    if not event.by:
        return "override_without_name"
    if event.for_s is not None and event.for_s <= 0:
        return "override_without_time"
    if event.kind == "priority-insert" and turn.lookup.site.queue is not None:
        return "queue_system_calls"
    problem = _unknown_target(turn, event)
    if problem is None and event.kind == "hold" and turn.window(event.target).area is None:
        return "nothing_to_hold"
    return problem


def _unknown_target(turn: Turn, event: OverrideSet) -> str | None:
    lookup = turn.lookup
    if event.kind == "priority-insert":
        ticket = turn.state.tickets.get(turn.state.used_numbers.get(event.target, 0))
        return None if ticket is not None and ticket.state == "WAITING" else "nobody_waits_with_this_number"
    if event.kind == "pause-issuing":
        return None if event.target == WHOLE_HALL or event.target in lookup.areas else "unknown_area"
    if event.target not in lookup.windows:
        return "unknown_window"
    if event.area is not None and event.area not in lookup.window_areas[event.target]:
        return "window_cannot_serve_area"
    return None


def _area_to_open(turn: Turn, event: OverrideSet) -> str | None:
    """The area for which a tidal window is opened: the one it serves already, else the one given, else the one with
    most waiting. None for a regular window.
    """
    if not turn.lookup.windows[event.target].tidal:
        return None
    areas = turn.lookup.window_areas[event.target]
    now = turn.window(event.target).area
    busiest = max(areas, key=lambda area: turn.area(area).waiting)
    return now if now in areas else event.area or busiest


def _open(turn: Turn, window: str) -> None:
    state = turn.window(window)
    if state.state == "PAUSED":
        move_window(turn, window, "unpause" if state.ticket is None else "unpause-serving")
        turn.note("window.unpaused", window, reason="override")
    elif state.state == "CLOSED" and move_window(turn, window, "open"):
        turn.note("window.opened", window, staff=state.staff, reason="override")
    elif state.state == "COOLDOWN":  # an order ends the pause after a tide
        state.due_ms = None
        activation.end_cooldown(turn, window)
    elif state.state == "INVITED":  # an order does not wait for the clerk's answer
        activation.acknowledge(turn, window, None)


def _close(turn: Turn, window: str, by: str) -> None:
    state = turn.window(window)
    if state.state in ASKED:
        turn.note("tidal.released", window, area=state.area, reason=f"closed by {by}", open_s=0)
        activation.stand_by(turn, window)
    elif turn.lookup.windows[window].tidal and state.state in ("OPEN", "CALLING", "SERVING", "PAUSED"):
        activation.drain(turn, window, f"closed by {by}")


def _end(turn: Turn, name: str, reason: str, by: str | None, said: str | None = None) -> bool:
    override = turn.state.overrides.pop(name, None)
    if override is None:
        return False
    turn.drop_timer(f"{TIMER}/{name}")
    turn.note(
        "override.expired",
        override.target,
        override=override.kind,
        by=by or override.by,
        reason=reason,
        stood_s=turn.seconds_since(override.since_ms),
        **({} if said is None else {"said": said}),
    )
    _touch(turn, override.target)
    state = turn.state.windows.get(override.target)
    if state is None or turn.lookup.windows[override.target].tidal or reason == "replaced":
        return True
    if override.kind == "close" and state.state == "CLOSED" and state.staff is not None:
        move_window(turn, override.target, "open")  # the clerk is still there
        turn.note("window.opened", override.target, staff=state.staff)
    elif override.kind == "open" and state.state == "OPEN" and state.staff is None:
        move_window(turn, override.target, "close")  # no clerk ever came
        turn.note("window.closed", override.target, reason="override")
    return True


def _touch(turn: Turn, target: str) -> None:
    """Mark the windows and areas that an override concerns for evaluation."""
    if target in turn.lookup.windows:
        turn.touch_window(target)
        for area in turn.lookup.window_areas[target]:
            turn.touch_area(area)
    for area in turn.lookup.areas:
        if target in (area, WHOLE_HALL):
            turn.issuing_changed = True
            turn.touch_area(area)


def _own_target(turn: Turn, window: str | None, key: str) -> str | None:
    if window is None:
        return WHOLE_HALL if key in OF_AN_AREA else None
    if key in OF_AN_AREA:
        return turn.window(window).area or turn.lookup.window_areas[window][0]
    return None if key == "priority-insert" else window


def _may(turn: Turn, window: str | None, key: str, target: str) -> bool:
    """Whether a panel may order this for ``target``. A window's panel may for its own window, may pause issuing, extend
    hours or lift for its areas, and may put any ticket first; the duty manager's (``window`` None) may for everything.
    """
    if window is None or key == "priority-insert":
        return True
    return target == window or (key in (*OF_AN_AREA, "lift") and target in turn.lookup.window_areas[window])


def _lift_all(turn: Turn, target: str, by: str) -> None:
    found = [o for o in turn.state.overrides.values() if o.target == target]
    for override in found:
        _end(turn, override_key(override.kind, target), "lifted", by)
    if not found:
        turn.ignore(target, "no_override", by=by)
