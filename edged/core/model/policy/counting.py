"""Section ``counting``: what people counters are believed, and when too few of those who come hold a number."""

from __future__ import annotations

from collections.abc import Mapping

from edged.core.model.value import value


@value
class Counting:
    """People counters against tickets.

    ``people_per_minute``: no door lets through more; a report beyond it is suspect and not used. ``missing_people``
    (0 off): that many came in ``window_s``, and more than ``people_per_ticket`` for each number issued: the dispensers
    are looked after (``tickets-missing``). It is never a reason for a "+1" window.
    """

    people_per_minute: int = 120
    window_s: int = 900
    missing_people: int = 30
    people_per_ticket: int = 4


BOUNDS: Mapping[str, tuple[int, int]] = {
    "Counting.people_per_minute": (10, 1000),
    "Counting.window_s": (120, 7200),
    "Counting.missing_people": (0, 1000),
    "Counting.people_per_ticket": (1, 20),
}
