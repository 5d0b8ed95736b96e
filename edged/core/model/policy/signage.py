"""Section ``signage``: what loudspeakers say and boards show, in the words of the hall.

A template may use the blanks that ``BLANKS`` names for it, as ``{number}``; ``{area}`` and ``{service}`` are names. One
with another blank is refused when a policy arrives. A text and its ``_en`` twin are two texts: where a board is too
narrow for both, Chinese stays.
"""

from __future__ import annotations

from collections.abc import Mapping

from edged.core.model.policy.words import Text, Word
from edged.core.model.value import value


@value
class Templates:
    """Every text that visitors read or hear in the ordinary run of a day.

    ``quick`` stands over an opened "+1" window in place of ``window``, ``lent`` over a window that helps another area.
    """

    call: Text = "请{number}号到{window}号窗口"
    call_en: Text = "Ticket {number}, window {window}"
    window: Text = "{window}号窗口"
    window_en: Text = "Window {window}"
    quick: Text = "{window}号窗口 潮汐快速通道 {area}"
    quick_en: Text = "Quick lane {area}"
    lent: Text = "{window}号窗口 支援{area}"
    lent_en: Text = "Helping {area}"
    called: Text = "请{number}号"
    called_en: Text = "Please come"
    serving: Text = "{number}号办理中"
    serving_en: Text = "Serving"
    open: Text = "请取号等候"
    open_en: Text = "Open"
    closed: Text = "暂未开放"
    closed_en: Text = "Closed"
    paused: Text = "暂停服务"
    paused_en: Text = "Paused"
    standby: Text = "业务咨询"
    standby_en: Text = "Enquiries"
    activating: Text = "即将开放"
    activating_en: Text = "Opening"
    area: Text = "{area} 等候{waiting}人"
    area_en: Text = "{waiting} waiting"
    estimate: Text = "约{low}-{high}分钟"
    estimate_en: Text = "{low}-{high} min"
    stale: Text = "{area} 等候信息更新中"
    stale_en: Text = "Updating"
    last_call: Text = "{number}→{window}号窗口"
    next: Text = "下一位{numbers}"
    next_en: Text = "next {numbers}"


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
NEEDED: Mapping[str, frozenset[str]] = {  # a call that does not say who, or where to, is none
    "call": frozenset({"number", "window"}),
    "call_en": frozenset({"number", "window"}),
    "called": frozenset({"number"}),
    "last_call": frozenset({"number"}),
}


def blanks_of(name: str) -> frozenset[str]:
    """The blanks that a template may use; its English twin may use the same."""
    return BLANKS[name.removesuffix("_en")]


def fill(template: str, **words: str | int) -> str:
    """``template`` with its blanks filled in; braces that are no blank stay as they are."""
    for blank, word in words.items():
        template = template.replace(f"{{{blank}}}", str(word))
    return template


@value
class Signage:
    """Loudspeakers and boards.

    A loudspeaker says one thing after the other, ``dwell_s`` apart at least, each call ``times`` times; calls of the
    classes in ``slow_for`` slowly, ``slow_times`` times and ``slow_dwell_s`` apart. What waited longer than
    ``say_within_s``, or whose visitor came meanwhile, is not said any more; ``queue`` is how much may wait.
    ``next_numbers`` are shown per area on the hall's boards.
    """

    templates: Templates = Templates()
    times: int = 1
    dwell_s: int = 4
    slow_for: tuple[Word, ...] = ("elderly", "disabled")
    slow_times: int = 2
    slow_dwell_s: int = 8
    say_within_s: int = 60
    queue: int = 12
    next_numbers: int = 2


BOUNDS: Mapping[str, tuple[int, int]] = {
    "Signage.times": (1, 3),
    "Signage.dwell_s": (0, 30),
    "Signage.slow_times": (1, 3),
    "Signage.slow_dwell_s": (0, 30),
    "Signage.say_within_s": (15, 300),
    "Signage.queue": (1, 50),
    "Signage.next_numbers": (0, 5),
}
