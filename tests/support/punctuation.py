"""Finds half-width marks beside Chinese characters: 标点应为全角. Marks in code, addresses and numbers may stay."""

from __future__ import annotations

import re

HAN = "\u4e00-\u9fff"
BESIDE = re.compile(f"(?<=[{HAN}”》]) ?[,:;!?()]|[,:;!?()] ?(?=[{HAN}“《])")
# `code`, a link's target, a picture's mark, a key or address with its scheme
CODE = re.compile(r"`[^`\n]*`|\]\([^)\n]*\)|!(?=\[)|\b[a-z+]+://[^\s，。；）|]*")
NAMED = re.compile(
    f'(?<=[A-Za-z0-9`"]) \\([{HAN}，、/ ]+\\)'
)  # an English sentence says a thing's Chinese name
# One line in two languages: the mark belongs to the English that follows or ends
TURNED = re.compile(f'(?<=[{HAN}])[,:;] (?=[A-Za-z0-9"`])|(?<=[^{HAN}])[,:;)] (?=[{HAN}])')


def half_width(text: str, bilingual: bool = False) -> list[str]:
    """The surroundings (12 characters each side) of every half-width mark beside a Chinese character. ``bilingual``: a
    mark is allowed where a line changes between Chinese and English.
    """
    text = NAMED.sub("", CODE.sub("`", text))
    if bilingual:
        text = TURNED.sub(" ", text)
    return [text[max(0, found.start() - 12) : found.end() + 12] for found in BESIDE.finditer(text)]
