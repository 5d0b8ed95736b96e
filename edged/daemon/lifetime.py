"""Resets the crash counter (``store/starts.py``) once a start has lasted long enough, and ends safe mode by a clean
restart.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from edged.store.starts import LIVED_S, SAFE_S, Starts

log = structlog.get_logger("edged.lifetime")


async def confirm_start(starts: Starts, safe: bool, stop: Callable[[], None]) -> None:
    """Reset the crash counter after ``LIVED_S``. In safe mode do so after ``SAFE_S`` and then call ``stop``, so that
    the next start is a normal one.
    """
    if safe:
        log.error(
            "safe-mode",
            crashes_in_a_row=starts.failed,
            effect="calls go on by the built-in policy; no tidal window opens, and the centre gets no history",
            remedy="find the crashes in the log; push another policy; a restart of the service tries everything again",
        )
    await asyncio.sleep(SAFE_S if safe else LIVED_S)
    starts.forget()
    if safe:
        log.warning(
            "safe-mode-ended",
            after_s=SAFE_S,
            effect="the process ends; systemd starts it again, in normal mode",
        )
        stop()
