"""The sentences about opening hours on boards, window displays and dispensers, each in Chinese and English.

Each phase of an area (noon break, no more numbers, closed …) has one sentence; ordinary hours have none.
"""

from __future__ import annotations

from edged.core.calendar import opening, wall
from edged.core.calendar.opening import Why
from edged.core.model.state import AreaHours
from edged.core.model.turn import Turn

MODES: dict[str, tuple[str, str]] = {
    "extended": ("延时服务", "Extended hours"),
    "assisted": ("帮办服务", "Assisted service"),
    "self-service": ("自助服务时段，请使用自助设备", "Self-service only"),
    "online": ("请网上办理", "Online services only"),
}


Line = tuple[str, str]


def area_line(turn: Turn, area: str) -> Line | None:
    """The sentence about opening hours on an area's board; None during ordinary hours."""
    own = opening.of(turn, area)
    if not own.known:
        return None
    if own.phase == "closed":
        return _closed(turn, own)
    if own.phase == "draining":
        return "已下班，持号者继续办理", "Closed, serving the last visitors"
    if own.phase == "stopped":
        return "临近下班，停止取号，持号者继续办理", "Closing soon, no more numbers"
    if own.phase == "noon":
        return _noon(turn, area)
    if own.mode in MODES:
        until = _clock(turn, own.closes_ms)
        return f"{MODES[own.mode][0]}至{until}", f"{MODES[own.mode][1]} until {until}"
    return None


def window_line(turn: Turn, window: str) -> Line | None:
    """Return the sentence for the display of a window without a visitor, if all areas that the window serves are closed
    or in their noon break. None otherwise.
    """
    owns = [opening.of(turn, area) for area in turn.lookup.window_areas[window]]
    if owns and all(own.known and own.phase == "closed" for own in owns):
        return _closed(turn, owns[0])
    noon = owns and all(own.phase == "noon" for own in owns)
    if noon and window not in turn.state.policy.hours.noon.windows:
        ends = turn.state.policy.hours.noon.ends
        return f"午休，{ends}恢复", f"Back at {ends}"
    return None


def case_line(turn: Turn, area: str) -> Line | None:
    """Return the line that is printed on a number for a case (办不成事) taken outside opening hours. It says when staff
    will answer the case. None while the area is open.
    """
    own = opening.of(turn, area)
    if own.phase != "closed":
        return None
    opens = own.opens_local_ms
    if opens is None:
        return "已登记，开窗后由工作人员响应", "Taken: our staff answer when windows open"
    _, month, day = wall.date(wall.day(opens))
    time = wall.clock(wall.minute(opens))
    return (
        f"已登记，{month}月{day}日{time}起由工作人员响应",
        f"Taken: our staff answer from {wall.iso_date(wall.day(opens))} {time}",
    )


def refusal(turn: Turn, area: str, why: Why) -> Line:
    """Why a visitor gets no number in this area, in Chinese and English."""
    own = opening.of(turn, area)
    name, name_en = turn.lookup.areas[area].name, turn.lookup.areas[area].name_en
    if why == "paused":
        return f"{name}暂停取号，请咨询导办人员", f"{name_en}: no numbers just now, please ask our staff"
    if why == "noon":
        ends = turn.state.policy.hours.noon.ends
        return f"{name}午休，{ends}恢复取号", f"{name_en}: noon break until {ends}"
    if why == "stopped":
        return (
            f"{name}临近下班，停止取号",
            f"{name_en}: those waiting take all the time until closing, no more numbers",
        )
    if why == "draining":
        return f"{name}已下班，停止取号", f"{name_en} has closed, no more numbers"
    closed, closed_en = _closed(turn, own)
    return f"{name}{closed}", f"{name_en}: {closed_en}"


def _closed(turn: Turn, own: AreaHours) -> Line:
    if own.mode in ("self-service", "online"):
        return MODES[own.mode]
    now, opens = wall.local_ms(turn), own.opens_local_ms
    if opens is None or now is None:
        return "暂未开放", "Closed"
    time = wall.clock(wall.minute(opens))
    if wall.day(opens) == wall.day(now):
        return f"未到开放时间，{time}开放", f"Opens at {time}"
    _, month, day = wall.date(wall.day(opens))
    shut = "已闭厅" if turn.state.hall_phase == "closed" else "已下班"  # 已下班: other areas are still open
    return f"{shut}，{month}月{day}日{time}开放", f"Closed, opens {wall.iso_date(wall.day(opens))} {time}"


def _noon(turn: Turn, area: str) -> Line:
    ends = turn.state.policy.hours.noon.ends
    numbers = [turn.lookup.windows[window].number for window in opening.noon_windows(turn, area)]
    if not numbers:
        return f"午休，{ends}恢复办理", f"Noon break until {ends}"
    return (
        f"午间值班：{'、'.join(numbers)}号窗口，至{ends}",
        f"Noon: windows {', '.join(numbers)} until {ends}",
    )


def _clock(turn: Turn, at_ms: int | None) -> str:
    local = wall.local_ms(turn)
    assert local is not None
    assert at_ms is not None
    return wall.clock(wall.minute(local + at_ms - turn.at_ms))
