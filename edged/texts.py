"""Characters that are not allowed in texts for people: control characters, and those that change the text direction.

A board, a ticket printer or a terminal acts on them instead of showing them. They are removed from messages of devices,
and refused in documents that somebody wrote and signed.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Any

# Control characters (C0, DEL, C1), soft hyphen, zero-width and direction marks (UAX #9), line and paragraph separators,
# word joiners and invisible operators, byte order mark, interlinear annotation, tags.
_ODD = re.compile(
    "[\\x00-\\x1f\\x7f-\\x9f\\u00ad\\u061c\\u180e\\u200b-\\u200f\\u2028-\\u202e\\u2060-\\u206f\\ufeff\\ufff9-\\ufffb"
    "\\U000e0000-\\U000e007f]"
)
_BREAKS = "\t\n\v\f\r\x85\u2028\u2029"  # line breaks and tabs become spaces, so that words stay apart


def cleaned(text: str) -> str:
    """Return ``text`` without the characters that this module forbids; a line break or tab becomes a space."""
    return _ODD.sub(lambda found: " " if found.group() in _BREAKS else "", text)


def odd_character(text: str) -> tuple[int, str] | None:
    """Return position (from 1) and name of the first character in ``text`` that is not allowed; None if all are
    allowed.
    """
    found = _ODD.search(text)
    return None if found is None else (found.start() + 1, named(found.group()))


def where_odd(value: Any) -> tuple[tuple[str | int, ...], int, str] | None:
    """Find the first text inside ``value`` with a character that is not allowed. Returns the path to it (keys and
    indexes; the last step is "" if the text is itself a key), the character's position in it (from 1) and the
    character's name. None if all are allowed.
    """
    if isinstance(value, str):
        found = odd_character(value)
        return None if found is None else ((), *found)
    if isinstance(value, dict):
        inside: list[tuple[str | int, Any]] = list(value.items())
        if any(odd_character(str(key)) for key in value):
            inside = [("", str(key)) for key in value]
    else:
        inside = list(enumerate(value)) if isinstance(value, list | tuple) else []
    for step, item in inside:
        deeper = where_odd(item)
        if deeper is not None:
            path, position, name = deeper
            return (step, *path), position, name
    return None


def named(char: str) -> str:
    """Return the code point and Unicode name of a character, such as ``U+202E RIGHT-TO-LEFT OVERRIDE``."""
    return f"U+{ord(char):04X} {unicodedata.name(char, 'control character')}"
