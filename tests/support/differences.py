"""Shows how one text differs from another, for files that record what a change causes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import takewhile

SHOWN_MAX = 160  # characters of a difference


def difference(usual: str, found: str) -> str:
    """The words of ``found`` between the words at start and end that it has in common with ``usual``. "the same" if the
    texts are equal, "nothing" if words are only missing.
    """
    before, after = (re.findall(r"[^ ,;()]+|[,;()]", text) for text in (usual, found))
    same = _alike_from_start(before, after)
    rest, told = before[same:], after[same:]
    alike = _alike_from_start(rest[::-1], told[::-1])
    words = " ".join(told[: len(told) - alike])
    if len(words) > SHOWN_MAX:
        return f"{words[:SHOWN_MAX]}… {len(words)} characters"
    return words or ("nothing" if len(rest) > alike else "the same")


def _alike_from_start(one: Sequence[str], other: Sequence[str]) -> int:
    return len(list(takewhile(lambda both: both[0] == both[1], zip(one, other, strict=False))))
