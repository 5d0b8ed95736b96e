"""Describes what the controller did and why, in Chinese and English, from the core's notes: for the web pages, the demo
and ``edged why``.

A decision of the tidal loop (open, hold, close, refuse, lend, ask) becomes an ``Explained``: the rule, the measured
values, the thresholds, and every window and member of staff considered with the reason why it was not chosen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from edged.core.model.commands import Note
from edged.core.model.site import Site
from edged.core.people.alarms import NO_STAFF
from edged.explain.words import (
    CALLED,
    DECISIONS,
    IN_SENTENCE,
    LAMP_ONLY,
    OVERRIDES,
    REASONS,
    RULES,
    SAFE_MODE,
    SENTENCES,
    THRESHOLDS,
    TRIGGERS,
    USUAL,
    WHY_NOT,
)

Fact = str | int | float | None


@dataclass(frozen=True, slots=True)
class Alternative:
    """A window or a member of staff that was considered for a decision.

    ``code``: "chosen", or the core's reason for not choosing it; ``of``: the area, window or number that the reason
    refers to, None if it refers to none.
    """

    kind: str
    id: str
    name: str
    code: str
    of: str | None
    zh: str
    en: str


@dataclass(frozen=True, slots=True)
class Explained:
    """One decision. ``decision``: one of the values of ``words.DECISIONS`` (open, hold, close, refuse and so on)."""

    decision: str
    area: str | None
    window: str | None
    rule: str | None
    zh: str
    en: str
    inputs: Mapping[str, Fact] = field(default_factory=dict)
    thresholds: Mapping[str, Fact] = field(default_factory=dict)
    alternatives: tuple[Alternative, ...] = ()


def explain(note: Note, site: Site) -> str:
    """One line, Chinese and English, with names and window numbers; for a note without a template, its kind and
    subject.
    """
    zh, en = sentences(note, site)
    return f"{zh} | {en}" if zh else en


def sentences(note: Note, site: Site) -> tuple[str, str]:
    """The note as a Chinese and an English sentence; for a kind of note that has none, "" and the note's kind and
    subject.
    """
    found = SENTENCES.get(note.kind)
    if found is None:
        return "", f"{note.kind} {note.subject}"
    names = _SiteNames(site)
    zh, en = (template.format_map(_words(note, names, place)) for place, template in enumerate(found))
    return zh, en


def explained(note: Note, site: Site) -> Explained | None:
    """The decision that a note records; None if it records none."""
    decision = DECISIONS.get(note.kind)
    if decision is None or (note.kind == "tidal.released" and not note.data.get("reason")):
        return None
    names, data = _SiteNames(site), note.data
    zh, en = sentences(note, site)
    about_window = note.subject in names.windows
    area = data.get("area") if about_window else note.subject
    given = {key: value for key, value in data.items() if key not in IN_SENTENCE and value is not None}
    rule = data.get("rule")
    return Explained(
        decision,
        None if area is None else str(area),
        note.subject if about_window else None,
        None if rule is None else str(rule),
        zh,
        en,
        {key: value for key, value in given.items() if key not in THRESHOLDS},
        {key: value for key, value in given.items() if key in THRESHOLDS},
        (
            *_alternatives("window", data.get("candidates"), names),
            *_alternatives("staff", data.get("roster"), names),
        ),
    )


class _SiteNames:
    def __init__(self, site: Site) -> None:
        self.windows = {window.id: window.number for window in site.windows}
        self.areas = {area.id: (area.name, area.name_en) for area in site.areas}
        self.staff = {staff.id: staff.name for staff in site.staff}

    def area(self, area: str, place: int) -> str:
        return self.areas[area][place] if area in self.areas else area

    def other(self, name: str | None, place: int) -> str:
        """The name of what a reason refers to. ``name``: the id of an area or window, or a number, which is returned as
        it is; None becomes "". ``place``: 0 Chinese, 1 English.
        """
        if name is None:
            return ""
        if name in self.windows:
            return f"{self.windows[name]}号窗口" if place == 0 else f"window {self.windows[name]}"
        return self.area(name, place)


def _alternatives(kind: str, words: object, names: _SiteNames) -> list[Alternative]:
    found = []
    for word in str(words or "").split():
        name, _, reason = word.partition("=")
        code, _, of = reason.partition(":")
        zh, en = (
            WHY_NOT.get(code, (code, code))[place].format(of=names.other(of, place)).strip()
            for place in (0, 1)
        )
        shown = names.windows.get(name, name) if kind == "window" else names.staff.get(name, name)
        found.append(Alternative(kind, name, shown, code, of or None, zh, en))
    return found


def _words(note: Note, names: _SiteNames, place: int) -> _FactWords:
    words = _FactWords(
        {
            key: duration(value, place)
            if key.endswith("_s") and isinstance(value, int | float)
            else number(value)
            for key, value in note.data.items()
        }
    )
    for key in ("measured", "threshold"):  # of the rules that measure a wait
        value = note.data.get(key)
        if isinstance(value, int | float):
            words[f"{key}_s"] = duration(value, place)
    if note.data.get("rule") == "oldest-wait" and "measured_s" in words:
        words.setdefault("oldest_wait_s", words["measured_s"])  # a refusal has it as what was measured
    words["subject"] = names.other(note.subject, place)
    for key, table in (
        ("trigger", TRIGGERS),
        ("override", OVERRIDES),
        ("because", NO_STAFF),
        ("on", SAFE_MODE),
    ):
        if words.get(key) in table:
            words[key] = table[words[key]][place]
    window = words.get("window", note.subject)
    words["window"] = names.windows.get(window, window)
    for key in ("area", "asker"):
        words[key] = names.area(words.get(key, "-"), place)
    staff = names.staff.get(words.get("staff", "-"), words.get("staff", "-"))
    words["staff"] = LAMP_ONLY[place] if note.data.get("staff", "") is None else staff
    words["called"] = CALLED[place].format(staff=staff) if staff != "-" else LAMP_ONLY[place]
    known = note.data.get("usual_s") is not None
    words["usual"] = USUAL[place].format_map(words) if known else ""
    close = note.kind == "tidal.draining" or note.data.get("would") == "close"
    rule = f"close:{note.data.get('rule')}" if close else words.get("rule", "")
    words["why"] = RULES.get(rule, (words.get("reason", "-"),) * 2)[place].format_map(words)
    if note.data.get("reason") in REASONS:
        words["reason"] = REASONS[str(note.data["reason"])][place].format_map(words)
    return words


def duration(seconds: float, place: int) -> str:
    """Format a duration for people: 45秒, 4分30秒, 12分钟, 1小时35分钟; ``place``: 0 Chinese, 1 English."""
    whole = round(seconds)
    if whole < 90:
        return f"{whole}秒" if place == 0 else f"{whole} s"
    if whole < 600 and whole % 60:
        minutes, left = divmod(whole, 60)
        return f"{minutes}分{left}秒" if place == 0 else f"{minutes} min {left} s"
    minutes = round(whole / 60)
    if minutes < 90:
        return f"{minutes}分钟" if place == 0 else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}小时{minutes:02d}分钟" if place == 0 else f"{hours} h {minutes:02d} min"


def area_name(site: Site, area: str, place: int) -> str:
    """An area's name, or the id as given if no area has it; ``place``: 0 Chinese, 1 English."""
    return _SiteNames(site).area(area, place)


def number(value: Any) -> str:
    """Format a figure without needless digits; a dash for None."""
    if value is None:
        return "-"
    return (
        f"{value:.0f}"
        if isinstance(value, float) and abs(value) >= 10
        else f"{value:g}"
        if isinstance(value, float)
        else str(value)
    )


class _FactWords(dict[str, str]):
    """Facts for ``str.format_map``; a missing fact is shown as a dash."""

    def __missing__(self, key: str) -> str:
        return "-"
