"""Section ``signage``: what loudspeakers say and boards show, in the hall's own words.

A template is a text with blanks such as ``{number}``, which are filled in; ``{area}`` and ``{service}`` become names.
``BLANKS`` lists the blanks of each template, and a policy that uses any other is refused. A text and its English
counterpart (``…_en``) are shown together; where a board is too narrow for both, only the Chinese one is shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from edged.core.model.policy.parameter import Parameter
from edged.core.model.policy.words import Text, Word
from edged.core.model.value import value


@value
class Templates:
    """Every text that visitors read or hear on an ordinary day.

    ``window`` is the title on a window's board. ``quick`` replaces it for an opened "+1" window, ``lent`` for a regular
    window that helps another area.
    """

    call: Annotated[Text, Parameter("text: spoken call, Chinese", "文字：语音叫号（中文）")] = (
        "请{number}号到{window}号窗口"
    )
    call_en: Annotated[Text, Parameter("text: spoken call, English", "文字：语音叫号（英文）")] = (
        "Ticket {number}, window {window}"
    )
    window: Annotated[
        Text, Parameter("text: title of a window's board, Chinese", "文字：窗口屏标题（中文）")
    ] = "{window}号窗口"
    window_en: Annotated[
        Text, Parameter("text: title of a window's board, English", "文字：窗口屏标题（英文）")
    ] = "Window {window}"
    quick: Annotated[
        Text, Parameter("text: title over an opened +1 window, Chinese", "文字：潮汐窗口开放时的标题（中文）")
    ] = "{window}号窗口 潮汐快速通道 {area}"
    quick_en: Annotated[
        Text, Parameter("text: title over an opened +1 window, English", "文字：潮汐窗口开放时的标题（英文）")
    ] = "Quick lane {area}"
    lent: Annotated[
        Text,
        Parameter(
            "text: title over a window that helps another area, Chinese",
            "文字：支援其他专区的窗口标题（中文）",
        ),
    ] = "{window}号窗口 支援{area}"
    lent_en: Annotated[
        Text,
        Parameter(
            "text: title over a window that helps another area, English",
            "文字：支援其他专区的窗口标题（英文）",
        ),
    ] = "Helping {area}"
    called: Annotated[
        Text, Parameter("text: window's board while calling, Chinese", "文字：窗口屏：叫号（中文）")
    ] = "请{number}号"
    called_en: Annotated[
        Text, Parameter("text: window's board while calling, English", "文字：窗口屏：叫号（英文）")
    ] = "Please come"
    serving: Annotated[
        Text, Parameter("text: window's board while serving, Chinese", "文字：窗口屏：办理中（中文）")
    ] = "{number}号办理中"
    serving_en: Annotated[
        Text, Parameter("text: window's board while serving, English", "文字：窗口屏：办理中（英文）")
    ] = "Serving"
    open: Annotated[
        Text, Parameter("text: board of a free window, Chinese", "文字：窗口屏：空闲（中文）")
    ] = "请取号等候"
    open_en: Annotated[
        Text, Parameter("text: board of a free window, English", "文字：窗口屏：空闲（英文）")
    ] = "Open"
    closed: Annotated[
        Text, Parameter("text: board of a closed window, Chinese", "文字：窗口屏：关闭（中文）")
    ] = "暂未开放"
    closed_en: Annotated[
        Text, Parameter("text: board of a closed window, English", "文字：窗口屏：关闭（英文）")
    ] = "Closed"
    paused: Annotated[
        Text, Parameter("text: board of a paused window, Chinese", "文字：窗口屏：暂停（中文）")
    ] = "暂停服务"
    paused_en: Annotated[
        Text, Parameter("text: board of a paused window, English", "文字：窗口屏：暂停（英文）")
    ] = "Paused"
    standby: Annotated[
        Text, Parameter("text: board of a window at rest, Chinese", "文字：窗口屏：待命（中文）")
    ] = "业务咨询"
    standby_en: Annotated[
        Text, Parameter("text: board of a window at rest, English", "文字：窗口屏：待命（英文）")
    ] = "Enquiries"
    activating: Annotated[
        Text,
        Parameter("text: board of a window that is being staffed, Chinese", "文字：窗口屏：即将开放（中文）"),
    ] = "即将开放"
    activating_en: Annotated[
        Text,
        Parameter("text: board of a window that is being staffed, English", "文字：窗口屏：即将开放（英文）"),
    ] = "Opening"
    area: Annotated[
        Text, Parameter("text: an area's board: who waits, Chinese", "文字：专区屏：等候人数（中文）")
    ] = "{area} 等候{waiting}人"
    area_en: Annotated[
        Text, Parameter("text: an area's board: who waits, English", "文字：专区屏：等候人数（英文）")
    ] = "{waiting} waiting"
    estimate: Annotated[
        Text, Parameter("text: predicted wait on boards, Chinese", "文字：预计等候（中文）")
    ] = "约{low}-{high}分钟"
    estimate_en: Annotated[
        Text, Parameter("text: predicted wait on boards, English", "文字：预计等候（英文）")
    ] = "{low}-{high} min"
    stale: Annotated[
        Text,
        Parameter(
            "text: an area's board while its numbers are too old, Chinese", "文字：专区屏：数据过时（中文）"
        ),
    ] = "{area} 等候信息更新中"
    stale_en: Annotated[
        Text,
        Parameter(
            "text: an area's board while its numbers are too old, English", "文字：专区屏：数据过时（英文）"
        ),
    ] = "Updating"
    last_call: Annotated[
        Text, Parameter("text: one of the last calls, Chinese", "文字：最近叫号（中文）")
    ] = "{number}→{window}号窗口"
    next: Annotated[
        Text, Parameter("text: next numbers on the hall's boards, Chinese", "文字：大厅屏：下一位（中文）")
    ] = "下一位{numbers}"
    next_en: Annotated[
        Text, Parameter("text: next numbers on the hall's boards, English", "文字：大厅屏：下一位（英文）")
    ] = "next {numbers}"


BLANKS: Mapping[str, frozenset[str]] = {
    "call": frozenset({"number", "window", "area", "service"}),
    "window": frozenset({"window", "area", "service"}),
    "quick": frozenset({"window", "area", "service"}),
    "lent": frozenset({"window", "area", "service"}),
    "called": frozenset({"number", "window", "area", "service"}),
    "serving": frozenset({"number", "window", "area", "service"}),
    "open": frozenset({"window", "area", "service"}),
    "closed": frozenset({"window", "area", "service"}),
    "paused": frozenset({"window", "reason", "area", "service"}),
    "standby": frozenset({"window", "area", "service"}),
    "activating": frozenset({"window", "area", "service"}),
    "area": frozenset({"area", "waiting"}),
    "estimate": frozenset({"low", "high"}),
    "stale": frozenset({"area"}),
    "last_call": frozenset({"number", "window"}),
    "next": frozenset({"numbers"}),
}
NEEDED: Mapping[str, frozenset[str]] = {  # a call must name the visitor and the window
    "call": frozenset({"number", "window"}),
    "call_en": frozenset({"number", "window"}),
    "called": frozenset({"number"}),
    "last_call": frozenset({"number"}),
}


def blanks_of(name: str) -> frozenset[str]:
    """Return the names of the blanks that the template ``name`` may use. The English counterpart ``…_en`` may use the
    same ones.
    """
    return BLANKS[name.removesuffix("_en")]


def fill(template: str, **words: str | int) -> str:
    """Fill in the blanks of ``template``; all other braces stay as they are."""
    for blank, word in words.items():
        template = template.replace(f"{{{blank}}}", str(word))
    return template


@value
class Signage:
    """How loudspeakers speak, and what boards show.

    A loudspeaker plays one announcement at a time, with ``dwell_s`` seconds or more between the starts of two, and
    plays each call ``times`` times. For visitors of the priority classes ``slow_for`` it speaks slowly, ``slow_times``
    times, at intervals of ``slow_dwell_s``. A call is dropped when it has waited longer than ``say_within_s``, or when
    its visitor has arrived. ``queue``: how many announcements may wait for a loudspeaker. ``next_numbers``: how many of
    the next ticket numbers the hall's boards show for each area.
    """

    templates: Templates = Templates()
    times: Annotated[int, Parameter("how often a call is said", "每次叫号的播报遍数", 1, 3)] = 1
    dwell_s: Annotated[
        int,
        Parameter("seconds between two announcements of a loudspeaker", "两次播报的最短间隔（秒）", 0, 30),
    ] = 4
    slow_for: Annotated[
        tuple[Word, ...], Parameter("priority classes that are called slowly", "慢速播报的优先类别")
    ] = ("elderly", "disabled")
    slow_times: Annotated[int, Parameter("how often a slow call is said", "慢速叫号的播报遍数", 1, 3)] = 2
    slow_dwell_s: Annotated[
        int,
        Parameter(
            "seconds between the starts of slow announcements", "慢速播报的间隔（秒，从开始算起）", 0, 30
        ),
    ] = 8
    say_within_s: Annotated[
        int, Parameter("seconds after which a call is not said any more", "超过此时间不再播报（秒）", 15, 300)
    ] = 60
    queue: Annotated[
        int, Parameter("announcements that may wait for a loudspeaker", "单个扬声器的排队上限", 1, 50)
    ] = 12
    next_numbers: Annotated[
        int,
        Parameter("next numbers shown per area on the hall's boards", "大厅屏每个专区显示的下一位数量", 0, 5),
    ] = 2
