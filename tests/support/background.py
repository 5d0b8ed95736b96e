"""Runs a coroutine in the background of a ``with`` block."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any


@asynccontextmanager
async def background(work: Coroutine[Any, Any, object], *ends: type[Exception]) -> AsyncIterator[None]:
    """Run ``work`` as a task while the block runs; cancel it at the end of the block. If it failed before, its
    exception is raised at the end of the block, except those of the types ``ends``.
    """
    task = asyncio.get_running_loop().create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError, *ends):
            await task
