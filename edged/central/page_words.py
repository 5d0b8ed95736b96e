"""The texts on pages for the tidal rule (when "+1" windows open and close), for its limit in one area, and for a
device's name.
"""

from __future__ import annotations

from collections.abc import Iterator

from edged.core.model.point import Point, device_of
from edged.core.model.policy import Policy
from edged.core.model.site import Site
from edged.explain.sentences import duration

Pair = tuple[str, str]

DUTY: Pair = ("值班长", "Duty manager")
_RULES: dict[str, Pair] = {
    "pw": (
        "新来者预计等候满{open}启用一个潮汐窗口；少一个窗口仍不超过{close}时收窗",
        'a "+1" window opens at a predicted wait of {open}, and goes where one fewer would mean {close} at most',
    ),
    "pwf": (
        "按预计来客提前估算：预计等候满{open}启用，少一个窗口不超过{close}时收窗",
        "looks ahead with expected arrivals: opens at {open}, goes where one fewer would mean {close} at most",
    ),
    "band": (
        "等候超过{above}人启用（每多一个窗口再加{step}人），降到{at}人收窗",
        'a "+1" window opens above {above} waiting ({step} more for each that is open), and goes at {at}',
    ),
    "schedule": ("按日历安排启用潮汐窗口", "windows open as the calendar says"),
    "always": ("始终启用全部潮汐窗口", 'all "+1" windows stand open'),
    "never": ("不启用潮汐窗口", 'no "+1" windows'),
}


def rule_in_words(policy: Policy) -> Pair:
    """The tidal rule in force as a sentence for managers, in Chinese and English."""
    tidal = policy.tidal
    rule: str = tidal.rule if tidal.enabled else "never"
    zh, en = _RULES[rule]

    def filled(text: str, place: int) -> str:
        return text.format(
            open=duration(tidal.pw.open_wait_s, place),
            close=duration(tidal.pw.close_wait_s, place),
            above=tidal.band.open_above,
            step=tidal.band.open_step,
            at=tidal.band.close_at,
        )

    return filled(zh, 0), filled(en, 1)


def limit_in_words(policy: Policy, area: str) -> tuple[int | None, Pair]:
    """The limit at which an area asks for one more window, as (seconds, text); seconds is None if the rule limits no
    waiting time.
    """
    tidal = policy.tidal
    if not tidal.enabled or tidal.rule == "never":
        return None, _RULES["never"]
    if tidal.rule == "band":
        above = tidal.areas.get(area, tidal.band).open_above
        return None, (f"等候超过{above}人启用", f"opens above {above} waiting")
    if tidal.rule in ("schedule", "always"):
        return None, _RULES[tidal.rule]
    limit_s = tidal.pw_areas.get(area, tidal.pw).open_wait_s
    words = f"预计等候满{duration(limit_s, 0)}启用", f"opens at a predicted wait of {duration(limit_s, 1)}"
    return limit_s, words


def devices_in_words(site: Site, devices: tuple[str, ...]) -> dict[str, Pair]:
    """A name for each device from the windows, areas and people it serves; its id if it serves none."""
    found: dict[str, list[Pair]] = {device: [] for device in devices}
    for point, words in _uses(site):
        known = found.get(device_of(point))
        if known is not None and words not in known:
            known.append(words)
    return {device: _joined(device, uses) for device, uses in found.items()}


def _joined(device: str, uses: list[Pair]) -> Pair:
    if not uses:
        return device, device
    more = len(uses) - 1
    zh, en = uses[0]
    return (f"{zh}等{more + 1}处", f"{en} and {more} more") if more else (zh, en)


def _uses(site: Site) -> Iterator[tuple[Point, Pair]]:
    for window in site.windows:
        number = window.number
        for point, words in (
            (window.panel, (f"{number}号窗口呼叫器", f"Panel of window {number}")),
            (window.display, (f"{number}号窗口屏", f"LED of window {number}")),
            (window.lamp, (f"{number}号窗口灯", f"Lamp of window {number}")),
            (window.evaluator, (f"{number}号窗口评价器", f"Evaluator of window {number}")),
        ):
            if point is not None:
                yield point, words
    for area in site.areas:
        for point in area.displays:
            yield point, (f"{area.name}屏", f"Screen of {area.name_en}")
        for point in area.lamps:
            yield point, (f"{area.name}灯", f"Lamp of {area.name_en}")
        if area.voice is not None:
            yield area.voice, (f"{area.name}广播", f"Loudspeaker of {area.name_en}")
    for member in site.staff:
        if member.pager is not None:
            yield member.pager, (f"{member.name}的寻呼器", f"Pager of {member.name}")
    for point in (site.duty_pager, site.duty_panel, *site.duty_displays):
        if point is not None:
            yield point, (f"{DUTY[0]}设备", "Duty manager's device")
    for point in site.displays:
        yield point, ("大厅屏", "Screen of the hall")
    for place, point in enumerate(site.dispensers, 1):
        yield point, (f"{place}号取号机", f"Ticket dispenser {place}")
