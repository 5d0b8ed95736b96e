"""Wires: each module implements one kind of connection, with its reconnects and its failures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from edged.core.model.losses import Loss


class ByteLink(Protocol):
    """A full-duplex byte wire (serial port, pty, TCP serial server, or memory in tests)."""

    async def run(self, on_bytes: Callable[[bytes], None], on_state: Callable[[bool, Loss], None]) -> None:
        """Keep the wire open until cancelled. ``on_state(up, why)`` is called once per change (``why``: reason of a
        loss).
        """

    async def write(self, data: bytes) -> None:
        """Send all of ``data`` without gaps. Raises ``Unreachable`` while the wire is down."""

    def reopen(self, why: Loss) -> None:
        """Close and open the wire again, reported as down and up. Drivers call it because a frozen adapter only shows
        as silence.
        """
