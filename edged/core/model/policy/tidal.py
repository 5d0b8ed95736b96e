"""Section ``tidal``: when "+1" windows open and close, what may ask for one, and the limits of granting."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Annotated, Literal

from edged.core.model.policy.parameter import Parameter
from edged.core.model.policy.words import AreaId, ServiceId
from edged.core.model.value import value


@value
class Band:
    """Rule "band": when an area asks for a "+1" window and when it gives one back, by the number of visitors who wait
    and can be called. The two limits differ (hysteresis), so that lamps do not flap.

    Open: ``waiting > open_above + open_step * n``, where ``n`` counts the "+1" windows that the area has or has asked
    for; or the longest-waiting visitor has waited ``open_oldest_wait_s``. Either must last ``open_sustain_s``, and the
    last opening must be ``cooldown_s`` ago. Close: ``waiting <= close_at`` for ``close_sustain_s``, while nothing asks
    for a window, and ``min_open_s`` after the area's last opening at the earliest.
    """

    open_above: Annotated[
        int, Parameter('waiting visitors above which a "+1" window opens', "启用潮汐窗口的等候人数", 1, 200)
    ] = 8
    open_step: Annotated[
        int,
        Parameter(
            "further waiting visitors for each further window", "每再启用一个窗口所增加的等候人数", 0, 100
        ),
    ] = 4
    open_oldest_wait_s: Annotated[
        int,
        Parameter("longest wait in seconds that opens a window", "启用潮汐窗口的最长等候（秒）", 60, 7200),
    ] = 1800
    open_sustain_s: Annotated[
        int, Parameter("seconds the demand must last before opening", "启用前须持续的时间（秒）", 0, 600)
    ] = 0
    close_at: Annotated[
        int, Parameter("waiting visitors at or below which a window is given back", "收窗的等候人数", 0, 100)
    ] = 2
    close_sustain_s: Annotated[
        int, Parameter("seconds of calm before a window is given back", "收窗前须平稳的时间（秒）", 0, 600)
    ] = 180
    min_open_s: Annotated[
        int, Parameter("seconds a window stays open at least", "潮汐窗口最短启用时间（秒）", 300, 3600)
    ] = 900
    cooldown_s: Annotated[
        int, Parameter("seconds between two openings of one area", "同一专区两次启用的间隔（秒）", 60, 600)
    ] = 60
    max_windows: Annotated[int, Parameter('"+1" windows of one area', "一个专区的潮汐窗口上限", 1, 50)] = 4


@value
class Pw:
    """Rule "pw": when "+1" windows open and close, by the predicted wait of somebody who comes now. Evaluated every 30
    s.

    Open: the predicted wait is at least ``open_wait_s``, and at least ``min_waiting`` people wait. The prediction
    already counts windows for which a clerk is on the way. The minimum keeps staff from being called away for one or
    two visitors (measured: edged/backtest/RESULTS.md). Close: the predicted wait with one window fewer is at most
    ``close_wait_s`` for ``hold_s``, and the area last asked for a window at least ``min_open_s`` ago. With
    ``forecast``, a window also stays open if the next 10 min bring work for it.

    ``forecast``: predict for the time at which a window asked for now would be ready (at least 8 min ahead), with the
    expected arrivals. ``profile``: area -> expected arrivals per 15 min, from ``profile_start_min`` (minutes after
    midnight) on; without a profile, arrivals are assumed to be steady. ``typed``: each waiting ticket counts with the
    mean time of its own service. ``mix``: service -> share of all visitors; without it, shares follow from the tickets
    issued.

    ``guard``: open no window in the last 10 min before closing time (section ``hours``), unless the predicted wait is
    20 min or longer. ``lost_finish_means``: a visitor who has been at a window for more than this many mean service
    times is assumed to have left (0: never). ``outlier_means``: a service that took longer than this many times the
    configured time is learnt as that much (0: as measured).
    """

    target_wait_s: Annotated[
        int, Parameter("wait in seconds that is promised", "目标等候（秒）", 300, 1800)
    ] = 600
    open_wait_s: Annotated[
        int,
        Parameter("predicted wait in seconds that opens a window", "启用潮汐窗口的预计等候（秒）", 120, 2700),
    ] = 540
    close_wait_s: Annotated[
        int,
        Parameter(
            "predicted wait with one window fewer that gives one back", "收窗的预计等候（秒）", 0, 1620
        ),
    ] = 90
    hold_s: Annotated[
        int,
        Parameter(
            "seconds that must stay so before a window is given back", "收窗前须持续的时间（秒）", 0, 600
        ),
    ] = 0
    min_open_s: Annotated[
        int,
        Parameter(
            "seconds from the area's last request until a window is given back",
            "潮汐窗口最短启用时间（秒）",
            300,
            3600,
        ),
    ] = 600
    min_waiting: Annotated[
        int, Parameter("waiting visitors below which no window opens", "启用所需的最少等候人数", 0, 20)
    ] = 3
    cooldown_s: Annotated[
        int, Parameter("seconds between two openings of one area", "同一专区两次启用的间隔（秒）", 60, 600)
    ] = 60
    rest_s: Annotated[
        int, Parameter("seconds a window rests after it was given back", "收窗后的休整时间（秒）", 0, 600)
    ] = 0
    max_windows: Annotated[int, Parameter('"+1" windows of one area', "一个专区的潮汐窗口上限", 1, 50)] = 50
    prior_weight: Annotated[
        int,
        Parameter(
            "visits that the configured service time counts for", "预设办理时长的权重（人次）", 1, 1000
        ),
    ] = 20
    decay_ppm: Annotated[
        int,
        Parameter(
            "weight of older visits per newer one, in millionths",
            "旧样本保留比例（百万分之一）",
            900_000,
            999_999,
        ),
    ] = 985_000
    typed: Annotated[
        bool, Parameter("whether each ticket counts with its own service's time", "是否按业务类型估算")
    ] = True
    forecast: Annotated[bool, Parameter("whether expected arrivals are looked ahead", "是否预测来客")] = True
    setup_s: Annotated[
        int,
        Parameter(
            "seconds from page to staffed window, until learnt", "从呼叫到到岗的预设时间（秒）", 10, 1800
        ),
    ] = 120
    guard: Annotated[
        bool, Parameter("whether openings shortly before closing time are avoided", "是否避免临近下班启用")
    ] = True
    withdraw: Annotated[
        bool, Parameter("whether a lit window goes dark when nobody waits", "无人等候时是否撤回请求")
    ] = True
    lost_finish_means: Annotated[
        int,
        Parameter("mean services after which a visitor counts as gone", "视为已离开的平均办理倍数", 0, 50),
    ] = 6
    outlier_means: Annotated[
        int, Parameter("mean services that one visit counts for at most", "单次办理计入的最大倍数", 0, 50)
    ] = 8
    mix: Annotated[
        Mapping[ServiceId, float], Parameter("share of visitors per service", "各业务来客占比", 0, 1)
    ] = field(default_factory=dict)
    profile: Annotated[
        Mapping[AreaId, tuple[float, ...]],
        Parameter("expected arrivals per quarter of an hour, per area", "各专区每15分钟预计来客", 0, 1000),
    ] = field(default_factory=dict)
    profile_start_min: Annotated[
        int,
        Parameter("start of the profile, minutes after midnight", "预计来客起始时间（零点起分钟）", 0, 1439),
    ] = 540


SHORTER_WAITS = Pw(
    open_wait_s=420
)  # a named alternative: windows open two minutes sooner, for more staff time
REFERENCE_PW = Pw(
    open_wait_s=600,
    close_wait_s=180,
    hold_s=180,
    min_open_s=900,
    min_waiting=0,
    typed=False,
    forecast=False,
    guard=False,
    withdraw=False,
    lost_finish_means=0,
    outlier_means=0,
)


@value
class Peak:
    """A rush that is known in advance, during which ``windows`` "+1" windows are wanted. It counts for rule "schedule",
    and for other rules while sensors are lost (``Arbiter.stale_schedule_s``).

    It applies on days that lie in both ranges (of the month and of the week, 1 Monday to 7 Sunday; last days included),
    from ``start_min`` until before ``end_min``, in minutes after midnight. Where several apply, the largest number
    counts.
    """

    windows: Annotated[int, Parameter('"+1" windows during the peak', "高峰期潮汐窗口数", 1, 50)] = 1
    first_day: Annotated[int, Parameter("first day of the month", "起始日", 1, 31)] = 1
    last_day: Annotated[int, Parameter("last day of the month", "结束日", 1, 31)] = 31
    first_weekday: Annotated[int, Parameter("first weekday, 1 is Monday", "起始星期（1为周一）", 1, 7)] = 1
    last_weekday: Annotated[int, Parameter("last weekday, 7 is Sunday", "结束星期（7为周日）", 1, 7)] = 7
    start_min: Annotated[
        int, Parameter("start, minutes after midnight", "开始时间（零点起分钟）", 0, 1440)
    ] = 540
    end_min: Annotated[int, Parameter("end, minutes after midnight", "结束时间（零点起分钟）", 0, 1440)] = (
        1020
    )
    areas: Annotated[
        tuple[AreaId, ...], Parameter("areas it is for; none named: all", "适用专区（空为全部）")
    ] = ()


@value
class Triggers:
    """What may ask for a "+1" window besides the tidal rule; 0 switches a trigger off. The arbiter decides whether a
    request is granted. Only the rule gives windows back.

    ``waiting_above`` asks when more visitors wait and no wait is predicted: nobody serves yet, or the rule is
    "schedule", for which ``waiting_per_window`` has no effect.
    ``waiting_per_window`` asks when more visitors wait for each window that serves. ``people_above`` asks, for the area
    where most visitors wait, when people counters report more people present in the hall. ``hold_s``: how many seconds
    a request by key or order stays valid while no window has been opened for it (longer while somebody is on the way).
    Rule "band" has its own limits in place of ``waiting_above``, ``waiting_per_window`` and ``oldest_wait_s``.
    """

    waiting_above: Annotated[
        int,
        Parameter(
            "waiting visitors that ask while no wait can be predicted; 0 off",
            "无法预测等候时触发的等候人数（0为关闭）",
            0,
            200,
        ),
    ] = 8
    waiting_per_window: Annotated[
        int, Parameter("waiting visitors per window that ask; 0 off", "每窗口等候人数触发（0为关闭）", 0, 100)
    ] = 10
    oldest_wait_s: Annotated[
        int, Parameter("longest wait in seconds that asks; 0 off", "最长等候触发（秒，0为关闭）", 0, 7200)
    ] = 1800
    priority_wait_s: Annotated[
        int,
        Parameter("wait of a priority visitor that asks; 0 off", "优先人员等候触发（秒，0为关闭）", 0, 7200),
    ] = 900
    people_above: Annotated[
        int, Parameter("people present above which an area asks; 0 off", "在场人数触发（0为关闭）", 0, 10000)
    ] = 0
    special_need: Annotated[bool, Parameter("whether the special-need key asks", "特殊需求键是否触发")] = True
    hold_s: Annotated[
        int, Parameter("seconds an ask by hand stands", "增开窗口申请的有效时间（秒）", 30, 3600)
    ] = 1800


@value
class Arbiter:
    """Limits for sharing "+1" windows and staff when areas compete; with rules "pw" and "pwf" only.

    ``release_*``: when a quiet area gives a "+1" window back early, because a busy area needs one. If none does, up to
    ``lend_windows`` regular windows of a quiet area may be lent: for at most ``lend_s`` they call the busy area's
    visitors before their own. A lent window returns sooner if the predicted wait of its own area exceeds
    ``release_percent`` of that area's opening wait.

    ``stale_*`` hold for rule "band", too: what happens when an area's dispenser, or all panels of its working windows,
    have been lost for so long. After ``stale_hold_s`` the rule neither opens nor closes windows; after
    ``stale_schedule_s`` the known rushes (``peaks``) decide, if there are any.
    """

    early_release: Annotated[
        bool, Parameter("whether a quiet area gives back early for a busy one", "是否允许提前收窗支援")
    ] = True
    release_percent: Annotated[
        int,
        Parameter(
            "predicted wait up to which an area gives back early, in % of its opening wait",
            "提前收窗的预计等候上限（占启用等候的百分比）",
            0,
            100,
        ),
    ] = 60
    release_after_s: Annotated[
        int, Parameter("seconds a window stays open before that", "提前收窗前最短启用时间（秒）", 300, 3600)
    ] = 480
    releases_per_hour: Annotated[
        int, Parameter("early releases of one area in an hour at most", "每小时提前收窗上限", 0, 60)
    ] = 4
    lend_windows: Annotated[
        int,
        Parameter(
            "regular windows of an area lent at once; 0 off", "同时借出的常规窗口上限（0为关闭）", 0, 10
        ),
    ] = 1
    lend_keep: Annotated[
        int, Parameter("windows that stay with the lending area", "出借专区须保留的窗口数", 1, 50)
    ] = 1
    lend_s: Annotated[int, Parameter("seconds a window is lent at most", "借出时限（秒）", 300, 7200)] = 1200
    stale_hold_s: Annotated[
        int,
        Parameter(
            "seconds without a sensor until nothing is decided", "传感失联后停止决策的时间（秒）", 60, 3600
        ),
    ] = 300
    stale_schedule_s: Annotated[
        int,
        Parameter(
            "seconds without a sensor until the calendar decides", "传感失联后按日历的时间（秒）", 120, 7200
        ),
    ] = 900


Rule = Literal["pw", "pwf", "band", "schedule", "always", "never"]


@value
class Tidal:
    """The tidal loop: the rule that opens and closes "+1" windows, and its limits: ``band`` for rule
    "band" (numbers of waiting visitors), ``pw`` for rules "pw" and "pwf" (predicted waits). ``areas`` and ``pw_areas``
    replace them for single areas. ``pool``: how many "+1" windows may be in use at
    once in the hall (asked for, open or draining).

    ``patience_s`` concerns "+1" windows at which a clerk gives general advice meanwhile (consultation windows): how
    long that clerk has to answer when the window is wanted, and after how long one who answered "later" is asked again.
    """

    enabled: Annotated[bool, Parameter("whether the tidal loop runs", "是否启用潮汐窗口")] = True
    band: Band = Band()
    areas: Mapping[AreaId, Band] = field(default_factory=dict)
    pool: Annotated[
        int, Parameter('"+1" windows open at once in the whole hall', "全大厅同时启用的潮汐窗口上限", 1, 100)
    ] = 8
    staff_ack_s: Annotated[
        int, Parameter("seconds a paged member of staff has to answer", "待命人员应答时限（秒）", 15, 600)
    ] = 60
    staff_arrive_s: Annotated[
        int, Parameter("seconds an answering member of staff has to arrive", "应答后到岗时限（秒）", 30, 1800)
    ] = 300
    retry_s: Annotated[
        int,
        Parameter(
            "seconds until the next attempt after nobody answered", "无人应答后再次尝试间隔（秒）", 30, 3600
        ),
    ] = 180
    patience_s: Annotated[
        int,
        Parameter(
            "seconds a consultation window may take to answer, and until it is asked again",
            "咨询窗口应答及再次征询的间隔（秒）",
            30,
            900,
        ),
    ] = 120
    rule: Annotated[Rule, Parameter("the rule that opens and closes windows", "潮汐规则")] = "pw"
    pw: Pw = field(default_factory=Pw)
    pw_areas: Mapping[AreaId, Pw] = field(default_factory=dict)
    peaks: Annotated[tuple[Peak, ...], Parameter("known rushes of the calendar", "日历高峰")] = ()
    triggers: Triggers = Triggers()
    arbiter: Arbiter = Arbiter()
