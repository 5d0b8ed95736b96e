"""Substitutes characters that a terminal cannot print (zh_CN.GBK, serial consoles, ASCII).

Without this a report would end in a ``UnicodeEncodeError``. No substitute looks like another of our marks (✓ ✗ ? □).
"""

from __future__ import annotations

import codecs
import sys
from typing import TextIO

# Substitutes for a character, the most similar first; the last is ASCII.
STANDS_FOR = {
    "✓": ("√", "v"), "✗": ("×", "x"), "□": ("[ ]",), "■": ("[x]",), "→": ("->",), "←": ("<-",), "≤": ("<=",),
    "≥": (">=",), "…": ("...",), "—": ("-",), "–": ("-",), "−": ("-",), "·": (".",), "“": ('"',), "”": ('"',),
    "‘": ("'",), "’": ("'",), "×": ("x",), "°": ("o",), "é": ("e",),
}  # fmt: skip
NAME = "edged-terminal"


def substitute_unprintable() -> None:
    """Make stdout and stderr print substitutes for missing characters from now on, instead of raising."""
    codecs.register_error(NAME, _otherwise)
    for stream in (sys.stdout, sys.stderr):
        _soften(stream)


def _soften(stream: TextIO) -> None:
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None and getattr(stream, "errors", "") != "surrogateescape":
        reconfigure(errors=NAME)


def _otherwise(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    return "".join(_nearest(char, error.encoding) for char in lacking), error.end


def _nearest(char: str, encoding: str) -> str:
    for text in (*STANDS_FOR.get(char, ()), "?"):
        try:
            text.encode(encoding)
        except UnicodeEncodeError:
            continue
        return text
    return "?"
