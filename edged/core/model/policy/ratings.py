"""Section ``ratings``: when a visit may be rated, and what follows a bad rating."""

from __future__ import annotations

from typing import Annotated

from edged.core.model.policy.parameter import Parameter
from edged.core.model.policy.words import Word
from edged.core.model.value import value


@value
class Ratings:
    """When ratings (好差评, levels 1 to 5) may be given, and what follows a bad one. A rating of ``bad_level`` or lower
    pages the duty manager, again every ``remind_s`` seconds until somebody answers it, but at most ``reminders`` more
    times.

    ``answers``: the codes with which staff may answer a bad rating; if none is given, the last one is used.
    """

    within_s: Annotated[
        int,
        Parameter("seconds after a visit in which it may be rated", "办结后可评价的时间（秒）", 30, 86400),
    ] = 600
    bad_level: Annotated[int, Parameter("the best level that counts as bad", "视为差评的最高等级", 1, 3)] = 2
    correct_days: Annotated[
        int, Parameter("days in which a rating may be corrected", "评价可更正的天数", 0, 90)
    ] = 7
    remind_s: Annotated[
        int, Parameter("seconds between reminders of a bad rating", "差评提醒间隔（秒）", 60, 86400)
    ] = 1800
    reminders: Annotated[int, Parameter("reminders of a bad rating at most", "差评提醒次数上限", 0, 20)] = 3
    answers: Annotated[
        tuple[Word, ...], Parameter("words a bad rating may be answered with", "差评处理结果用语")
    ] = ("rectified", "visited", "unfounded", "answered")
