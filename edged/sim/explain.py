"""One line a duty manager understands, Chinese and English, for what the controller did and why."""

from __future__ import annotations

from edged.core.commands import Note
from edged.core.site import Site

Words = dict[str, str]

SENTENCES: dict[str, str] = {
    "tidal.requested": "{area} 请求启用{window}号窗口, 呼叫{staff}: {why}"
    " | +1 asked: window {window} ({chosen_because}), paging {staff}",
    "tidal.acknowledged": "{staff} 已应答, 前往{window}号窗口 | {staff} answered for window {window}",
    "tidal.unanswered": "{window}号窗口无人到岗({staff}) | nobody at window {window} ({staff}): {reason}",
    "tidal.opened": "{window}号窗口已启用 | window {window} serves {area} after {to_staffed_s} s: {reason}",
    "tidal.draining": "{window}号窗口收窗 | window {window} gives back: {reason}",
    "tidal.released": "{window}号窗口已释放 | window {window} released, open {open_s} s",
    "tidal.refused": "{subject} 需要+1但无法启用 | {subject} needs +1, refused: {reason}",
    "tidal.escalated": "已通知值班长 | nobody on standby answered for {subject}: duty manager paged",
    "tidal.asked": "{subject} 申请+1 | {subject}: {trigger} asks for +1",
    "tidal.stale": "{subject} 数据已过时 | {subject}: numbers too old, {decides} decides",
    "tidal.fresh": "{subject} 数据已恢复 | {subject}: numbers are fresh again",
    "window.lent": "{window}号窗口借给{area} | window {window} lent to {area}: {predicted_wait_s} s predicted",
    "window.returned": "{window}号窗口已归还 | window {window} returned: {reason}",
    "device.lost": "设备失联 {subject} | device lost: {subject} ({reason})",
    "device.back": "设备恢复 {subject} | device back: {subject}",
    "policy.applied": "策略 v{subject} 生效 | policy version {subject} applied",
    "hall.resumed": "控制器恢复运行, 中断{gap_s}秒 | controller back after {gap_s} s, nothing lost",
}


RULES: dict[str, str] = {
    "predicted-wait": "新来者预计等候{predicted_wait_s}秒 newcomers would wait {predicted_wait_s} s, limit {limit_s} s",
    "queue": "等候{waiting}人>{threshold} {waiting} waiting, limit {threshold}",
    "oldest-wait": "最长等候{oldest_wait_s}秒 oldest waited {oldest_wait_s} s",
}


def explain(note: Note, site: Site) -> str:
    """The sentence for a note, names and window numbers filled in; its kind where there is none."""
    sentence = SENTENCES.get(note.kind)
    if sentence is None:
        return f"{note.kind} {note.subject}"
    return sentence.format_map(_Words(_words(note, site)))


def _words(note: Note, site: Site) -> Words:
    numbers = {window.id: window.number for window in site.windows}
    names = {area.id: area.name for area in site.areas}
    words = {key: _word(value) for key, value in note.data.items()}
    words["subject"] = names.get(note.subject, note.subject)
    window = words.get("window", note.subject)
    words["window"] = numbers.get(window, window)
    words["area"] = names.get(words.get("area", ""), words.get("area", ""))
    words["why"] = RULES.get(words.get("rule", ""), "{rule}").format_map(_Words(words))
    return words


def _word(value: str | int | float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.0f}" if isinstance(value, float) else str(value)


class _Words(dict[str, str]):
    """Missing facts read as a dash."""

    def __missing__(self, key: str) -> str:
        return "-"
