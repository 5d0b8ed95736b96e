"""Alarms about visitors whose number is in no queue, or whose request for a number failed. The dispenser tells the
visitor, the alarm tells the staff.

Nobody may hold such a number without a member of staff knowing. The alarm names the dispenser and ends when nothing
more happened for ``QUIET_MS``; notes name each number.
"""

from __future__ import annotations

from typing import Literal

from edged.core.model.commands import Refuse
from edged.core.model.point import Point
from edged.core.model.turn import Turn
from edged.core.people import alarms, pages

Kind = Literal["paper-in-doubt", "nobody-gets-a-number", "device-unreadable", "queue-system-unfit"]
QUIET_MS = 3_600_000  # by then somebody has been there
TIMER = "stranded"
ASK = "请咨询导办人员"
ASK_EN = "please ask our staff"
# What the dispenser shows to a visitor whose printed number is in no queue, or who got no number.
WORDS: dict[str, tuple[str, str]] = {
    "number_repeated": (f"号码重复，{ASK}", f"This number was given before, {ASK_EN}"),
    "unknown_service": (f"业务未开通，{ASK}", f"This service is not known here, {ASK_EN}"),
    "numbers_used_up": (f"今日号已取完，{ASK}", f"No numbers left today, {ASK_EN}"),
    "queue_system_issues": ("请在排队机取号", "Please take a number at the queue system"),
    "device_twice": (f"本机暂停取号，{ASK}", f"No numbers at this machine, {ASK_EN}"),
    "unreadable": ("未能识别，请重试或咨询导办人员", "Not understood: try again, or ask our staff"),
}


def paper(turn: Turn, point: Point, number: str, service: str, reason: str) -> None:
    """Raise the alarm that a visitor holds a printed ``number`` that is in no queue, or that another visitor has
    too.
    """
    turn.act(point, Refuse(service, reason.replace("_", "-"), *WORDS[reason]))
    _alarm(turn, "paper-in-doubt", point, reason=reason, number=number)


def numbers_begin_again(turn: Turn, point: Point, number: str) -> None:
    """Raise the alarm that a dispenser prints numbers that were used before today. The earlier visits with these
    numbers are over, so the new visitors can wait and be called as usual.
    """
    _alarm(turn, "paper-in-doubt", point, reason="numbers_begin_again", number=number)


def no_number(turn: Turn, point: Point, service: str, reason: str) -> None:
    """Raise the alarm that a visitor asked for a number and got none, although no rule and no person had stopped
    numbers.
    """
    turn.act(point, Refuse(service, reason.replace("_", "-"), *WORDS[reason]))
    _alarm(turn, "nobody-gets-a-number", point, reason=reason, service=service or None)


def unreadable(turn: Turn, point: Point, reason: str) -> None:
    """Raise the alarm, for the technician, that messages of a device cannot be read, or that the device belongs to no
    window.
    """
    _sound(turn, "device-unreadable", point, reason=reason)


def not_of_this_hall(turn: Turn, point: Point, named: str) -> None:
    """Raise the alarm that a queue system names a window or service that the hall does not have or does not control."""
    _alarm(turn, "queue-system-unfit", point, named=named)


def clear(turn: Turn, key: str) -> None:
    """Timer: nothing more happened for ``QUIET_MS``. Clear the alarm."""
    kind, _, point = key.partition("/")
    alarms.clear(turn, kind, point)
    pages.close(turn, kind, point)


def _alarm(turn: Turn, kind: Kind, point: Point, **data: str | None) -> None:
    if _sound(turn, kind, point, **data):
        pages.call_duty(turn, kind, point, point, point)


def _sound(turn: Turn, kind: Kind, point: Point, **data: str | None) -> bool:
    turn.set_timer(f"{TIMER}/{kind}/{point}", turn.at_ms + QUIET_MS)
    return alarms.sound(turn, kind, point, **data)
