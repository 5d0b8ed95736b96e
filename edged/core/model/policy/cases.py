"""Section ``cases``: by when a case must be answered and closed, and which codes and outcomes it may have."""

from __future__ import annotations

from typing import Annotated

from edged.core.model.policy.parameter import Parameter
from edged.core.model.policy.words import Word
from edged.core.model.value import value


@value
class Cases:
    """Limits of cases (办不成事). ``close_days``, ``special_days`` and ``extend_days`` are working days, all others
    calendar days; ``*_min`` are minutes after midnight.

    ``codes``: why a case may be opened; if the code is unknown or not given, the last one is used. ``outcomes``: how a
    case may be closed; if none is given, the last one is used. ``undoable``: those outcomes that say it could not be
    done (不可办); they are counted separately.

    A closed case is deleted ``keep_days`` after it was closed, and remains only in the counts. While ``open_max`` cases
    are open, no further one is accepted.
    """

    acknowledge_s: Annotated[
        int, Parameter("seconds in which a case is to be acknowledged", "办不成事响应时限（秒）", 60, 28800)
    ] = 600
    remind_s: Annotated[
        int, Parameter("seconds until the first reminder of a new case", "新反映首次提醒（秒）", 30, 28800)
    ] = 300
    pages: Annotated[
        int, Parameter("pages for one unanswered case at most", "一件未响应反映的呼叫次数上限", 1, 20)
    ] = 4
    close_days: Annotated[
        int, Parameter("working days in which a case is to be closed", "办结时限（工作日）", 1, 60)
    ] = 5
    special_days: Annotated[
        int, Parameter("working days for a special case", "特殊事项办结时限（工作日）", 1, 120)
    ] = 10
    extend_days: Annotated[
        int, Parameter("working days that one extension adds", "每次延期的工作日", 1, 60)
    ] = 5
    extensions: Annotated[int, Parameter("extensions of one case at most", "延期次数上限", 0, 5)] = 1
    remind_min: Annotated[
        int,
        Parameter("when cases due are told, minutes after midnight", "到期提醒时间（零点起分钟）", 0, 1439),
    ] = 540
    due_min: Annotated[
        int, Parameter("end of the due day, minutes after midnight", "到期日截止时间（零点起分钟）", 0, 1439)
    ] = 1020
    rate_within_s: Annotated[
        int,
        Parameter("seconds an evaluator asks about a closed case", "办结后评价器询问时间（秒）", 30, 86400),
    ] = 900
    rate_days: Annotated[
        int, Parameter("days in which a closed case may be rated", "办结后可评价的天数", 1, 90)
    ] = 15
    reopen_days: Annotated[
        int, Parameter("days in which a closed case may be opened again", "办结后可重新办理的天数", 0, 90)
    ] = 15
    reopen_if_bad: Annotated[
        bool, Parameter("whether a case rated bad opens again", "差评后是否重新办理")
    ] = True
    keep_days: Annotated[int, Parameter("days a closed case is kept", "办结后保留天数", 1, 400)] = 90
    open_max: Annotated[int, Parameter("open cases at once at most", "同时未办结反映的上限", 1, 500)] = (
        200  # each is a line in every snapshot, for days
    )
    codes: Annotated[tuple[Word, ...], Parameter("words a case may be opened with", "反映原因用语")] = (
        "refused",
        "papers",
        "system",
        "delay",
        "attitude",
        "other",
    )
    outcomes: Annotated[tuple[Word, ...], Parameter("words a case may be closed with", "办结结果用语")] = (
        "solved",
        "referred",
        "explained",
        "withdrawn",
        "closed",
    )
    undoable: Annotated[
        tuple[Word, ...],
        Parameter(
            "of these: it could not be done, and that was explained", "其中表示不可办、已说明理由的用语"
        ),
    ] = ("explained",)
