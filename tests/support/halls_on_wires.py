"""Runs simulated halls without a daemon, each only a connection to the city's broker
(``edged/sim/city/wire_halls.py``).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

from edged.sim.city.wire_halls import WireCity
from tests.support.background import background


@asynccontextmanager
async def wire_halls(port: int, names: Iterable[str], **address: Any) -> AsyncIterator[WireCity]:
    """Run the halls ``names`` on the broker at ``port``; the block begins once they are connected. ``address``: further
    settings of the connection.
    """
    city = WireCity(port, names, **address)
    async with background(city.run()):
        async with asyncio.timeout(20):
            await city.connected.wait()
        yield city
