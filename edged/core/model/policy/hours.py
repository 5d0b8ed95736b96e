"""Section ``hours``: when the hall and its areas are open, noon, holidays, and when the last number is given.

If ``week`` is empty the hours are unknown: the hall counts as open while somebody is there.
"""

from __future__ import annotations

from typing import Annotated, Literal

from edged.core.model.policy.parameter import Parameter
from edged.core.model.policy.words import AreaId, Date, TimeOfDay, WindowId
from edged.core.model.value import value

Mode = Literal["full", "extended", "assisted", "self-service", "online", "closed"]


@value
class Session:
    """Opening hours that repeat weekly: on ``days`` (1 Monday to 7 Sunday, 8 public holidays) the areas are open from
    ``opens`` to ``closes``.

    ``mode`` says what is on offer. With ``full``, ``extended`` (延时服务) and ``assisted`` (帮办, no "+1" windows)
    windows serve; with ``self-service`` and ``online`` no numbers are given, except for cases (办不成事).

    An entry without ``areas`` applies to all areas. An entry that names areas replaces it for them on these days
    (``closed``: they stay closed). Exception: entries with mode ``extended``, ``self-service`` or ``online`` are added
    to it.
    """

    days: Annotated[
        tuple[int, ...],
        Parameter(
            "days, 1 Monday to 7 Sunday, 8 public holidays", "星期（1为周一，7为周日，8为法定节假日）", 1, 8
        ),
    ] = (1, 2, 3, 4, 5)
    opens: Annotated[TimeOfDay, Parameter("opening time, such as 09:00", "开放时间（如09:00）")] = "09:00"
    closes: Annotated[TimeOfDay, Parameter("closing time, such as 17:00", "结束时间（如17:00）")] = "17:00"
    areas: Annotated[
        tuple[AreaId, ...], Parameter("areas it is for; none named: all others", "适用专区（空为其余全部）")
    ] = ()
    mode: Annotated[Mode, Parameter("what is on offer in these hours", "服务方式")] = "full"


@value
class Special:
    """Opening hours on one date. They replace the hours that its weekday or holiday would have; if several entries have
    the same date, all of them apply.
    """

    date: Annotated[Date, Parameter("the date", "日期")] = "2026-01-01"
    opens: Annotated[TimeOfDay, Parameter("opening time on that date", "当日开放时间")] = "09:00"
    closes: Annotated[TimeOfDay, Parameter("closing time on that date", "当日结束时间")] = "17:00"
    areas: Annotated[
        tuple[AreaId, ...], Parameter("areas it is for; none named: all others", "适用专区（空为其余全部）")
    ] = ()
    mode: Annotated[Mode, Parameter("what is on offer on that date", "当日服务方式")] = "full"


@value
class Noon:
    """The noon break (午间); it applies only within hours of mode ``full``. The windows listed in ``windows`` serve
    through it (午间不断岗); an area without such a window takes the break.

    If ``starts`` equals ``ends`` there is no break. ``issue``: areas that take the break still give numbers, for the
    afternoon.
    """

    starts: Annotated[TimeOfDay, Parameter("start of noon", "午间开始时间")] = "12:00"
    ends: Annotated[
        TimeOfDay, Parameter("end of noon; the same as its start: none", "午间结束时间（与开始相同为无午休）")
    ] = "12:00"
    windows: Annotated[tuple[WindowId, ...], Parameter("windows on duty at noon", "午间值班窗口")] = ()
    issue: Annotated[
        bool, Parameter("whether resting areas give numbers at noon", "午休专区是否继续取号")
    ] = True


@value
class Cutoff:
    """When numbers stop before closing: no number is given to a visitor who would, by prediction, be served until later
    than ``overrun_s`` after closing. In the last ``last_s`` seconds no numbers are given, whatever the prediction.

    Both are checked only in the last ``within_s`` seconds before closing, because earlier, clerks are still coming and
    the prediction would be too high; not at all unless ``enabled``. ``resume_s``: numbers are given again once the
    predicted end is that many seconds earlier than required.
    """

    enabled: Annotated[
        bool,
        Parameter(
            "whether issuing stops when capacity until closing is used up", "是否按剩余办理能力停止取号"
        ),
    ] = True
    within_s: Annotated[
        int,
        Parameter(
            "seconds before closing from which that is judged", "下班前多长时间内进行判断（秒）", 600, 43200
        ),
    ] = 7200
    overrun_s: Annotated[
        int,
        Parameter("seconds after closing that the last visitor may take", "允许超过下班时间的秒数", 0, 7200),
    ] = 0
    resume_s: Annotated[
        int,
        Parameter("seconds to spare before issuing starts again", "恢复取号所需的富余时间（秒）", 60, 7200),
    ] = 600
    last_s: Annotated[
        int,
        Parameter("seconds before closing without numbers at all", "下班前一律停止取号的时间（秒）", 0, 7200),
    ] = 0


@value
class Hours:
    """All opening hours of a hall. ``holidays`` (public days off, including those on weekends) and ``workdays``
    (make-up working days, 调休) are dates from the government's yearly notice.

    A make-up working day has the hours of weekday ``workdays_as``. If ``holidays`` has no date in a year, holidays of
    that year are treated as ordinary days. An alarm says so, from ``calendar_ahead_days`` days before that year begins.
    """

    week: Annotated[
        tuple[Session, ...],
        Parameter("weekly hours; none: open while somebody is there", "每周开放时间（空为不限定）"),
    ] = ()
    special: Annotated[tuple[Special, ...], Parameter("hours of single dates", "特定日期的开放时间")] = ()
    holidays: Annotated[
        tuple[Date, ...], Parameter("public holidays, every day off", "法定节假日（逐日列出）")
    ] = ()
    workdays: Annotated[tuple[Date, ...], Parameter("make-up working days", "调休上班日")] = ()
    workdays_as: Annotated[
        int, Parameter("weekday whose hours a make-up working day has", "调休上班日按星期几的时间开放", 1, 7)
    ] = 1
    calendar_ahead_days: Annotated[
        int,
        Parameter(
            "days before a year without holidays that raise the alarm",
            "缺少次年节假日时提前告警的天数",
            0,
            90,
        ),
    ] = 21
    noon: Noon = Noon()
    cutoff: Cutoff = Cutoff()
