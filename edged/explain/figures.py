"""Puts the figures of a decision into words, Chinese and English: measured values, limits, and the people and windows
named.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from edged.core.model.names import staff_meant
from edged.core.model.site import Site
from edged.core.people.alarms import NO_STAFF
from edged.explain.sentences import Fact, area_name, duration, number
from edged.explain.words import OVERRIDES, TRIGGERS, Pair

DECIDED: dict[str, Pair] = {
    "open": ("启用", "OPEN"),
    "hold": ("暂不变动", "HOLD"),
    "close": ("收窗", "CLOSE"),
    "refuse": ("未启用", "REFUSE"),
    "escalate": ("通知值班长", "ESCALATE"),
    "ask": ("申请增开", "ASK"),
    "lend": ("借出窗口", "LEND"),
    "return": ("归还窗口", "RETURN"),
    "override": ("人工干预", "OVERRIDE"),
    "put-back": ("恢复策略", "PUT-BACK"),
}
FIGURES: dict[str, Pair] = {
    "already_open": ("本区已启用{fact}个", "{fact} open here"),
    "asker": ("让给{fact}", "given to {fact}"),
    "back_to": ("恢复到第{fact}版策略", "back to policy version {fact}"),
    "because": ("{fact}", "{fact}"),
    "before_s": ("生效时平均已等候{fact}", "{fact} when it came"),
    "blind_s": ("已{fact}没有新数据", "no news for {fact}"),
    "busy": ("其中{fact}个正在办理", "{fact} of them busy"),
    "by": ("由{fact}", "by {fact}"),
    "close_at": ("降到{fact}人收窗", "closes at {fact} waiting"),
    "close_limit_s": ("收窗标准{fact}", "closes at {fact}"),
    "close_sustain_s": ("平稳{fact}后收窗", "closes after {fact} of calm"),
    "closes_in_s": ("距下班{fact}", "closes in {fact}"),
    "decides": ("{fact}", "{fact}"),
    "donors": ("借出窗口的专区：{fact}", "areas that lend: {fact}"),
    "expected_arrivals": ("到岗前预计再来{fact}人", "{fact} more expected before somebody could be there"),
    "for_s": ("时长{fact}", "for {fact}"),
    "hold_s": ("持续{fact}后收窗", "closes after {fact}"),
    "left_s": ("还差{fact}", "{fact} left"),
    "limit_s": ("启用标准{fact}", "limit {fact}"),
    "max_windows": ("本区上限{fact}个", "{fact} at most here"),
    "mean_service_s": ("平均办理{fact}", "serving takes {fact}"),
    "measured": ("实测{fact}", "measured {fact}"),
    "min_open_s": ("最短启用{fact}", "open for {fact} at least"),
    "min_waiting": ("至少{fact}人等候", "{fact} waiting at least"),
    "oldest_wait_s": ("最长已等候{fact}", "oldest wait {fact}"),
    "open_s": ("已启用{fact}", "open for {fact}"),
    "override": ("{fact}", "{fact}"),
    "pool": ("全厅名额{fact}个", "pool {fact}"),
    "pool_used": ("已用名额{fact}个", "{fact} of the pool used"),
    "predicted_wait_s": ("预计等候{fact}", "predicted wait {fact}"),
    "release_limit_s": ("让出标准{fact}", "gives back below {fact}"),
    "said": ("原因：{fact}", "reason: {fact}"),
    "stood_s": ("已干预{fact}", "stood for {fact}"),
    "threshold": ("标准{fact}", "threshold {fact}"),
    "tried": ("已呼叫{fact}", "asked {fact}"),
    "trigger": ("{fact}", "{fact}"),
    "usual_s": ("平日此时最多{fact}", "at most {fact} on other days"),
    "waited_s": ("平均已等候{fact}", "waited {fact} on average"),
    "waiting": ("等候{fact}人", "{fact} waiting"),
    "windows": ("窗口{fact}个", "windows: {fact}"),
    "with_one_fewer_s": ("少一个窗口{fact}", "{fact} with one fewer"),
    "with_one_more_s": ("多一个窗口{fact}", "{fact} with one more"),
    "worse_min": ("持续{fact}分钟", "for {fact} min"),
    "worse_percent": ("超过平日的{fact}%", "above {fact} % of the usual"),
}
DECIDES: dict[str, Pair] = {
    "hold": ("保持现状", "nothing changes"),
    "schedule": ("按日历", "the calendar decides"),
}
OF_A_WAIT = ("oldest-wait", "priority-wait")  # rules whose measure and threshold are seconds
NOBODY: Pair = ("无人", "nobody")


def in_words(facts: Mapping[str, Fact], rule: str | None, site: Site, place: int) -> Iterator[str]:
    """Yield one phrase for each fact. ``place``: 0 Chinese, 1 English. A fact without a template becomes "key value".

    ``rule``: the tidal rule that decided; for some rules the measured value and threshold are seconds, for others
    people.
    """
    for key, value in facts.items():
        words = FIGURES.get(key)
        if words is None:
            yield f"{key} {number(value)}"
        else:
            yield words[place].format(fact=_fact(key, value, rule, site, place))


def _fact(key: str, value: Fact, rule: str | None, site: Site, place: int) -> str:
    seconds = key.endswith("_s") or (key in ("measured", "threshold") and rule in OF_A_WAIT)
    if isinstance(value, int | float):
        return duration(value, place) if seconds else number(value)
    word = str(value or "")
    for table in (TRIGGERS, OVERRIDES, NO_STAFF, DECIDES):
        if key in ("trigger", "override", "because", "decides") and word in table:
            return table[word][place]
    comma = ("、", ", ")[place]
    if key == "tried":
        return comma.join(_person(site, one) for one in word.split(",") if one) or NOBODY[place]
    if key == "by":
        return _person(site, word)
    if key == "donors":
        return comma.join(area_name(site, one.partition("=")[0], place) for one in word.split())
    return area_name(site, word, place)


def _person(site: Site, named: str) -> str:
    known = staff_meant(site, named)
    return next((one.name for one in site.staff if one.id == known), named)
