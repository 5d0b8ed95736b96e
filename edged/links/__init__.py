"""Connections to devices and the broker: each module implements one kind, with its reconnects and its errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from edged.core.model.losses import Loss


class ByteLink(Protocol):
    """A bidirectional byte stream (serial port, pty, TCP serial server, or memory in tests) that reconnects by
    itself.
    """

    async def run(self, on_bytes: Callable[[bytes], None], on_state: Callable[[bool, Loss], None]) -> None:
        """Keep the connection open until cancelled. ``on_bytes`` gets received bytes. ``on_state(up, why)`` is called
        once per change; ``why`` says why the connection was lost.
        """

    async def write(self, data: bytes) -> None:
        """Send all of ``data`` without gaps. Raises ``Unreachable`` while the connection is down."""

    def reopen(self, why: Loss) -> None:
        """Close the connection and open it again; ``on_state`` reports both, the loss for the reason ``why``. Drivers
        call this when a device has been silent too long, because nothing else shows that a USB adapter is frozen.
        """
