"""Halls on wires (``edged/sim/city/wire_halls.py``), running while a block does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

from edged.sim.city.wire_halls import WireCity
from tests.support.background import background


@asynccontextmanager
async def wire_halls(port: int, names: Iterable[str], **address: Any) -> AsyncIterator[WireCity]:
    """Connected when the block begins."""
    city = WireCity(port, names, **address)
    async with background(city.run()):
        async with asyncio.timeout(20):
            await city.connected.wait()
        yield city
