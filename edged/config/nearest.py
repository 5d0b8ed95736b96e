"""Suggests the name that a misspelt word may have meant."""

from __future__ import annotations

from collections.abc import Iterable


def nearest(word: str, names: Iterable[str]) -> str | None:
    """The most similar of ``names`` other than ``word``; None below a similarity of 0.6 (difflib's default)."""
    import difflib  # loaded with the first mistake: few starts have any

    found = difflib.get_close_matches(word, sorted(set(names) - {word}), n=1)
    return found[0] if found else None
