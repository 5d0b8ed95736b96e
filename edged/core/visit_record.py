"""What is remembered of a visit beside its ticket: where it has been, and whether it is expected."""

from __future__ import annotations

from edged.core.events import Priority
from edged.core.value import value


@value
class Stop:
    """One stage of a visit: which window ended it, how (an outcome, or "transferred"), when."""

    window: str
    service: str
    outcome: str
    at_ms: int


@value
class Booking:
    """An appointment nobody claimed yet. ``start_ms`` is wall time since 1970 UTC."""

    service: str
    start_ms: int
    priority: Priority


@value
class Prepared:
    """Whom a window calls next: by which rule (None: the last one), and the window they were sent to before."""

    ticket: int
    rule: str | None
    sent_to: str | None


@value
class CallShown:
    """One line of "last calls" on an area's displays."""

    number: str
    window: str
