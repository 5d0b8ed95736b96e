"""Section ``trial``: when a newly pushed policy has made waits worse, so that the previous one is put back in force."""

from __future__ import annotations

from typing import Annotated

from edged.core.model.policy.parameter import Parameter
from edged.core.model.value import value


@value
class Trial:
    """The trial of a new policy (试行). The values of the policy in force judge the *next* one, never the policy that
    contains them, so that a policy cannot loosen its own trial.

    The new policy is judged by how long the waiting visitors have waited on average. That is too long while at least
    ``min_waiting`` people wait and their average reaches ``worse_percent`` of the expected time. Expected is the
    largest of three: ``floor_s``, the average when the policy came, and the highest average recorded at this time of
    other days. Below ``tidal.pw.target_wait_s`` it is never too long.

    The previous policy returns if it is too long for ``worse_min`` minutes without a break, within the first
    ``watch_min`` minutes of opening time, and no rush explains it (``core/trial.py``).
    """

    enabled: Annotated[
        bool,
        Parameter("whether a policy that makes waits worse is taken back", "策略恶化时是否自动恢复上一版"),
    ] = True
    worse_percent: Annotated[
        int,
        Parameter(
            "how old the queue may get, in percent of what was expected", "等候变差的判定比例（%）", 120, 1000
        ),
    ] = 200
    worse_min: Annotated[
        int,
        Parameter(
            "minutes of a too old queue until the policy goes", "持续变差多少分钟后恢复（分钟）", 2, 120
        ),
    ] = 10
    floor_s: Annotated[
        int,
        Parameter("mean wait in seconds that is expected at least", "平均已等候的预期下限（秒）", 60, 3600),
    ] = 300
    min_waiting: Annotated[
        int, Parameter("people waiting below which nothing is judged", "判定所需的最少等候人数", 1, 200)
    ] = 5
    watch_min: Annotated[
        int,
        Parameter(
            "minutes of opening time in which a new policy is watched", "新策略的观察时长（分钟）", 10, 2880
        ),
    ] = 120
