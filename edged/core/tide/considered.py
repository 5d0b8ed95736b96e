"""The alternatives of a decision: every window and member of staff considered, and why each was not chosen.

They are written into a note as ``id=reason`` or ``id=reason:detail``; ``edged/explain/sentences.py`` makes sentences of
them. They are computed only together with a note, so a decision without effect costs nothing.
"""

from __future__ import annotations

from edged.core.model.turn import Turn
from edged.core.people import staffing
from edged.core.queue.ordering import STAFFED

CHOSEN = "chosen"


def windows(turn: Turn, area: str, chosen: str | None = None) -> str:
    """Every "+1" window that can serve ``area``, with the reason if it was not chosen: "w11=chosen w12=nobody-came"."""
    return " ".join(
        f"{window}={CHOSEN if window == chosen else _why_not(turn, area, window)}"
        for window in turn.lookup.area_tidal[area]
    )


def _why_not(turn: Turn, area: str, window: str) -> str:
    state = turn.window(window)
    if turn.override("close", window) is not None:
        return "closed-by-hand"
    if state.state in STAFFED:
        return f"serves:{state.area}"
    if state.state == "ACTIVATING":
        return f"lit:{state.area}"
    if state.state == "INVITED":
        return f"invited:{state.area}"
    if state.state == "CONSULTING" and turn.at_ms < state.later_until_ms:
        return "later"
    if state.state not in ("STANDBY", "CONSULTING"):
        return state.state.lower()
    if window in turn.area(area).tried_windows:
        return "nobody-came"
    return f"idle:{state.activations}"


def staff(turn: Turn, area: str, chosen: str | None = None) -> str:
    """Every member with the role "standby" who can serve ``area``, as ``id=reason``: why they were not chosen to be
    paged.
    """
    return " ".join(
        f"{member.id}={CHOSEN if member.id == chosen else _not_asked(turn, area, member.id)}"
        for member in turn.lookup.site.staff
        if "standby" in member.roles and staffing.serves(turn, member.id, area)
    )


def _not_asked(turn: Turn, area: str, member: str) -> str:
    state = turn.state.staff[member]
    if member in turn.area(area).tried_staff:
        return "did-not-answer"
    if staffing.absent(turn, member):
        return "absent-today"
    if not staffing.on_shift(turn, member):
        return "off-shift"
    if state.state == "standby" and member not in staffing.to_page(turn, area):
        return "goes-soon"
    if state.state == "standby" and state.silent:
        return "silent"
    if state.state == "standby":
        return f"free:{state.activations}"
    return state.state if state.window is None else f"{state.state}:{state.window}"


def releases(turn: Turn, area: str, chosen: str | None = None) -> str:
    """Every "+1" window that serves ``area`` or is asked to, as ``id=reason``: why it is not the one given back."""
    return " ".join(
        f"{window}={CHOSEN if window == chosen else _why_kept(turn, window)}"
        for window in turn.lookup.area_tidal[area]
        if turn.window(window).area == area
    )


def _why_kept(turn: Turn, window: str) -> str:
    state = turn.window(window)
    if turn.override("hold", window) is not None or turn.override("open", window) is not None:
        return "kept-by-hand"
    if state.state not in STAFFED:
        return state.state.lower()
    return "idle-later" if state.ticket is None else "busy"
