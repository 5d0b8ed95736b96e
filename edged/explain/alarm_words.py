"""The meaning and remedy of each alarm in Chinese and English; all outputs take them from here."""

from __future__ import annotations

from edged.core.model.losses import LOSSES, LossWords, known
from edged.core.people.alarms import DO, LOST, TEXT


def alarm_words(alarm: str, reason: str = "") -> LossWords:
    """Meaning and remedy of ``alarm``; ``reason``: why a device is lost, if that is the alarm and the reason is
    known.
    """
    zh, en = TEXT.get(alarm, ("告警", alarm))
    if alarm == LOST and reason:
        why = LOSSES[known(reason)]
        return LossWords(f"{zh}：{why.zh}", f"{en}: {why.en}", why.do_zh, why.do_en)
    return LossWords(zh, en, *DO.get(alarm, ("", "")))


def runbook(lang: str) -> str:
    """The runbook's tables as Markdown: every alarm, and every reason why a device is lost; ``lang``: zh or en."""
    first = lang == "zh"
    heads = ("含义", "处理") if first else ("means", "do")
    kinds = [(kind, *(text[not first] for text in (TEXT[kind], DO[kind]))) for kind in TEXT]
    reasons = [(word, *((w.zh, w.do_zh) if first else (w.en, w.do_en))) for word, w in LOSSES.items()]
    parts = (
        ("大厅告警一览" if first else "Alarms of the hall", "alarm", kinds),
        ("设备失联的原因" if first else "Why a device is lost", "reason", reasons),
    )
    text = []
    for title, name, rows in parts:
        text += [f"## {title}", "", f"| `{name}` | {heads[0]} | {heads[1]} |", "|---|---|---|"]
        text += [f"| `{word}` | {means} | {do} |" for word, means, do in rows]
        text.append("")
    return "\n".join(text)
