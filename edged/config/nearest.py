"""Suggests the name somebody may have meant."""

from __future__ import annotations

from collections.abc import Iterable


def nearest(word: str, names: Iterable[str]) -> str | None:
    """The nearest of ``names`` that is not ``word`` itself, or None. 0.6 of similarity is difflib's own default."""
    import difflib  # loaded with the first mistake: few starts have any

    found = difflib.get_close_matches(word, sorted(set(names) - {word}), n=1)
    return found[0] if found else None
