"""The source of random jitter for all links; the simulator replaces it by a seeded one."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_draw: Callable[[], float] = random.SystemRandom().random


def chance() -> float:
    """A random number in [0, 1)."""
    return _draw()


@contextmanager
def drawing(draw: Callable[[], float]) -> Iterator[None]:
    """While the ``with`` block runs, ``chance`` returns what ``draw`` returns."""
    global _draw
    before, _draw = _draw, draw
    try:
        yield
    finally:
        _draw = before
