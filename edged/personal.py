"""What names a person in a text: identity and mobile numbers. They are turned away at every border and kept nowhere."""

from __future__ import annotations

import re
from typing import Any

# Without eleven digits in a row, an escape or a character beyond ASCII there can be no such number in a payload.
_HARMLESS = re.compile(rb"[\x00-\x5b\x5d-\x7f]*")
_DIGITS = re.compile(rb"[0-9]{11}")
# A resident identity number (GB 11643: 17 digits and a check character) or a mobile number (11 digits from 13 to 19),
# standing alone. \\d takes full-width digits too.
_PERSONAL = re.compile(r"(?<!\d)(?:\d{17}[\dXxＸｘ]|[1１][3-9３-９]\d{9})(?!\d)")


def names_a_person(value: Any) -> bool:
    """Whether any text inside ``value`` holds an identity or mobile number."""
    return where(value) is not None


def is_harmless(payload: bytes) -> bool:
    """Whether the bytes alone show that nothing inside names a person: nearly every payload of a hall."""
    return _HARMLESS.fullmatch(payload) is not None and _DIGITS.search(payload) is None


def where(value: Any) -> tuple[str | int, ...] | None:
    """The way to the first text inside ``value`` that names a person; of a key, the way to what holds it."""
    if isinstance(value, str):
        return () if _PERSONAL.search(value) else None
    if isinstance(value, dict):
        if any(_PERSONAL.search(str(key)) for key in value):
            return ()
        inside: list[tuple[str | int, Any]] = list(value.items())
    else:
        inside = list(enumerate(value)) if isinstance(value, list) else []
    for step, item in inside:
        found = where(item)
        if found is not None:
            return (step, *found)
    return None
