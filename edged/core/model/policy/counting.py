"""Section ``counting``: which reports of people counters are plausible, and when too few visitors hold a ticket."""

from __future__ import annotations

from typing import Annotated

from edged.core.model.policy.parameter import Parameter
from edged.core.model.value import value


@value
class Counting:
    """How reports of people counters are checked, and compared with the tickets issued.

    ``people_per_minute``: more people cannot pass one door, so a report above it is suspect and not used.
    ``tickets-missing`` is an alarm to check the dispensers. It is raised when, within ``window_s`` seconds, at least
    ``missing_people`` people came (0: no alarm) and more than ``people_per_ticket`` for each ticket issued. It never
    opens a "+1" window, because people without tickets cannot be called.
    """

    people_per_minute: Annotated[
        int, Parameter("people a door lets through in a minute at most", "每分钟合理客流上限", 10, 1000)
    ] = 120
    window_s: Annotated[
        int,
        Parameter(
            "seconds over which people and tickets are compared", "客流与取号对比的时段（秒）", 120, 7200
        ),
    ] = 900
    missing_people: Annotated[
        int,
        Parameter(
            "people who came and hardly drew a number, from which on the dispensers are looked after; 0 off",
            "来人多取号少的告警人数（0为关闭）",
            0,
            1000,
        ),
    ] = 30
    people_per_ticket: Annotated[
        int, Parameter("people for each ticket that are usual at most", "每张号票对应的正常人数上限", 1, 20)
    ] = 4
