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
class Paper:
    """What a paper (材料) is called; clerks type its code."""

    text: Text
    text_en: Text


PAPERS: Mapping[str, Paper] = {
    "id-card": Paper("身份证原件", "identity card"),
    "id-copy": Paper("身份证复印件", "copy of the identity card"),
    "photo": Paper("证件照片", "photograph"),
    "contract": Paper("合同", "contract"),
    "licence": Paper("营业执照", "business licence"),
    "proxy": Paper("授权委托书", "power of attorney"),
    "form": Paper("申请表", "application form"),
    "proof": Paper("证明材料", "supporting document"),
}


@value
class Visits:
    """Absence, return, appointments and journeys.

    ``reoffer_s``: an absent visitor is called once more that long after the no-show (0: never), ``reoffers`` times.
    ``park_s``: a parked visitor is back in the queue after that (0: only by key).
    ``return_within_s``: who was told once what is missing may be back for so long (0: a new number is needed), and goes
    to the window that told them if ``return_to_owner``.
    ``papers``: names of what is missing, by code. ``promise_days``: working days to bring what was promised (容缺受理).
    ``queue_unprinted``: a number whose printing failed stays in the queue; if not, it waits for its reprint.
    ``owner_told_s``: the first owner (首问负责) of a transferred visitor is told after that, and again, while they wait
    (0: never).
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
    promise_days: int = 5
    papers: Mapping[Word, Paper] = field(default_factory=lambda: PAPERS)
    owner_told_s: int = 900
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
    "Visits.promise_days": (1, 60),
    "Visits.owner_told_s": (0, 7200),
}
