"""Section ``staffing``: pauses, unmanned windows, and how staff are paged."""

from __future__ import annotations

from typing import Annotated

from edged.core.model.policy.parameter import Parameter
from edged.core.model.policy.words import Text, Word
from edged.core.model.value import value


@value
class PauseReason:
    """A reason that a clerk may give for pausing a window. A call panel sends its ``id`` or its ``text``."""

    id: Annotated[Word, Parameter("short name of a reason, as panels send it", "暂停原因代码")]
    text: Annotated[Text, Parameter("the reason in Chinese", "暂停原因（中文）")]
    text_en: Annotated[Text, Parameter("the reason in English", "暂停原因（英文）")]


PAUSE_REASONS = (
    PauseReason("meal", "用餐", "Meal"),
    PauseReason("rest", "短暂休息", "Short break"),
    PauseReason("errand", "内部流转", "Errand"),
    PauseReason("system", "系统故障", "System fault"),
    PauseReason("meeting", "会议培训", "Meeting"),
)


@value
class Staffing:
    """Attendance at windows (服务规范), and pages (messages to pagers of staff).

    ``pause_unspecified``: a pause without a reason is accepted, for panels with a single pause key; otherwise it is
    refused. ``unmanned_s``: an open window with waiting visitors counts as unmanned when no key was pressed there for
    that long.

    If a clerk needs a commissioner (帮办), each one on duty is paged up to ``page_tries`` times, with ``page_ack_s``
    seconds to answer. Then the duty manager is paged every ``duty_repeat_s`` seconds, at most ``duty_tries`` times,
    until the page is answered or no longer needed. ``guide_above``: a guide (导办), if the hall has any, is paged to an
    area where more people wait (0: never).

    ``helpers_max``: how many people may log in beside the clerk of a window; with 0, whoever logs in replaces the
    clerk. ``helper_percent``: how much faster each helper makes the window, in percent of one clerk's speed.
    """

    pause_reasons: Annotated[
        tuple[PauseReason, ...], Parameter("reasons for which a window may pause", "可选的暂停原因")
    ] = PAUSE_REASONS
    pause_unspecified: Annotated[
        bool, Parameter("whether a pause without a reason is taken", "是否允许不选原因暂停")
    ] = False
    pause_alarm_s: Annotated[
        int, Parameter("seconds of a pause until it is an alarm", "暂停超时告警（秒）", 60, 7200)
    ] = 600
    unmanned_s: Annotated[
        int,
        Parameter(
            "seconds without a key, while visitors wait, until a window is unmanned",
            "有人等候而无操作视为空岗的时间（秒）",
            60,
            3600,
        ),
    ] = 300
    page_ack_s: Annotated[
        int, Parameter("seconds a paged commissioner has to answer", "帮办应答时限（秒）", 15, 600)
    ] = 60
    page_tries: Annotated[
        int,
        Parameter(
            "pages of one commissioner before the duty manager is", "呼叫值班长前每位帮办的呼叫次数", 1, 5
        ),
    ] = 2
    duty_repeat_s: Annotated[
        int,
        Parameter("seconds until the duty manager is paged again", "再次呼叫值班长的间隔（秒）", 60, 3600),
    ] = 300
    duty_tries: Annotated[
        int,
        Parameter("pages of the duty manager about one thing at most", "同一事项呼叫值班长的次数上限", 1, 20),
    ] = 3
    guide_above: Annotated[
        int,
        Parameter(
            "more waiting in an area than this pages a guide", "专区等候人数超过此数时呼叫导办", 0, 500
        ),
    ] = 20
    helpers_max: Annotated[
        int, Parameter("staff beside the clerk of a window", "同一窗口最多增援人数", 0, 3)
    ] = 1
    helper_percent: Annotated[
        int,
        Parameter(
            "percent of a clerk by which each of them makes the window faster",
            "每名增援人员提高的办理速度（百分比）",
            0,
            100,
        ),
    ] = 60
