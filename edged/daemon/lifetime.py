"""Resets the crash counter (``store/starts.py``) once a start has lasted long enough, and ends safe mode by a clean
restart.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from edged.store.starts import LIVED_S, SAFE_S, Starts

log = structlog.get_logger("edged.lifetime")


async def outlive(starts: Starts, safe: bool, stop: Callable[[], None]) -> None:
    """Reset the crash counter after ``LIVED_S``. In safe mode do so after ``SAFE_S`` and then call ``stop``, so that
    the next start is a normal one.
    """
    if safe:
        log.error(
            "safe-mode",
            ended_fast=starts.failed,
            left_out="the pushed policy, the tide, sending history to the centre",
            remedy="see what ended it before; push another policy; restarting the service tries everything again",
        )
    await asyncio.sleep(SAFE_S if safe else LIVED_S)
    starts.forget()
    if safe:
        log.warning("safe-mode-over", after_s=SAFE_S)
        stop()
