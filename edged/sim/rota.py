"""When simulated clerks are at their windows according to the hall's policy: lunch break and end of the day."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from edged.core.model.site import Site


class Rota:
    """The times of the clerks: lunch break and end of the day. ``hours``: the section ``hours`` of the policy document;
    ``minute``: returns the hall's time in minutes after midnight.
    """

    def __init__(self, site: Site, hours: Mapping[str, Any], minute: Callable[[], float]) -> None:
        self.minute = minute
        noon = hours["noon"]
        self._noon = (_minute(noon["starts"]), _minute(noon["ends"]))
        self._on_duty = frozenset(noon["windows"])
        area_of = {service.id: service.area for service in site.services}
        self._closes = {
            window.id: max(
                _minute(session["closes"])
                for session in hours["week"]
                if not session.get("areas") or {area_of[s] for s in window.skills} & set(session["areas"])
            )
            for window in site.windows
        }

    def at_lunch(self, window: str) -> bool:
        """Whether it is the lunch break now and the policy does not let this window work through it."""
        return window not in self._on_duty and self._noon[0] <= self.minute() < self._noon[1]

    def day_over(self, window: str) -> bool:
        """Whether the last opening hours of the window's areas have ended for today."""
        return self.minute() >= self._closes[window]


def _minute(clock: str) -> int:
    return int(clock[:2]) * 60 + int(clock[3:])
