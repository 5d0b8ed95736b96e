"""What is remembered of devices: whether they can be reached, and what they were told to do once."""

from __future__ import annotations

from dataclasses import dataclass

from edged.core.commands import Body


@dataclass(frozen=True, slots=True)
class PendingAction:
    """An action whose outcome is not known yet."""

    point: str
    body: Body
    at_ms: int


@dataclass(frozen=True, slots=True)
class DeviceState:
    """Whether a device can be reached, and since when (``at_ms``)."""

    up: bool
    since_ms: int
    reason: str | None = None
