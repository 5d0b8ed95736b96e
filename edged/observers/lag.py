"""Measures how late the event loop wakes up, which shows every blocking call."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from edged import clock

PERIOD_S = 0.5  # twice a second: cheap, and no stall longer than that stays unseen


async def watch_loop(report: Callable[[float], None]) -> None:
    """Call ``report(seconds late)`` every ``PERIOD_S`` seconds until cancelled."""
    while True:
        before_s = clock.perf_s()
        await asyncio.sleep(PERIOD_S)
        report(max(0.0, clock.perf_s() - before_s - PERIOD_S))
