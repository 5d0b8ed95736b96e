"""Section ``calling``: who is called next, how visitors are called, and when arrival or absence is assumed because no
key was pressed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Annotated

from edged.core.model.policy.parameter import Parameter
from edged.core.model.policy.words import AreaId, ServiceId, Text, WindowId, Word
from edged.core.model.value import value


@value
class CallRule:
    """A rule for whom a window calls next. The rules are tried in order, and the first that fits a waiting visitor
    decides. All conditions that are given must hold; a rule without conditions fits every visitor.

    ``windows``: the windows that use the rule (empty: all). ``priorities``: the priority classes that it fits;
    ``returning`` stands for visitors who are back with missing papers. ``min_wait_s``: it fits only visitors who have
    waited at least that long. ``name`` is shown as the reason of a call.
    """

    name: Annotated[Word | None, Parameter("name of the rule in explanations", "规则名称")] = None
    windows: Annotated[
        tuple[WindowId, ...], Parameter("windows where the rule holds; none: all", "适用窗口（空为全部）")
    ] = ()
    areas: Annotated[
        tuple[AreaId, ...], Parameter("areas whose visitors it prefers; none: all", "适用专区（空为全部）")
    ] = ()
    services: Annotated[
        tuple[ServiceId, ...],
        Parameter("services whose visitors it prefers; none: all", "适用业务（空为全部）"),
    ] = ()
    priorities: Annotated[
        tuple[Word, ...], Parameter("classes of visitors it prefers; none: all", "适用人群（空为全部）")
    ] = ()
    min_wait_s: Annotated[
        int, Parameter("seconds a visitor must have waited for it", "适用的最短已等候时间（秒）", 0, 14400)
    ] = 0


@value
class PriorityClass:
    """How visitors of one priority class are called; a value of None means that the general value of section
    ``calling`` applies. With ``needs_reason``, a visitor for whom no reason is given is treated as one without
    priority.
    """

    head_start_s: Annotated[
        int | None,
        Parameter("seconds a visitor of the class is moved ahead", "该类人员的提前量（秒）", 0, 7200),
    ] = None
    streak: Annotated[
        int | None,
        Parameter("visitors of the class called in a row at most", "该类人员连续叫号的上限", 1, 20),
    ] = None
    needs_reason: Annotated[bool, Parameter("whether the class needs a reason", "该类优先是否须注明理由")] = (
        False
    )
    label: Annotated[Text | None, Parameter("the class in Chinese", "人群名称（中文）")] = None
    label_en: Annotated[Text | None, Parameter("the class in English", "人群名称（英文）")] = None


@value
class Calling:
    """In which order, how often and how long visitors are called, and when arrival or absence is assumed.

    At a window with an "arrived" key, a visitor who has not come ``call_timeout_s`` after a call is a no-show. At any
    other, arrival is assumed ``infer_arrival_s`` after the call.

    ``prepare_s`` belongs to calls in two steps: a clerk first reserves the next visitor (key "prepare") and calls them
    later ("announce"). A visitor who is not announced within that many seconds can again be called by any window. 0:
    every call is made in one step.
    """

    max_calls: Annotated[
        int, Parameter("calls before a visitor counts as absent", "过号前的呼叫次数", 1, 10)
    ] = 3
    call_timeout_s: Annotated[
        int, Parameter("seconds a call waits for the visitor", "每次呼叫的等待时间（秒）", 30, 900)
    ] = 180
    revive_within_s: Annotated[
        int,
        Parameter("seconds in which an absent visitor may come back", "过号后可恢复的时限（秒）", 0, 14400),
    ] = 1800
    infer_arrival_s: Annotated[
        int, Parameter("seconds after a call until arrival is assumed", "呼叫后推定到窗的时间（秒）", 0, 300)
    ] = 20
    double_press_ms: Annotated[
        int, Parameter("milliseconds in which two presses are one", "视为同一次按键的间隔（毫秒）", 0, 2000)
    ] = 300
    priority_streak: Annotated[
        int, Parameter("priority visitors called in a row at most", "连续优先叫号的上限", 1, 20)
    ] = 3
    priority_head_start_s: Annotated[
        int, Parameter("seconds a priority visitor is moved ahead", "优先人员提前量（秒）", 0, 7200)
    ] = 900
    return_head_start_s: Annotated[
        int,
        Parameter(
            "seconds a visitor who is back with missing papers is moved ahead",
            "补齐材料返回者的提前量（秒）",
            0,
            14400,
        ),
    ] = 7200
    classes: Annotated[
        Mapping[Word, PriorityClass],
        Parameter("priority classes that differ from the others", "各类优先人员的单独规则"),
    ] = field(default_factory=dict)
    rules: Annotated[
        tuple[CallRule, ...],
        Parameter(
            "whom windows prefer; the first rule that fits counts", "叫号规则（按顺序，首条符合者生效）"
        ),
    ] = ()
    last_calls: Annotated[int, Parameter("last calls kept on a display", "屏幕保留的最近叫号数", 1, 8)] = 4
    prepare_s: Annotated[
        int,
        Parameter("seconds a prepared visitor is kept for the window", "预备叫号的保留时间（秒）", 0, 900),
    ] = 120
