"""Finds values of a policy that are allowed singly but not together: windows would flap, never open or never close."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields

from edged.central.hours_contradictions import hours_contradictions
from edged.central.refusals import Reason, contradiction
from edged.central.visit_contradictions import visit_contradictions
from edged.core.model.events import CLASSES
from edged.core.model.policy import Cases, Overrides, Policy, Signage, Staffing, Tidal
from edged.core.model.policy.signage import NEEDED, blanks_of

BLANK = re.compile(r"\{([a-z_]*)\}")
NUMBERS_PER_DAY = 999  # of one service: a queue cannot be longer
HOLD_MAX_S = 1800  # the longest that one absent visitor may hold a window, over all calls
CLOSE_SHARE_MAX = 0.6  # of the opening wait; measured: nearer, openings double and most last a few minutes


def contradictions(policy: Policy) -> Iterator[Reason]:
    """Yield a refusal for every combination of values that contradict each other."""
    bands = {"body.tidal.band": policy.tidal.band}
    bands |= {f"body.tidal.areas.{area}": band for area, band in policy.tidal.areas.items()}
    yield from _of_pw(policy.tidal)
    yield from hours_contradictions(policy.hours)
    for path, band in bands.items():
        if band.close_at >= band.open_above:
            yield contradiction(
                f"{path}.close_at",
                f"close_at ({band.close_at}) must be below open_above ({band.open_above}), "
                "or the window would open and close again and again",
                f"收窗人数（{band.close_at}）必须小于启用人数（{band.open_above}），否则窗口会反复开关",
            )
        last = band.open_above + band.open_step * (band.max_windows - 1)
        if last >= NUMBERS_PER_DAY:
            yield contradiction(
                f"{path}.open_step",
                f"window {band.max_windows} would need {last} waiting visitors; a day has {NUMBERS_PER_DAY} numbers",
                f"第 {band.max_windows} 个窗口需要 {last} 人等候，而一天只有 {NUMBERS_PER_DAY} 个号",
            )
    yield from _of_overrides(policy.overrides)
    yield from _of_signage(policy.signage, (*CLASSES, *policy.calling.classes))
    yield from _of_pauses(policy.staffing)
    yield from _of_cases(policy.cases)
    if not policy.ratings.answers:
        yield contradiction("body.ratings.answers", "at least one word is needed", "至少需要一个用语")
    yield from visit_contradictions(policy)
    hold_s = policy.calling.max_calls * policy.calling.call_timeout_s
    if hold_s > HOLD_MAX_S:
        yield contradiction(
            "body.calling.call_timeout_s",
            f"one absent visitor would hold a window for {hold_s} s (max_calls × call_timeout_s); "
            f"at most {HOLD_MAX_S} s are allowed",
            f"一位未到的办事人会占用窗口 {hold_s} 秒（呼叫次数 × 等待时间），最多允许 {HOLD_MAX_S} 秒",
        )


def _of_pw(tidal: Tidal) -> Iterator[Reason]:
    parts = {"body.tidal.pw": tidal.pw} | {f"body.tidal.pw_areas.{a}": pw for a, pw in tidal.pw_areas.items()}
    for path, pw in parts.items():
        if pw.close_wait_s > CLOSE_SHARE_MAX * pw.open_wait_s:
            yield contradiction(
                f"{path}.close_wait_s",
                f"close_wait_s ({pw.close_wait_s}) must be at most 0.6 of open_wait_s ({pw.open_wait_s}), "
                "or the window would open and close again and again",
                f"收窗等候（{pw.close_wait_s}秒）不得超过启用等候（{pw.open_wait_s}秒）的0.6，否则窗口会反复开关",
            )
    for number, peak in enumerate(tidal.peaks):
        for low, high in (
            ("first_day", "last_day"),
            ("first_weekday", "last_weekday"),
            ("start_min", "end_min"),
        ):
            if getattr(peak, low) > getattr(peak, high):
                yield contradiction(
                    f"body.tidal.peaks[{number}].{high}", f"it must not be before {low}", f"不得早于 {low}"
                )


def _of_overrides(overrides: Overrides) -> Iterator[Reason]:
    if overrides.default_s > overrides.longest_s:
        yield contradiction(
            "body.overrides.default_s",
            f"default_s ({overrides.default_s}) must be at most longest_s ({overrides.longest_s})",
            f"默认时长（{overrides.default_s}秒）不得超过最长时长（{overrides.longest_s}秒）",
        )


def _of_pauses(staffing: Staffing) -> Iterator[Reason]:
    path, reasons = "body.staffing.pause_reasons", staffing.pause_reasons
    if not reasons and not staffing.pause_unspecified:
        yield contradiction(
            path, "without a reason to choose no window could pause", "没有可选原因，窗口将无法暂停"
        )
    words = [word for one in reasons for word in dict.fromkeys((one.id, one.text))]
    for word in dict.fromkeys(word for word in words if words.count(word) > 1):
        yield contradiction(path, f'"{word}" stands for two reasons', f"“{word}”对应两个原因")


def _of_signage(signage: Signage, classes: tuple[str, ...]) -> Iterator[Reason]:
    for number, name in enumerate(signage.slow_for):
        if name not in classes:
            known = ", ".join(classes)
            yield contradiction(
                f"body.signage.slow_for[{number}]",
                f'"{name}" is not a priority class; allowed: {known}',
                f"“{name}”不是优先类别；可选：{known}",
            )
    for field in fields(signage.templates):
        yield from _of_template(field.name, getattr(signage.templates, field.name))


def _of_template(name: str, text: str) -> Iterator[Reason]:
    path = f"body.signage.templates.{name}"
    used, allowed = set(BLANK.findall(text)), blanks_of(name)
    shown = ", ".join(f"{{{blank}}}" for blank in sorted(allowed))
    for blank in sorted(used - allowed):
        yield contradiction(
            path,
            f"{{{blank}}} is not a blank of this text; allowed: {shown}",
            f"没有占位符 {{{blank}}}；可选：{shown}",
        )
    if "{" in BLANK.sub("", text) or "}" in BLANK.sub("", text):
        yield contradiction(path, "braces stand only around a blank", "花括号只能用于占位符")
    for blank in sorted(NEEDED.get(name, frozenset()) - used):
        yield contradiction(path, f"this text must say {{{blank}}}", f"此文字必须包含 {{{blank}}}")


def _of_cases(cases: Cases) -> Iterator[Reason]:
    for low, high in (
        ("remind_s", "acknowledge_s"),
        ("close_days", "special_days"),
        ("remind_min", "due_min"),
        ("rate_days", "keep_days"),
        ("reopen_days", "keep_days"),
    ):
        first, last = getattr(cases, low), getattr(cases, high)
        before = low == "remind_min"  # a reminder at the end itself would come too late
        if first > last or (before and first == last):
            words, words_zh = ("must be before", "必须早于") if before else ("must not be above", "不得超过")
            yield contradiction(
                f"body.cases.{low}",
                f"{low} ({first}) {words} {high} ({last})",
                f"{low}（{first}）{words_zh} {high}（{last}）",
            )
    for name in ("codes", "outcomes"):
        if not getattr(cases, name):
            yield contradiction(f"body.cases.{name}", "at least one word is needed", "至少需要一个用语")
    for word in cases.undoable:
        if word not in cases.outcomes:
            yield contradiction(
                "body.cases.undoable", f'"{word}" is none of the outcomes', f"“{word}”不在办结结果用语之内"
            )
