"""Section ``visits``: what may happen to a visit beside being called and served."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from edged.core.model.policy.words import ServiceId, Text, Word
from edged.core.model.value import value


@value
class Journey:
    """Several services for one number (一件事一次办), in this order."""

    stages: tuple[ServiceId, ...]
    label: Text | None = None
    label_en: Text | None = None


@value
class Visits:
    """Absence, return, appointments and journeys.

    ``reoffer_s``: an absent visitor is called once more that long after the no-show (0: never), ``reoffers`` times.
    ``park_s``: a parked visitor is back in the queue after that (0: only by key).
    ``return_within_s``: who was told once what is missing may be back for so long (0: a new number is needed), and goes
    to the window that told them if ``return_to_owner``.
    ``queue_unprinted``: a number whose printing failed stays in the queue; if not, it waits for its reprint.
    An appointment may check in from ``check_in_early_s`` before its start, is callable ``callable_early_s`` before it,
    keeps its priority until ``check_in_late_s`` after it, and is forgotten ``booking_expires_s`` after it.
    """

    reoffer_s: int = 300
    reoffers: int = 1
    park_s: int = 1800
    return_within_s: int = 14400
    return_to_owner: bool = False
    queue_unprinted: bool = True
    check_in_early_s: int = 3600
    callable_early_s: int = 300
    check_in_late_s: int = 900
    booking_expires_s: int = 7200
    journeys: Mapping[Word, Journey] = field(default_factory=dict)


BOUNDS: Mapping[str, tuple[int, int]] = {
    "Visits.reoffer_s": (0, 3600),
    "Visits.reoffers": (0, 3),
    "Visits.park_s": (0, 14400),
    "Visits.return_within_s": (0, 36000),
    "Visits.check_in_early_s": (0, 14400),
    "Visits.callable_early_s": (0, 3600),
    "Visits.check_in_late_s": (0, 7200),
    "Visits.booking_expires_s": (0, 36000),
}
