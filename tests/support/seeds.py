"""Reads the seeds of random days that once showed a bug. They are kept in a file beside the test that runs them
again.
"""

from __future__ import annotations

from pathlib import Path


def kept_seeds(file: Path) -> list[tuple[int, int]]:
    """The seed and the number of days in each line of ``file``; text after a # is a remark."""
    lines = (line.split("#")[0].split() for line in file.read_text().splitlines())
    return [(int(words[0]), int(words[1])) for words in lines if words]
