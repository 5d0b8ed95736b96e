"""A life long enough is a good one: what a crash loop is told by, and how safe mode ends (``store/starts.py``)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from edged.store.starts import LIVED_S, SAFE_S, Starts

log = structlog.get_logger("edged.lifetime")


async def outlive(starts: Starts, safe: bool, stop: Callable[[], None]) -> None:
    """Forget earlier ends once this life was long enough; out of safe mode by a clean restart, so by ``stop``."""
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
