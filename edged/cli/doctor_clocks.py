"""Compares a device's clock with this machine's by the times in the device's messages, and describes the difference and
its remedy.

Rules: only fresh messages are judged, because a retained one may be old. Of several times in a message the latest
counts: a report also carries the start of its interval. Sources of the formats: Milesight ``time_info``, ChirpStack
``time``, Tasmota ``Time``, AXIS ``timestamp`` (milliseconds, or ``20170503112756``), zigbee2mqtt ``last_seen``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, tzinfo
from typing import Any

from edged.strict_json import NotStrictJson, parse

OFF_MAX_S = 120  # tolerated: a report about the last minute may travel for another minute
ZONE_S = 1800  # time zones differ by multiples of half an hour
KEYS = frozenset(
    {"time", "timestamp", "ts", "end_time", "current_time", "trigger_time", "last_seen", "datetime"}
)
DEEP = 4
BYTES_MAX = 16 * 1024
FROM_S, TO_S = 946_684_800, 4_102_444_800  # years 2000 to 2100: other numbers are not times
DO_ZONE = ("在设备中设置正确的时区（中国为 UTC+8）", "set the time zone of the device (China: UTC+8)")
DO_CLOCK = (
    "在设备中填写授时服务器（NTP，可用本机地址），或手动校时",
    "name a time server (NTP; this machine will do) in the device, or set its clock by hand",
)


def message_time_s(payload: bytes, zone: tzinfo) -> float | None:
    """The latest time in a JSON message, in seconds since 1970; None without one. A time without a zone is taken as
    local time in ``zone``.
    """
    try:
        message = parse(payload, BYTES_MAX, None)
    except NotStrictJson:
        return None
    return max(_times(message, zone, DEEP), default=None)


def clock_error_words(off_s: float) -> tuple[str, str]:
    """Describe in (Chinese, English) a device's clock that is ``off_s`` seconds ahead of ours (negative: behind)."""
    minutes = round(abs(off_s) / 60)
    days, hours, rest = minutes // 1440, minutes // 60 % 24, minutes % 60
    parts = [(days, "天", "d"), (hours, "小时", "h"), (rest, "分钟", "min")]
    shown = [part for part in parts if part[0]][:2]
    zh, en = "".join(f"{count}{unit}" for count, unit, _ in shown), " ".join(f"{n} {u}" for n, _, u in shown)
    return (
        (f"其时钟快{zh}", f"its clock is {en} ahead of ours")
        if off_s > 0
        else (
            f"其时钟慢{zh}",
            f"its clock is {en} behind ours",
        )
    )


def remedy(off_s: float) -> tuple[str, str]:
    """What to do about a clock that is ``off_s`` seconds wrong, in Chinese and English: a difference of whole half
    hours within 14 hours means a wrong time zone.
    """
    from_zone = abs(off_s - round(off_s / ZONE_S) * ZONE_S)
    return DO_ZONE if from_zone <= OFF_MAX_S and abs(off_s) <= 14 * 3600 else DO_CLOCK


def _times(value: Any, zone: tzinfo, deep: int) -> Iterator[float]:
    if deep and isinstance(value, dict):
        for key, inner in value.items():
            if isinstance(inner, dict | list):
                yield from _times(inner, zone, deep - 1)
            elif key.lower() in KEYS and (found := _seconds(inner, zone)) is not None:
                yield found
    elif deep and isinstance(value, list):
        for inner in value:
            yield from _times(inner, zone, deep - 1)


def _seconds(value: Any, zone: tzinfo) -> float | None:
    if isinstance(value, int | float) and not isinstance(value, bool):
        for number in (float(value), value / 1000):
            if FROM_S <= number <= TO_S:
                return number
        return None
    if not isinstance(value, str):
        return None
    try:
        if re.fullmatch(r"\d{14}", value):
            moment = datetime.strptime(value, "%Y%m%d%H%M%S").replace(tzinfo=zone)
        else:
            moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    seconds = (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC).timestamp()
    return seconds if FROM_S <= seconds <= TO_S else None
