"""What is remembered of devices: whether they can be reached, and what they were told to do once."""

from __future__ import annotations

from edged.core.commands import Body
from edged.core.value import value


@value
class PendingAction:
    """An action whose outcome is not known yet."""

    point: str
    body: Body
    at_ms: int


@value
class DeviceState:
    """Whether a device can be reached, and since when (``at_ms``)."""

    up: bool
    since_ms: int
    reason: str | None = None
