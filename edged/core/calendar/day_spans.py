"""Which opening hours an area has on a day, computed from the policy's section ``hours``.

Entries of section ``special`` for the date itself come first. Without any, the weekly entries of that kind of day
apply: on a public holiday those of day 8 (the area is closed if there are none), on a make-up working day those of
weekday ``workdays_as``, otherwise those of the weekday. Entries that name an area replace those for all areas.
Exception: entries with a mode in ``ADDED`` are added to the hours for all areas.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edged.core.calendar.wall import DAY_MIN, date, iso_date, weekday
from edged.core.model.policy import Hours, Mode, Session, Special

HOLIDAY = 8  # number of public holidays in ``Session.days``
SERVING: tuple[Mode, ...] = ("full", "extended", "assisted")  # windows call; elsewhere only machines help
ADDED: tuple[Mode, ...] = ("extended", "self-service", "online")
LOOK_AHEAD_DAYS = 31  # no public holiday lasts so long; a hall closed for longer says so by a notice
Kind = Literal["workday", "weekend", "holiday", "make-up"]


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A part of a day with one mode (what is on offer), from ``start_min`` up to but not including ``end_min``, in
    minutes after midnight.
    """

    start_min: int
    end_min: int
    mode: Mode = "full"


def configured(hours: Hours) -> bool:
    """Whether the policy gives any opening hours at all."""
    return bool(hours.week)


def minutes(time: str) -> int:
    """Parse a time of day "HH:MM" into minutes after midnight; inverse of ``wall.clock``."""
    return int(time[:2]) * 60 + int(time[3:])


def kind_of(hours: Hours, days: int) -> Kind:
    """Whether the day (in days since 1970-01-01) is a workday, weekend, public holiday or make-up working day."""
    name = iso_date(days)
    if name in hours.holidays:
        return "holiday"
    if name in hours.workdays:
        return "make-up"
    return "workday" if weekday(days) <= 5 else "weekend"


def spans(hours: Hours, area: str, days: int) -> tuple[Span, ...]:
    """Return the opening hours of an area on a day (in days since 1970-01-01), in order of time. Spans that touch and
    have the same mode are merged; an empty tuple means closed all day.
    """
    name = iso_date(days)
    own: list[Session | Special] = _for(area, [entry for entry in hours.special if entry.date == name])
    if not own:
        kind = kind_of(hours, days)
        number = {"holiday": HOLIDAY, "make-up": hours.workdays_as}.get(kind, weekday(days))
        own = _for(area, [entry for entry in hours.week if number in entry.days])
    return _joined(
        sorted(Span(minutes(e.opens), minutes(e.closes), e.mode) for e in own if e.mode != "closed")
    )


def _for(area: str, entries: list[Session] | list[Special]) -> list[Session | Special]:
    named = [entry for entry in entries if area in entry.areas]
    if any(entry.mode not in ADDED for entry in named):
        return list(named)
    return [*named, *(entry for entry in entries if not entry.areas)]


def _joined(found: list[Span]) -> tuple[Span, ...]:
    joined: list[Span] = []
    for span in found:
        if joined and joined[-1].end_min == span.start_min and joined[-1].mode == span.mode:
            joined[-1] = Span(joined[-1].start_min, span.end_min, span.mode)
        else:
            joined.append(span)
    return tuple(joined)


def flexed(found: tuple[Span, ...], opens_min: int | None, closes_min: int | None) -> tuple[Span, ...]:
    """Return today's spans with the opening or closing time that a person ordered (minutes after midnight; None:
    unchanged).

    The first and the last span in which windows serve are stretched or shortened. Spans in which only machines serve
    are cut where they would overlap. A day without serving spans gets one, if both times are given.
    """
    serving = [span for span in found if span.mode in SERVING]
    if not serving:
        if opens_min is None or closes_min is None:
            return found
        serving = [Span(opens_min, closes_min)]
    first, last = serving[0].start_min, serving[-1].end_min
    opens_min = first if opens_min is None else opens_min
    closes_min = last if closes_min is None else closes_min
    stretched = []
    for number, span in enumerate(serving):
        start_min = opens_min if number == 0 else max(span.start_min, opens_min)
        end_min = closes_min if number == len(serving) - 1 else min(span.end_min, closes_min)
        if start_min < end_min:
            stretched.append(Span(start_min, end_min, span.mode))
    machines = [span for span in found if span.mode not in SERVING]
    around = [
        piece
        for span in machines
        for piece in (
            Span(span.start_min, min(span.end_min, opens_min), span.mode),
            Span(max(span.start_min, closes_min), span.end_min, span.mode),
        )
        if piece.start_min < piece.end_min
    ]
    return tuple(sorted((*stretched, *around)))


def at(found: tuple[Span, ...], minute: int) -> Span | None:
    """Return the span that contains ``minute`` (after midnight); None if there is none."""
    return next((span for span in found if span.start_min <= minute < span.end_min), None)


def serves_until(found: tuple[Span, ...], minute: int) -> int | None:
    """Return the minute at which the windows that serve at ``minute`` stop serving; None if none serve then. Spans in
    which windows serve and that follow without a break count as one.
    """
    span = at(found, minute)
    if span is None or span.mode not in SERVING:
        return None
    end_min = span.end_min
    for later in found:
        if later.start_min == end_min and later.mode in SERVING:
            end_min = later.end_min
    return end_min


def noon_of(hours: Hours, found: tuple[Span, ...]) -> tuple[int, int] | None:
    """Return start and end of the noon break in minutes after midnight. None if there is no noon break, or it does not
    lie inside a span with mode "full".
    """
    starts_min, ends_min = minutes(hours.noon.starts), minutes(hours.noon.ends)
    inside = any(
        span.mode == "full" and span.start_min <= starts_min < ends_min <= span.end_min for span in found
    )
    return (starts_min, ends_min) if inside else None


def edges(hours: Hours, found: tuple[Span, ...]) -> list[int]:
    """Return the minutes of a day at which the area's hours may change, in order. The last one is midnight at the end
    of the day.
    """
    noon = noon_of(hours, found)
    marks = {DAY_MIN, *(noon or ())}
    for span in found:
        marks |= {span.start_min, span.end_min}
    return sorted(marks)


def next_opening(hours: Hours, area: str, days: int, after_min: int) -> tuple[int, int] | None:
    """Return the day (since 1970-01-01) and minute at which windows next start to serve, after minute ``after_min`` of
    day ``days``. None if they do not within ``LOOK_AHEAD_DAYS``.
    """
    for ahead in range(LOOK_AHEAD_DAYS + 1):
        for span in spans(hours, area, days + ahead):
            if span.mode in SERVING and (ahead or span.start_min > after_min):
                return days + ahead, span.start_min
    return None


def missing_year(hours: Hours, days: int) -> int | None:
    """Return the first year for which the policy lists no public holidays; None if none is missing.

    The year of the day ``days`` is checked and, in its last ``calendar_ahead_days`` days, the year after it.
    """
    known = {int(name[:4]) for name in hours.holidays}
    return next(
        (year for year in (date(days)[0], date(days + hours.calendar_ahead_days)[0]) if year not in known),
        None,
    )
