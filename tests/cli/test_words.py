"""The list of every text: complete, filled, and without English in the Chinese."""

from __future__ import annotations

import re

from edged.cli.words import example, rows

ALLOWED = re.compile(r"[A-Z]\d{3}|broker|\bv\d|\+1")  # what technicians read, and names


def test_every_text_is_filled_and_chinese_is_chinese() -> None:
    seen = set()
    for situation, chinese, english in rows():
        assert situation not in seen, situation
        seen.add(situation)
        shown = example(chinese, 0)
        assert chinese, f"{situation} has no Chinese"
        assert "{" not in shown, situation
        assert "{" not in example(english, 1), situation
        assert not re.search(r"[A-Za-z]{2,}", ALLOWED.sub("", shown)), f"{situation}: {shown}"
        assert not re.search(r"[\u4e00-\u9fff], |[\u4e00-\u9fff]; ", shown), f"{situation}: {shown}"
    assert len(seen) > 150
