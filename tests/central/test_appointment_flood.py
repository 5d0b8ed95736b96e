"""A flood of appointments, which nobody signs, is capped, counted and answered; a whole book at once is none."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from edged import clock
from edged.central.appointments import AT_ONCE_MAX, PER_S, AppointmentBook

FLOOD = 500


class Booking:
    """An MQTT message with an appointment."""

    topic = "hall/east/appointments"

    def __init__(self, number: int, acked: list[int]) -> None:
        start = "2026-11-30T09:00:00+08:00"
        body = {"id": f"b-{number}", "service": "tax-general", "start": start}
        self.payload = json.dumps(body).encode()
        self._number, self._acked = number, acked

    def ack(self) -> None:
        """No-op: the broker here repeats nothing."""
        self._acked.append(self._number)


class Nothing:
    """A link on which no message ever comes."""

    def subscribe(self, topic_filter: str, handler: Any) -> None:
        """No-op: no message comes."""


def test_a_flood_of_appointments_is_capped_counted_and_answered() -> None:
    now_s, taken, acked, counted, answered = [1.0], list[str](), list[int](), Counter[str](), list[str]()

    def put(event: Any, ack: Any = None, attachments: Any = None) -> bool:
        taken.append(event.id)
        return True

    def refused(why: Any, named: str, order: str = "") -> None:
        answered.append(why.code)

    with clock.reading(lambda: now_s[0], lambda: 0):
        book = AppointmentBook(
            "east", Nothing(), put, lambda reason, detail="": counted.update([reason]), refused
        )
        for number in range(AT_ONCE_MAX + FLOOD):
            book.receive(Booking(number, acked))
        assert len(taken) == AT_ONCE_MAX
        assert len(acked) == FLOOD, "or the broker would bring them again for ever"
        assert counted == {"appointment_unfit": FLOOD}
        assert answered == ["too-many-appointments"] * FLOOD
        now_s[0] += 10 / PER_S
        for number in range(20):
            book.receive(Booking(number, acked))
        assert len(taken) == AT_ONCE_MAX + 10
