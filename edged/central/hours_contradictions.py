"""Finds entries of section ``hours`` that contradict each other: hours that end before they begin, a day named
twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

from edged.central.refusals import Reason, contradiction
from edged.core.calendar.day_spans import minutes
from edged.core.model.policy import Hours, Session, Special

DAYS_OF_MONTH = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def hours_contradictions(hours: Hours) -> Iterator[Reason]:
    """Yield a refusal for every contradiction in the section."""
    yield from _entries("body.hours.week", hours.week)
    yield from _entries("body.hours.special", hours.special)
    yield from _week(hours)
    yield from _noon(hours)
    yield from _dates(hours)
    if not hours.week and (hours.special or hours.holidays or hours.workdays or hours.noon.windows):
        yield contradiction(
            "body.hours.week",
            "it is empty, so the other hours would mean nothing; say when the hall is open",
            "为空，其余开放时间设置将不起作用；请填写每周开放时间",
        )


def _entries(path: str, entries: Sequence[Session | Special]) -> Iterator[Reason]:
    for number, entry in enumerate(entries):
        if minutes(entry.closes) <= minutes(entry.opens):
            yield contradiction(
                f"{path}[{number}].closes",
                f"closes ({entry.closes}) must be later than opens ({entry.opens})",
                f"结束时间（{entry.closes}）必须晚于开放时间（{entry.opens}）",
            )
        if entry.mode == "closed" and not entry.areas and isinstance(entry, Session):
            yield contradiction(
                f"{path}[{number}].areas",
                "closed takes areas out of the hall's hours: name them, or leave the day out",
                "“closed”用于个别专区停办：请写明专区，或删去该日",
            )
    for (first, one), (second, other) in combinations(enumerate(entries), 2):
        if _same_days(one, other) and _same_areas(one, other) and _overlap(one, other):
            yield contradiction(
                f"{path}[{second}].opens",
                f"it overlaps entry {first} ({one.opens} to {one.closes}) on the same day",
                f"与第 {first} 条（{one.opens}至{one.closes}）在同一天重叠",
            )


def _same_days(one: Session | Special, other: Session | Special) -> bool:
    if isinstance(one, Session) and isinstance(other, Session):
        return bool(set(one.days) & set(other.days))
    return isinstance(one, Special) and isinstance(other, Special) and one.date == other.date


def _same_areas(one: Session | Special, other: Session | Special) -> bool:
    return (not one.areas and not other.areas) or bool(set(one.areas) & set(other.areas))


def _overlap(one: Session | Special, other: Session | Special) -> bool:
    if "closed" in (one.mode, other.mode):
        return True
    return minutes(one.opens) < minutes(other.closes) and minutes(other.opens) < minutes(one.closes)


def _week(hours: Hours) -> Iterator[Reason]:
    for number, entry in enumerate(hours.week):
        if not entry.days:
            yield contradiction(f"body.hours.week[{number}].days", "it names no day", "没有写明星期")
    known = {day for entry in hours.week for day in entry.days}
    if hours.workdays and hours.week and hours.workdays_as not in known:
        yield contradiction(
            "body.hours.workdays_as",
            f"make-up working days would be closed: week says nothing of day {hours.workdays_as}",
            f"调休上班日将不开放：每周开放时间中没有星期{hours.workdays_as}",
        )


def _noon(hours: Hours) -> Iterator[Reason]:
    starts, ends = hours.noon.starts, hours.noon.ends
    if minutes(ends) < minutes(starts):
        yield contradiction(
            "body.hours.noon.ends",
            f"noon ends ({ends}) before it starts ({starts})",
            f"午间结束（{ends}）早于开始（{starts}）",
        )
    elif starts == ends and hours.noon.windows:
        yield contradiction(
            "body.hours.noon.windows",
            "there is no noon (it starts when it ends), so nobody is on duty then",
            "未设午间时段（开始与结束相同），不能安排午间值班窗口",
        )
    elif starts != ends and hours.week and not any(_holds_noon(entry, hours) for entry in hours.week):
        yield contradiction(
            "body.hours.noon.ends",
            f"noon ({starts} to {ends}) does not lie inside any opening hours",
            f"午间（{starts}至{ends}）不在任何开放时间之内",
        )


def _holds_noon(entry: Session, hours: Hours) -> bool:
    inside = minutes(entry.opens) <= minutes(hours.noon.starts) and minutes(hours.noon.ends) <= minutes(
        entry.closes
    )
    whole = minutes(hours.noon.ends) - minutes(hours.noon.starts) >= minutes(entry.closes) - minutes(
        entry.opens
    )
    return entry.mode == "full" and inside and not whole


def _dates(hours: Hours) -> Iterator[Reason]:
    for path, dates in (
        ("body.hours.holidays", hours.holidays),
        ("body.hours.workdays", hours.workdays),
        ("body.hours.special", tuple(entry.date for entry in hours.special)),
    ):
        for number, name in enumerate(dates):
            if not _exists(name):
                yield contradiction(f"{path}[{number}]", f"{name} is not a date", f"{name} 不是有效日期")
            elif path != "body.hours.special" and name in dates[:number]:
                yield contradiction(f"{path}[{number}]", f"{name} is there twice", f"{name} 重复")
    for number, name in enumerate(hours.workdays):
        if name in hours.holidays:
            yield contradiction(
                f"body.hours.workdays[{number}]",
                f"{name} is a holiday and a make-up working day",
                f"{name} 同时是节假日和调休上班日",
            )


def _exists(name: str) -> bool:
    year, month, day = map(int, name.split("-"))
    leap = month == 2 and year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    return day <= DAYS_OF_MONTH[month - 1] + leap
