"""Whether an area's figures are up to date: dispensers report arrivals, panels report who is served.

If a dispenser is lost, arrivals are unknown; if the panels of all working windows are lost, it is unknown who is
served. Once that has lasted ``stale_hold_s``, the figures open or close no window; after ``stale_schedule_s`` the known
rushes (``peaks``) of the policy decide, if there are any.
"""

from __future__ import annotations

from edged.core.model.point import Point, device_of
from edged.core.model.turn import Turn
from edged.core.queue.ordering import WORKING

SOURCES_KEPT = 16  # dispensers stored for one area; a hall has a handful


def add_source(turn: Turn, area: str, point: Point) -> None:
    """Record that the device of ``point`` issues tickets of the area. Numbers given by hand at a window do not
    count.
    """
    if point in turn.lookup.windows:
        return
    device, sources = device_of(point), turn.area(area).sources
    if device not in sources:
        sources.append(device)
        del sources[:-SOURCES_KEPT]


def areas_of(turn: Turn, device: str) -> list[str]:
    """The areas whose figures are incomplete while ``device`` is lost (see ``blind_since_ms``)."""
    lookup = turn.lookup
    shown = {
        area for window in lookup.windows_of_device.get(device, ()) for area in lookup.window_areas[window]
    }
    return [area for area in lookup.areas if area in shown or device in turn.area(area).sources]


def blind_since_ms(turn: Turn, area: str) -> int | None:
    """The stamp since when arrivals or services of the area are not reported; None if both are."""
    if not turn.a_device_is_lost:
        return None
    devices = turn.state.devices
    lost = [
        d.since_ms for name in turn.area(area).sources if (d := devices.get(name)) is not None and not d.up
    ]
    panels = []
    for window in turn.lookup.area_windows[area]:
        panel = turn.lookup.windows[window].panel
        if panel is not None and turn.window(window).state in WORKING:
            panels.append(devices.get(device_of(panel)))
    if panels and all(panel is not None and not panel.up for panel in panels):
        lost.append(max(panel.since_ms for panel in panels if panel is not None))
    return min(lost, default=None)


def judge(turn: Turn, area: str) -> str | None:
    """How the area's figures may be used: None (freely; no device of it is lost for long), "hold" (open and close no
    window) or "schedule" (only the policy's known rushes decide). A change is noted.
    """
    state = turn.area(area)
    if state.stale is None and not turn.a_device_is_lost:
        return None
    limits = turn.state.policy.tidal.arbiter
    since_ms = blind_since_ms(turn, area)
    blind_s = 0.0 if since_ms is None else turn.seconds_since(since_ms)
    stale = None
    if since_ms is not None and blind_s >= limits.stale_hold_s:
        stale = "schedule" if blind_s >= limits.stale_schedule_s else "hold"
    if stale != state.stale:
        state.stale = stale
        turn.touch_area(area)  # predicted waits appear on, or disappear from, every panel
        if stale is None:
            turn.note("tidal.fresh", area)
        else:
            turn.note("tidal.stale", area, decides=stale, blind_s=blind_s)
    return stale


def next_change_ms(turn: Turn, area: str) -> list[int]:
    """The stamps at which a lost device makes the area's figures too old to decide on."""
    if not turn.a_device_is_lost:
        return []
    since_ms = blind_since_ms(turn, area)
    if since_ms is None:
        return []
    limits = turn.state.policy.tidal.arbiter
    return [since_ms + seconds * 1000 for seconds in (limits.stale_hold_s, limits.stale_schedule_s)]
