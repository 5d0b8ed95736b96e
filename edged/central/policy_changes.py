"""What a policy says and how two policies differ, as sentences in English and Chinese.

A document is a complete policy: a value that it leaves out gets the built-in value. Each value is named by the label
beside its field (``Parameter``); areas, services and windows by their names if the hall is known. The values of an area
are compared as they apply there: its own, or those for all areas where it has none.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from types import NoneType, UnionType
from typing import Annotated, Any, NamedTuple, Union, get_args, get_origin, get_type_hints

from edged.central.addressing import KIND, Unmet, depends, plain
from edged.core.model.policy import Policy, Session, Special, Tidal
from edged.core.model.policy.parameter import split_hint
from edged.core.model.site import Site

LISTED_MAX = 8  # entries of a list shown in one line
TEXT_MAX = 60  # characters of one value
BOTH = "areas", "band", "pw_areas", "pw"  # fields of Tidal: values of single areas replace those of all
DAYS = (
    ("Mon", "周一"),
    ("Tue", "周二"),
    ("Wed", "周三"),
    ("Thu", "周四"),
    ("Fri", "周五"),
    ("Sat", "周六"),
    ("Sun", "周日"),
    ("public holidays", "法定节假日"),
)
MODES = {
    "full": ("", ""),
    "extended": (" (extended)", "（延时服务）"),
    "assisted": (" (assisted)", "（帮办）"),
    "self-service": (" (self-service)", "（自助）"),
    "online": (" (online)", "（网办）"),
    "closed": (" (closed)", "（不开放）"),
}


class Words(NamedTuple):
    """One text in English and Chinese; ``str()`` gives both."""

    en: str
    zh: str

    def __str__(self) -> str:
        return self.en if self.en == self.zh else f"{self.en} / {self.zh}"


NONE = Words("none", "无")


class Change(NamedTuple):
    """One value that differs: its path in the document, and a sentence."""

    path: str
    words: Words


class PlaceNames:
    """The names of a hall's areas, services and windows; their ids if the hall is not known."""

    def __init__(self, site: Site | None = None) -> None:
        self._names: dict[tuple[str, str], Words] = {}
        if site is not None:
            self._names |= {("area", one.id): Words(one.name_en or one.name, one.name) for one in site.areas}
            self._names |= {
                ("service", one.id): Words(one.name_en or one.name, one.name) for one in site.services
            }
            self._names |= {
                ("window", one.id): Words(f"window {one.number}", f"{one.number}号窗口")
                for one in site.windows
            }

    def of(self, kind: str, id_: str) -> Words:
        """Return the name of an area, service or window (``kind``). ``id_`` is written as in a policy, so it may have
        the prefix ``kind:`` or ``if-present:``, which the text then says.
        """
        if id_.startswith(KIND):
            return Words(f"areas of kind {plain(id_)}", f"{plain(id_)}类专区")
        name = self._names.get((kind, plain(id_)), Words(plain(id_), plain(id_)))
        return Words(f"{name.en}, where present", f"{name.zh}（如有）") if depends(id_) else name


def built_in_sections(policy: Policy) -> tuple[str, ...]:
    """The sections of ``policy`` that equal the built-in ones, probably because the document leaves them out."""
    plain = Policy()
    return tuple(
        field.name
        for field in dataclasses.fields(Policy)
        if getattr(policy, field.name) == getattr(plain, field.name)
    )


def changes(before: Policy, after: Policy, names: PlaceNames | None = None) -> list[Change]:
    """Every value that differs between two policies, in the order of the sections."""
    return list(_parts("", before, after, names or PlaceNames()))


def _parts(path: str, old: Any, new: Any, names: PlaceNames) -> Iterator[Change]:
    """The differences of two dataclasses, field by field."""
    kind = type(new)
    hints = get_type_hints(kind, include_extras=True)
    for field in dataclasses.fields(kind):
        was, becomes = getattr(old, field.name), getattr(new, field.name)
        inside = f"{path}.{field.name}".lstrip(".")
        hint, parameter = split_hint(hints[field.name])
        if kind is Tidal and field.name in BOTH:
            if field.name in ("band", "pw"):
                yield from _parts(inside, was, becomes, names)
                yield from _of_areas(path, old, new, names, field.name)
        elif parameter is None:
            yield from _parts(inside, was, becomes, names)
        elif was != becomes:
            label = Words(parameter.label, parameter.label_zh)
            yield Change(inside, _sentence(label, hint, was, becomes, names))


def _of_areas(path: str, old: Tidal, new: Tidal, names: PlaceNames, name: str) -> Iterator[Change]:
    """Yield the differences for areas that have tidal values of their own, before or after. ``name``: "band" or "pw",
    the set of values.

    A difference that is the same as that of the values for all areas is not repeated.
    """
    own = "areas" if name == "band" else "pw_areas"
    was, becomes = getattr(old, own), getattr(new, own)
    everynames = list(_parts("", getattr(old, name), getattr(new, name), names))
    for area in sorted({*was, *becomes}):
        pair = was.get(area, getattr(old, name)), becomes.get(area, getattr(new, name))
        prefix = names.of("area", area)
        for one in _parts("", *pair, names):
            if one not in everynames:
                words = Words(f"{prefix.en}: {one.words.en}", f"{prefix.zh}：{one.words.zh}")
                yield Change(f"{path}.{own}.{area}.{one.path}", words)


def _sentence(label: Words, hint: Any, was: Any, becomes: Any, names: PlaceNames) -> Words:
    inner = _entry(hint)
    if isinstance(becomes, tuple) and inner is not None:
        gone = [one for one in was if one not in becomes]
        new = [one for one in becomes if one not in was]
        if gone or new:
            words = _listed("+", new, inner, names), _listed("−", gone, inner, names)
            english = "; ".join(one.en for one in words if one.en)
            return _line(label, Words(english, "；".join(one.zh for one in words if one.zh)))
    if isinstance(becomes, Mapping):
        return _line(label, _mapped(hint, was, becomes, names))
    old, new_ = _shown(hint, was, names), _shown(hint, becomes, names)
    return _line(label, Words(f"{old.en} → {new_.en}", f"{old.zh} → {new_.zh}"))


def _line(label: Words, words: Words) -> Words:
    return Words(f"{label.en}: {words.en}", f"{label.zh}：{words.zh}")


def _listed(sign: str, entries: Sequence[Any], hint: Any, names: PlaceNames) -> Words:
    """The text ``+ a, b, c and 5 more``; empty if there are no entries."""
    if not entries:
        return Words("", "")
    shown = [_shown(hint, one, names) for one in entries[:LISTED_MAX]]
    more = len(entries) - len(shown)
    english = ", ".join(one.en for one in shown) + (f" and {more} more" if more else "")
    chinese = "、".join(one.zh for one in shown) + (f"等{len(entries)}项" if more else "")
    return Words(f"{sign} {english}", f"{sign} {chinese}")


def _mapped(hint: Any, was: Mapping[str, Any], becomes: Mapping[str, Any], names: PlaceNames) -> Words:
    keys, values = get_args(hint)
    words = []
    for key in sorted({*was, *becomes}):
        if was.get(key) != becomes.get(key):
            name = _shown(keys, key, names)
            old, new = (_shown(values, one.get(key), names) for one in (was, becomes))
            words.append(Words(f"{name.en} {old.en} → {new.en}", f"{name.zh} {old.zh} → {new.zh}"))
    more = f" and {len(words) - LISTED_MAX} more" if len(words) > LISTED_MAX else ""
    more_zh = f"等{len(words)}项" if more else ""
    shown = words[:LISTED_MAX]
    return Words("; ".join(one.en for one in shown) + more, "；".join(one.zh for one in shown) + more_zh)


def _entry(hint: Any) -> Any:
    """The type of a list's entries; None if the type is no list."""
    return get_args(hint)[0] if get_origin(hint) is tuple else None


def _shown(hint: Any, value: Any, names: PlaceNames) -> Words:
    """Return one value as text: yes or no, names of areas and windows, "none" for empty; long lists and texts are
    cut.
    """
    hint, _ = split_hint(hint)
    if value is None or value == () or value == {}:
        return NONE
    if get_origin(hint) in (UnionType, Union):
        hint = next(one for one in get_args(hint) if one is not NoneType)
    if isinstance(value, bool):
        return Words("yes", "是") if value else Words("no", "否")
    if isinstance(value, Session | Special):
        return _hours(value, names)
    if dataclasses.is_dataclass(value):
        return _described(value, names)
    if isinstance(value, tuple):
        inner = _entry(hint)
        shown = [_shown(inner, one, names) for one in value[:LISTED_MAX]]
        more = " …" if len(value) > LISTED_MAX else ""
        return Words(", ".join(one.en for one in shown) + more, "、".join(one.zh for one in shown) + more)
    if get_origin(hint) is Annotated and get_args(hint)[1] in ("area", "service", "window"):
        return names.of(get_args(hint)[1], value)
    text = f"{value:g}" if isinstance(value, float) else str(value)
    text = text if len(text) <= TEXT_MAX else f"{text[: TEXT_MAX - 1]}…"
    return Words(text, text)


def _described(value: Any, names: PlaceNames) -> Words:
    """Return a list's entry that has fields as text, with only those fields that differ from their defaults."""
    hints = get_type_hints(type(value), include_extras=True)
    words = []
    for field in dataclasses.fields(value):
        one = getattr(value, field.name)
        if one == field.default:
            continue
        hint, parameter = split_hint(hints[field.name])
        shown = _shown(hint, one, names)
        if parameter is None:
            words.append(shown)
        else:
            words.append(Words(f"{parameter.label} {shown.en}", f"{parameter.label_zh} {shown.zh}"))
    if not words:
        return Words("as by default", "默认")
    return Words(f"({', '.join(one.en for one in words)})", f"（{'，'.join(one.zh for one in words)}）")


def _hours(value: Session | Special, names: PlaceNames) -> Words:
    days = Words(value.date, value.date) if isinstance(value, Special) else _days(value.days)
    mode, areas = MODES[value.mode], [names.of("area", one) for one in value.areas]
    times = f" {value.opens}–{value.closes}"
    return Words(
        days.en + times + mode[0] + (f" for {', '.join(one.en for one in areas)}" if areas else ""),
        days.zh + times + mode[1] + (f"（{'、'.join(one.zh for one in areas)}）" if areas else ""),
    )


def _days(days: Sequence[int]) -> Words:
    """Weekdays as text; three or more in a row as "Mon–Fri"."""
    runs: list[list[int]] = []
    for day in sorted(set(days)):
        if runs and runs[-1][-1] == day - 1 and day <= 7:
            runs[-1].append(day)
        else:
            runs.append([day])
    parts = [run if len(run) > 2 else [one] for run in runs for one in (run if len(run) <= 2 else run[:1])]
    texts = [(DAYS[part[0] - 1], DAYS[part[-1] - 1], len(part) > 1) for part in parts]
    return Words(
        ", ".join(f"{first[0]}–{last[0]}" if many else first[0] for first, last, many in texts),
        "、".join(f"{first[1]}至{last[1]}" if many else first[1] for first, last, many in texts),
    )


def left_out(unmet: Sequence[Unmet]) -> Words | None:
    """The sentence about names in a policy that match nothing in this hall; None if all match."""
    names = list(dict.fromkeys(one.name for one in unmet))
    if not names:
        return None
    return Words(f"not in this hall, left out: {', '.join(names)}", f"本大厅没有，不适用：{'、'.join(names)}")


def changes_from_built_in(policy: Policy, names: PlaceNames | None = None) -> list[Change]:
    """The opening hours of a policy, and every other value that differs from the built-in one."""
    names = names or PlaceNames()
    week = policy.hours.week
    hours = (
        _listed("", week, Session, names) if week else Words(" while somebody is there", " 有人在岗即开放")
    )
    opened = Change("hours.week", Words(f"open:{hours.en}", f"开放时间：{hours.zh.strip()}"))
    return [opened, *(one for one in changes(Policy(), policy, names) if one.path != "hours.week")]
