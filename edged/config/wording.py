"""Puts mistakes in a table into a technician's words: what is wrong; what is allowed; did you mean …

Rules of this file: one sentence per mistake; the wrong value is shown, shortened, in TOML notation.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from edged.config.nearest import nearest
from edged.config.shape import NUMBER, POINT, PREFIX
from edged.shapes import FORM_WORDS as SHAPE_WORDS
from edged.shapes import ID, Fault, Path
from edged.texts import odd_character

SHOWN_MAX = 40  # characters of a wrong value worth showing on a line
ALLOWED_SHOWN_MAX = 16  # names listed as allowed; longer lists bury the sentence

FORM_WORDS = {
    ID.pattern: "an id: a-z, 0-9 and '-', starting with a letter or digit, at most 32 characters",
    POINT.pattern: 'a point: "device" or "device/channel"',
    PREFIX.pattern: "a ticket prefix: one or two capital letters",
    NUMBER.pattern: 'a window number: up to four digits or capital letters in quotes, such as "3"',
}
# Characters of a Chinese input method, of word processors and of web pages, and what TOML wants in their place.
LOOK_ALIKES = {
    "“": '"', "”": '"', "„": '"', "‘": "'", "’": "'", "，": ",", "、": ",", "。": ".", "．": ".", "：": ":", "；": ";",
    "【": "[", "】": "]", "〔": "[", "〕": "]", "—": "-", "–": "-", "−": "-", "‐": "-", "\u3000": " ", "\u00a0": " ",
    "\ufeff": "", "\u200b": "", "\u200c": "", "\u200d": "", "\u2060": "",
}  # fmt: skip
CONTROLS = {
    "\0": "a power cut left this file half written; put a copy back",
    "\r": "its lines end as on an old Mac; save it with line ends LF or CRLF",
}
KIND_WORDS = {
    "text": 'text in quotes ("…")',
    "whole": "a whole number",
    "number": "a number",
    "truth": "true or false",
    "list": "a list [ … ]",
    "table": "a table",
}
BOUND_WORDS = {
    "at_least": "at least",
    "more_than": "more than",
    "at_most": "at most",
    "less_than": "less than",
    "multiple_of": "a multiple of",
}


class Mistake(NamedTuple):
    """One thing wrong with a document, and where."""

    path: Path
    text: str


def mistakes(faults: Iterable[Fault], at: Path) -> list[Mistake]:
    """Turn the faults found in the table at path ``at`` into mistakes: each with its path and a sentence."""
    return [Mistake((*at, *fault.path), sentence(fault)) for fault in faults]


def sentence(fault: Fault) -> str:
    """What is wrong with a value of hall.toml, and what is allowed there, as an English sentence."""
    shown, wanted = show(fault.value), fault.wanted
    match fault.what:
        case "missing":
            return "this key is required and missing"
        case "unknown":
            return unknown("key", str(fault.path[-1]), wanted, name_it=False)
        case "rule":
            return str(wanted)
        case "kind":
            return f"must be {KIND_WORDS[wanted]}, not {shown}"
        case "choice":
            return f"must be {one_of(wanted)}, not {shown}" + near_choice(fault.value, wanted)
        case "form":
            words = FORM_WORDS.get(wanted) or SHAPE_WORDS.get(wanted) or "of the form that is wanted here"
            return f"{shown} is not {words}{wide_hint(fault.value)}"
        case "too_short" if wanted == 1:
            return "must not be empty"
        case "too_short" | "too_long":
            bound = "at least" if fault.what == "too_short" else "at most"
            units = "characters" if isinstance(fault.value, str) else "entries"
            return f"must have {bound} {wanted} {units}, not {shown}"
    return f"must be {BOUND_WORDS[fault.what]} {wanted}, not {shown}"


def invisible_characters(node: Any, at: Path = ()) -> Iterator[Mistake]:
    """Yield a mistake for each text with an invisible character; most are pasted from web pages or chats."""
    inside: Iterable[tuple[str | int, Any]] = ()
    if isinstance(node, str):
        found = odd_character(node)
        if found is not None:
            yield Mistake(at, f"character {found[0]} of the text is {found[1]}, which nobody sees; delete it")
    elif isinstance(node, dict):
        inside = node.items()
    elif isinstance(node, list):
        inside = enumerate(node)
    for part, child in inside:
        yield from invisible_characters(child, (*at, part))


def one_of(choices: Iterable[object]) -> str:
    """A list such as: "a", "b" or "c"."""
    shown = [show(choice) for choice in choices]
    return " or ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)


def near_choice(value: object, choices: Iterable[object]) -> str:
    """The end of a sentence, ``; did you mean "NAME"?``, with the allowed choice most similar to ``value``; "" if none
    is similar.
    """
    return did_you_mean(value, map(str, choices)) if isinstance(value, str) else ""


def unknown(kind: str, word: str, allowed: Iterable[str], *, name_it: bool = True) -> str:
    """The sentence that ``word`` is none of ``allowed``: with the nearest one, and what is allowed. ``kind``: what the
    word should name; ``name_it``: quote the word.
    """
    names = sorted(allowed)
    subject = f'"{word}" is not a known {kind}' if name_it else f"unknown {kind}"
    shown = ", ".join(names[:ALLOWED_SHOWN_MAX]) + (", …" if len(names) > ALLOWED_SHOWN_MAX else "")
    listed = f"; allowed: {shown}" if names else "; none is defined"
    return subject + listed + did_you_mean(word, names)


def did_you_mean(word: str, names: Iterable[str]) -> str:
    """The end of a sentence, ``; did you mean "NAME"?``, with the name most similar to ``word``; "" if none is
    similar.
    """
    near = nearest(word, names)
    return f'; did you mean "{near}"?' if near else ""


def show(value: object) -> str:
    """A wrong value in TOML notation, shortened to ``SHOWN_MAX`` characters."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) and value.bit_length() > 4 * SHOWN_MAX:
        return "a number that long"
    text = f'"{value}"' if isinstance(value, str) else _toml(value)
    return text if len(text) <= SHOWN_MAX else text[: SHOWN_MAX - 1] + "…"


def _toml(value: object) -> str:
    """A list, table or number in TOML notation."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(show, value))}]"
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{key} = {show(one)}' for key, one in value.items())} }}"
    return str(value)


def wide_hint(value: object) -> str:
    """The end of a sentence, ``; …``, about the first full-width or look-alike character in ``value``, which input
    methods produce: what to write instead. "" for none.
    """
    if not isinstance(value, str):
        return ""
    found = next(
        (char for char in value if char in LOOK_ALIKES or unicodedata.normalize("NFKC", char) != char), None
    )
    return "" if found is None else f"; {look_alike(found)}"


def look_alike(char: str) -> str:
    """The hint for one character: ``"＝" (U+FF1D FULLWIDTH EQUALS SIGN): write "=" instead``.

    Control characters are named only: a terminal acts on them.
    """
    if unicodedata.category(char) == "Cc":
        return f"a control character (U+{ord(char):04X}): {CONTROLS.get(char, 'delete it')}"
    plain = LOOK_ALIKES[char] if char in LOOK_ALIKES else unicodedata.normalize("NFKC", char)
    named = f'"{char}" (U+{ord(char):04X} {unicodedata.name(char, "unnamed")})'
    mark = "'" if plain == '"' else '"'
    return f"{named}: write {mark}{plain}{mark} instead" if plain else f"{named}: delete it"


def syntax_hint(line: str, column: int) -> str:
    """A hint at the odd character of ``line`` that probably caused the syntax error at ``column`` (from 1); "" for
    none.
    """
    odd = [
        place
        for place, char in enumerate(line, 1)
        if char in LOOK_ALIKES or "\uff01" <= char <= "\uff5e" or odd_character(char) is not None
    ]
    if not odd:
        return ""
    place = min(odd, key=lambda one: (abs(one - column), one))
    return f"; column {place} has {look_alike(line[place - 1])}"
