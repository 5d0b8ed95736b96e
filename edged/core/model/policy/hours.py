"""Section ``hours``: when the hall and its areas are open, noon, holidays, and when the last number is given.

Without a single entry in ``week`` nobody knows the hours: the hall is open while somebody is there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from edged.core.model.policy.words import AreaId, Date, TimeOfDay, WindowId
from edged.core.model.value import value

Mode = Literal["full", "extended", "assisted", "self-service", "online", "closed"]


@value
class Session:
    """On ``days`` (1 Monday … 7 Sunday, 8 public holidays) the areas are open from ``opens`` to ``closes``.

    Windows serve in ``full``, ``extended`` (延时服务) and ``assisted`` (帮办, no "+1") hours; in ``self-service`` and
    ``online`` ones no numbers are given. Without ``areas`` it is for all; naming areas replaces that for them on these
    days (``closed``: by nothing), but ``extended``, ``self-service`` and ``online`` are on top.
    """

    days: tuple[int, ...] = (1, 2, 3, 4, 5)
    opens: TimeOfDay = "09:00"
    closes: TimeOfDay = "17:00"
    areas: tuple[AreaId, ...] = ()
    mode: Mode = "full"


@value
class Special:
    """The hours of one date, whatever else is said of it; several entries for one date add up."""

    date: Date = "2026-01-01"
    opens: TimeOfDay = "09:00"
    closes: TimeOfDay = "17:00"
    areas: tuple[AreaId, ...] = ()
    mode: Mode = "full"


@value
class Noon:
    """Noon (午间) inside ``full`` hours: only ``windows`` are on duty (午间不断岗); an area without one rests.

    ``starts`` = ``ends``: no noon. ``issue``: resting areas give numbers for the afternoon.
    """

    starts: TimeOfDay = "12:00"
    ends: TimeOfDay = "12:00"
    windows: tuple[WindowId, ...] = ()
    issue: bool = True


@value
class Cutoff:
    """The last number of the day: none is given whose service would end later than ``overrun_s`` after closing.

    Judged in the last ``within_s`` before closing only: in the morning clerks are still coming.
    ``resume_s``: issuing starts again when there is so much time to spare. ``last_s``: none in the last so many
    seconds, whatever is predicted.
    """

    enabled: bool = True
    within_s: int = 7200
    overrun_s: int = 0
    resume_s: int = 600
    last_s: int = 0


@value
class Hours:
    """Opening hours. ``holidays`` (every day off, weekends too) and ``workdays`` (调休) come from the yearly notice.

    A make-up working day has the hours of weekday ``workdays_as``. A year without any date in ``holidays`` is not
    known: its weekdays alone decide, and an alarm stands from ``calendar_ahead_days`` before it begins.
    """

    week: tuple[Session, ...] = ()
    special: tuple[Special, ...] = ()
    holidays: tuple[Date, ...] = ()
    workdays: tuple[Date, ...] = ()
    workdays_as: int = 1
    calendar_ahead_days: int = 21
    noon: Noon = Noon()
    cutoff: Cutoff = Cutoff()


BOUNDS: Mapping[str, tuple[int, int]] = {
    "Session.days": (1, 8),
    "Cutoff.within_s": (600, 43200),
    "Cutoff.overrun_s": (0, 7200),
    "Cutoff.resume_s": (60, 7200),
    "Cutoff.last_s": (0, 7200),
    "Hours.workdays_as": (1, 7),
    "Hours.calendar_ahead_days": (0, 90),
}
