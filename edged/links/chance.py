"""The source of random jitter for every link; a simulated world replaces it by one from its seed."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_draw: Callable[[], float] = random.SystemRandom().random


def chance() -> float:
    """A number in [0, 1)."""
    return _draw()


@contextmanager
def drawing(draw: Callable[[], float]) -> Iterator[None]:
    """Inside this context ``chance`` takes its numbers from ``draw``."""
    global _draw
    before, _draw = _draw, draw
    try:
        yield
    finally:
        _draw = before
