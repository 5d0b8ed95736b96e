"""Section ``counting``: what people counters are believed, and when too few of those who come hold a number."""

from __future__ import annotations

from typing import Annotated

from edged.core.model.policy.parameter import Parameter
from edged.core.model.value import value


@value
class Counting:
    """People counters against tickets.

    ``people_per_minute``: no door lets through more; a report beyond it is suspect and not used. ``missing_people``
    (0 off): that many came in ``window_s``, and more than ``people_per_ticket`` for each number issued: the dispensers
    are looked after (``tickets-missing``). It is never a reason for a "+1" window.
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
