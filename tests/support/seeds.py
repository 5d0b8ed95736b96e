"""Seeds that once found a bug, kept in a file beside the test that lives them again."""

from __future__ import annotations

from pathlib import Path


def kept_seeds(file: Path) -> list[tuple[int, int]]:
    """Seed and days of each line; what follows a # is a remark."""
    lines = (line.split("#")[0].split() for line in file.read_text().splitlines())
    return [(int(words[0]), int(words[1])) for words in lines if words]
