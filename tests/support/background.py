"""Work that goes on beside a block of a test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any


@asynccontextmanager
async def background(work: Coroutine[Any, Any, object], *ends: type[Exception]) -> AsyncIterator[None]:
    """``work`` runs while the block does, and is cancelled with it. What it raised before is raised then, unless it is
    one of ``ends``.
    """
    task = asyncio.get_running_loop().create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError, *ends):
            await task
