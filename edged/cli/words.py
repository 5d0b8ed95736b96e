"""``edged words``: lists every text that people read, each with an example and its occasion, for review.

First the tables of words, by purpose; then every other sentence, found in the source code itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Annotated, Literal

import typer

from edged.explain import listing

Lang = Literal["zh", "en", "both"]
Row = tuple[str, str, str]  # when it appears, Chinese, English
BLANK = re.compile(r"\{([a-z_]+)\}")
EXAMPLES: Mapping[str, tuple[str, str]] = {
    "area": ("税务", "Tax"),
    "asker": ("社保", "Social"),
    "subject": ("税务", "Tax"),
    "service": ("税务综合", "General tax"),
    "window": ("11", "11"),
    "number": ("A057", "A057"),
    "numbers": ("A057 A058", "A057 A058"),
    "staff": ("刘洋", "Liu Yang"),
    "by": ("值班长", "duty manager"),
    "why": ("新取号者预计等候42分钟，启用标准9分钟", "newcomers would wait 42 min, limit 9 min"),
    "called": ("呼叫刘洋", "paging Liu Yang"),
    "target": ("9号窗口", "window 9"),
    "reason": ("没有空闲的潮汐窗口", 'no "+1" window is free'),
    "name": ("刘洋", "Liu Yang"),
    "name_en": ("Tax", "Tax"),
    "place": ("税务11号窗口", "Tax, window 11"),
    "place_en": ("Tax, window 11", "Tax, window 11"),
    "chinese": ("帮办", "Commissioner"),
    "english": ("Commissioner", "Commissioner"),
    "until": ("17:00", "17:00"),
    "ends": ("13:30", "13:30"),
    "opens": ("09:00", "09:00"),
    "time": ("09:00", "09:00"),
    "clock": ("17:00", "17:00"),
    "zh": ("身份证原件、申请表", "身份证原件、申请表"),
    "en": ("identity card, application form", "identity card, application form"),
    "mode": ("延时服务", "Extended hours"),
    "shut": ("已下班", "Closed"),
    "said": ("税务等候9人", "税务等候9人"),
    "who": ("A057号", "A057"),
    "late": ("已超期2天", "2 days overdue"),
    "id": ("20261130-1", "20261130-1"),
    "low": ("10", "10"),
    "high": ("25", "25"),
    "of": ("社保", "Social"),
    "usual": ("", ""),
    "case_state": ("已办结", "closed"),
    "because": ("被呼叫人员均已谢绝", "everybody asked has declined"),
    "areas": ("社保", "Social"),
    "case": ("20261130-1", "20261130-1"),
    "due": ("2026-12-07", "2026-12-07"),
    "held": ("潮汐窗口名额已用完，有空即启用", "the pool is used up; as soon as one is free"),
    "window_state": ("暂停中", "paused"),
    "ticket_state": ("已过号", "no-show"),
    "on": ("开始", "begins"),
    "trigger": ("特殊需求按键", "the special-need key"),
    "override": ("人工开放", "open"),
    "fact": ("9", "9"),
    "missing": ("㙦", "㙦"),
}

NAMES: Mapping[str, tuple[str, str]] = {  # example of the name in a sentence, by the module that makes it
    "core/calendar/": ("税务", "Tax"),
    "core/cases/": ("20261130-1", "20261130-1"),
    "core/people/pages.py": ("税务", "Tax"),
    "core/people/staffing.py": ("税务", "Tax"),
    "core/signage/": ("税务", "Tax"),
    "core/tide/": ("税务", "Tax"),
    "core/visits/promises.py": ("20261130-A057", "20261130-A057"),
    "core/visits/": ("税务", "Tax"),
}
SUBJECTS: Mapping[str, tuple[str, str]] = {  # example of what a sentence is about, by the prefix of its name
    "case": ("20261130-1", "20261130-1"),
    "extended_already": ("20261130-1", "20261130-1"),
    "ticket": ("A057", "A057"),
    "called_already": ("A057", "A057"),
    "number": ("A057", "A057"),
    "revive": ("A057", "A057"),
    "roster": ("刘洋", "Liu Yang"),
    "staff": ("刘洋", "Liu Yang"),
    "device": ("2号取号机", "dispenser 2"),
    "policy": ("12", "12"),
}


def words(
    lang: Annotated[Lang, typer.Option(help="zh, en, or both.")] = "both",
) -> None:
    """List every text of signs, paper, alarms, answers, explanations and tools: when it appears, and an example.

    \b
    Exit codes: 0 done.
    Example:    edged words --lang zh
    """
    for situation, chinese, english in rows():
        texts = [(chinese, 0)] * (lang != "en") + [(english, 1)] * (lang != "zh")
        for text, language in texts:
            if text:
                typer.echo(f"{situation}\t{example(text, language, situation)}".replace("\n", "\\n"))


def example(text: str, language: int, situation: str = "") -> str:
    """``text`` with its placeholders filled by examples; ``language``: 0 Chinese, 1 English. ``situation``: the text's
    occasion (see ``rows``), which decides for example whether a name is that of an area or of a case.
    """
    code = situation.rpartition(" ")[2]

    def filled(blank: re.Match[str]) -> str:
        name = blank.group(1)
        about = next((names for start, names in SUBJECTS.items() if code.startswith(start)), None)
        if name == "subject" and about is not None:
            return about[language]
        behind = text[blank.end() :]
        if behind.startswith("号窗口"):
            return "3、5" if name == "numbers" else "11"
        if name.endswith("_s") and behind.startswith(("分钟", " min")):
            return "9"
        if name == "name":
            made = next((names for start, names in NAMES.items() if situation.startswith(start)), None)
            return (made or EXAMPLES[name])[language]
        if name == "of" and code in ("idle", "free"):
            return "2"
        if name in EXAMPLES:
            return EXAMPLES[name][language]
        return ("9分钟", "9 min")[language] if name.endswith("_s") else "9"

    return BLANK.sub(filled, text)


def rows() -> Iterator[Row]:
    """Yield every text with the occasion on which it appears: (occasion, Chinese, English)."""
    yielded = set()
    for row in _tables():
        yielded.add(row[1])
        yield row
    for sentence in listing.sentences():
        if sentence.chinese not in yielded:
            yielded.add(sentence.chinese)
            situation = f"{sentence.place} {sentence.situation}"
            yield situation, sentence.chinese.strip("\n"), sentence.english.strip("\n")


def _tables() -> Iterator[Row]:
    from edged.core.calendar.hours_words import MODES
    from edged.core.model.policy import Templates
    from edged.core.people import alarms, answers
    from edged.explain import figures
    from edged.explain import words as explained

    templates = Templates()
    for field in fields(templates):
        if not field.name.endswith("_en"):
            english = getattr(templates, f"{field.name}_en", "")
            yield f"sign 屏幕与播报 {field.name}", getattr(templates, field.name), english
    tables: tuple[tuple[str, Mapping[str, tuple[str, str]]], ...] = (
        ("hours 开放时段", MODES),
        ("alarm 告警", alarms.TEXT),
        ("no staff 无人到岗告警", alarms.NO_STAFF),
        ("refused 按键未受理", answers.REFUSED),
        ("accepted 按键已受理", answers.ACCEPTED),
        ("ordered 指令结果", answers.ORDERED),
        ("wished 增开窗口申请已登记", answers.HELD),
        ("state of a number 号票状态", answers.TICKET_STATES),
        ("state of a case 事项状态", answers.CASE_STATES),
        ("state of a window 窗口状态", answers.STATES),
        ("why 说明", explained.SENTENCES),
        ("rule 依据", explained.RULES),
        ("why not yet 未启用原因", explained.REASONS),
        ("why not this one 未选原因", explained.WHY_NOT),
        ("trigger 申请来源", explained.TRIGGERS),
        ("by hand 人工干预", explained.OVERRIDES),
        ("decision 决定", figures.DECIDED),
        ("figure 数据", figures.FIGURES),
        ("decides meanwhile 数据过时期间", figures.DECIDES),
    )
    for situation, table in tables:
        for name, (chinese, english) in table.items():
            yield f"{situation} {name}", chinese, english
