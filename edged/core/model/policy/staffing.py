"""Section ``staffing``: pauses, empty seats, and how somebody who is paged is found."""

from __future__ import annotations

from collections.abc import Mapping

from edged.core.model.policy.words import Text, Word
from edged.core.model.value import value


@value
class PauseReason:
    """One reason for which a window may pause. A panel sends its ``id`` or its ``text``."""

    id: Word
    text: Text
    text_en: Text


PAUSE_REASONS = (
    PauseReason("meal", "用餐", "Meal"),
    PauseReason("rest", "短暂休息", "Short break"),
    PauseReason("errand", "内部流转", "Errand"),
    PauseReason("system", "系统故障", "System fault"),
    PauseReason("meeting", "会议培训", "Meeting"),
)


@value
class Staffing:
    """Attendance (服务规范) and pages.

    ``pause_unspecified``: a pause without a reason is taken (panels that have one pause key), not refused.
    ``unmanned_s``: an open window whose visitors wait is unmanned after so long without a key.
    ``page_tries``: a commissioner (帮办) is paged so often, ``page_ack_s`` apart, before the duty manager is; who is
    paged again every ``duty_repeat_s``, ``duty_tries`` times in all, until they answer or it is over.
    ``guide_above``: a guide (导办) is paged to an area where more wait, where the hall has guides (0: never).
    ``helpers_max``: how many may log in beside the clerk of a window; 0: whoever logs in takes the clerk's place.
    ``helper_percent``: by how much of one clerk each makes the window faster.
    """

    pause_reasons: tuple[PauseReason, ...] = PAUSE_REASONS
    pause_unspecified: bool = False
    pause_alarm_s: int = 600
    unmanned_s: int = 300
    page_ack_s: int = 60
    page_tries: int = 2
    duty_repeat_s: int = 300
    duty_tries: int = 3
    guide_above: int = 20
    helpers_max: int = 1
    helper_percent: int = 60


BOUNDS: Mapping[str, tuple[int, int]] = {
    "Staffing.pause_alarm_s": (60, 7200),
    "Staffing.unmanned_s": (60, 3600),
    "Staffing.page_ack_s": (15, 600),
    "Staffing.page_tries": (1, 5),
    "Staffing.duty_repeat_s": (60, 3600),
    "Staffing.duty_tries": (1, 20),
    "Staffing.guide_above": (0, 500),
    "Staffing.helpers_max": (0, 3),
    "Staffing.helper_percent": (0, 100),
}
