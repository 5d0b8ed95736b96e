"""Finds personal numbers (identity card, mobile phone) in texts, in the forms in which people write them.

Inputs that contain one are refused and never stored; logs mask them; both use this module. Rules of this file:

* Each run of digits is checked, alone and joined with its neighbours: ``138-1234 5678``, ``+86 138 1234 5678``,
  ``110101 19900307 1234``, full-width digits, one digit at a time.
* Sources: GB 11643-1999 (18 characters, the last may be X) and the 15 digits used before 1999; mobile numbers have 11
  digits starting with 13 to 19 (MIIT numbering plan), with 86, +86 or 0086 before them.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

MASK = "***"
GROUPS_MAX = 24  # runs of digits joined into one number: 22 characters at most, each alone, and room
DIGITS_MAX = 22  # 0086 and an identity number
LONG_DIGITS = 11  # a log masks any run at least this long (up to 19): somebody may have mistyped their number
# A payload without an escape, a character beyond ASCII or eleven digits this close together holds no such number.
_DIGITS = re.compile(rb"[0-9](?:[ ()+._-]{0,3}[0-9]){10}")
_ENOUGH = re.compile(r"(?:\D*+\d){11}+")
_RUN = re.compile(r"\d+(?: {1,3}\d+)*(?: {0,3}[Xx](?![0-9A-Za-z]))?")
_LONG = re.compile(r"(?<![0-9A-Za-z])[0-9]{11,19}[Xx]?(?![0-9A-Za-z])")
_MOBILE = re.compile(r"(?:0|(?:00)?86)?1[3-9]\d{9}")
# GB/T 2260, and 99, which no place has: for tests with a number that belongs to nobody.
_PROVINCE = "(?:1[1-5]|2[1-3]|3[1-7]|4[1-6]|5[0-4]|6[1-5]|71|8[1-3]|9[19])"
_DAY = r"(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])"
_IDENTITY = re.compile(rf"{_PROVINCE}\d{{4}}(?:(?:19|20)\d\d{_DAY}\d{{3}}[\dXx]|\d\d{_DAY}\d{{3}})")
_ONE_PIECE = re.compile(r"\d{17}[\dXx]")  # in one piece, always an identity number
_SEPARATORS = " ()+._-‐‑‒–—−－．・·　\u00a0\u00ad\u200b\u200c\u200d\u2060\ufeff（）＋"


def names_a_person(value: Any) -> bool:
    """Whether any text inside ``value`` holds an identity or mobile number."""
    return where(value) is not None


def is_harmless(payload: bytes) -> bool:
    """Can the bytes be accepted without parsing, because they certainly contain no personal number? True for nearly
    every payload. False: they have to be parsed and searched.
    """
    if not payload.isascii() or b"\\" in payload or b"\x7f" in payload:
        return False
    few = len(payload) - len(payload.translate(None, b"0123456789")) < LONG_DIGITS
    return few or _DIGITS.search(payload) is None


def where(value: Any) -> tuple[str | int, ...] | None:
    """Return the path (keys and indexes) to the first text inside ``value`` that contains a personal number; () for
    ``value`` itself. If the text is a key, the path leads to the object with that key. None if there is no such text.
    """
    if isinstance(value, str):
        return () if next(_found(value), None) is not None else None
    if isinstance(value, dict):
        if any(next(_found(str(key)), None) is not None for key in value):
            return ()
        inside: list[tuple[str | int, Any]] = list(value.items())
    else:
        inside = list(enumerate(value)) if isinstance(value, list) else []
    for step, item in inside:
        found = where(item)
        if found is not None:
            return (step, *found)
    return None


def masked(text: str) -> str:
    """Return ``text`` with ``***`` in place of personal numbers, and of any other number of 11 to 19 digits."""
    if not _may_hold_one(text):
        return text
    for start, end in reversed(list(_found(text))):
        text = text[:start] + MASK + text[end:]
    return _LONG.sub(MASK, text)


class _Plain(dict[int, str]):
    """A table for ``str.translate`` that replaces each unusual character (full-width digits, dashes, brackets) by the
    plain one that the patterns of this module look for. One character stays one, so positions in the text stay valid.
    """

    def __missing__(self, code: int) -> str:
        char = chr(code)
        digit = unicodedata.decimal(char, -1)
        plain = str(digit) if digit >= 0 else " " if char in _SEPARATORS else "X" if char in "ＸｘX" else char
        if len(self) < 4096:
            self[code] = plain
        return plain


_PLAIN = _Plain()


def _may_hold_one(text: str) -> bool:
    return len(text) >= LONG_DIGITS and _ENOUGH.match(text) is not None


def _found(text: str) -> Iterator[tuple[int, int]]:
    """Yield start and end (exclusive) of each personal number in the text, in order."""
    if not _may_hold_one(text):
        return
    plain = text.translate(_PLAIN)
    for run in _RUN.finditer(plain):
        if run.end() - run.start() >= LONG_DIGITS:
            yield from _in_run(plain[run.start() : run.end()], run.start())


def _in_run(run: str, offset: int) -> Iterator[tuple[int, int]]:
    """Yield start and end (exclusive) of the personal numbers in ``run``, which is digits in groups with spaces between
    them. A number consists of whole groups; at each group the longest is taken. ``offset``: position of ``run`` in the
    text.
    """
    groups = list(re.finditer(r"\d+[Xx]?|[Xx]", run))
    first = 0
    while first < len(groups):
        last = _longest(groups, first)
        if last is None:
            first += 1
        else:
            yield offset + groups[first].start(), offset + groups[last].end()
            first = last + 1


def _longest(groups: list[re.Match[str]], first: int) -> int | None:
    joined, found = "", None
    for last in range(first, min(len(groups), first + GROUPS_MAX)):
        joined += groups[last].group()
        if len(joined) > DIGITS_MAX:
            break
        if _is_personal(joined, [group.group() for group in groups[first : last + 1]]):
            found = last
    return found


def _is_personal(digits: str, groups: list[str]) -> bool:
    if len(groups) == 1 and _ONE_PIECE.fullmatch(digits):
        return True
    if not (_MOBILE.fullmatch(digits) or _IDENTITY.fullmatch(digits)):
        return False
    return len(groups) == 1 or not _is_list(groups)


def _is_list(groups: list[str]) -> bool:
    """Are these groups of digits a list of ascending numbers, such as windows (1 3 5 7 9 11 13 15)? Such a list only
    looks like one long number.
    """
    if any(len(group) > 3 or not group.isdigit() for group in groups):
        return False
    numbers = [int(group) for group in groups]
    return all(one < other for one, other in pairwise(numbers))
