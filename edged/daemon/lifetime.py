"""Resets the crash counter after a start that lasted, and leaves safe mode by a clean restart (see
``store/starts.py``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from edged.store.starts import LIVED_S, SAFE_S, Starts

log = structlog.get_logger("edged.lifetime")


async def outlive(starts: Starts, safe: bool, stop: Callable[[], None]) -> None:
    """Once this process has run long enough, forget earlier crashes; in safe mode call ``stop``, so that the next
    start leaves it.
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
