"""Appointments made with the centre (网上预约), on ``hall/{hall}/appointments``: each becomes an event of the core.

Rules: unsigned, as what devices send: an appointment only lets somebody check in, and the broker's ACL says who may
write here. A strict shape that names no person; what does not fit is counted. The same id again moves the appointment;
with ``cancelled`` it calls it off. The centre hears of each as an event (``appointment.made``, ``…cancelled``, or
``…refused`` with the id and a code), which needs nothing of the line. Empty texts, null and ``"cancelled": false`` are
as good as absent. A whole book may come at once; what floods us after that is counted, answered and not kept.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any, Literal, Protocol

from edged import personal, strict_json
from edged.central import topics
from edged.central.audience import Moment, epoch_ms
from edged.central.policy_desk import PushMessage, Put, TellRefusal
from edged.central.refusals import reason
from edged.clock import monotonic_s
from edged.core.model.events import AppointmentCancelled, AppointmentMade
from edged.core.queue.bookings import BOOKINGS_MAX
from edged.driver import Reject
from edged.shapes import ID, Misshapen, Shape, filled, form, read, without_words

BYTES_MAX = 4_096
AT_ONCE_MAX = BOOKINGS_MAX  # the book of a hall, sent again as a whole
PER_S = 1.0  # after that: many times what a hall's visitors book and call off, and no disk is filled by it

ID_FORM = r"^[0-9A-Za-z_.-]{1,64}$"
_ID = re.compile(ID_FORM)
Id = Annotated[str, form(ID_FORM)]


class Appointment(Shape, frozen=True):
    """``start``: RFC 3339 with offset. ``id`` is what the visitor shows or types at the dispenser."""

    id: Id
    service: Annotated[str, ID]
    start: Moment
    priority: Annotated[str, ID] = "normal"


class CalledOff(Shape, frozen=True):
    """An appointment that is cancelled: only its id is needed."""

    id: Id
    cancelled: Literal[True]


def _event(fields: dict[str, Any]) -> AppointmentMade | AppointmentCancelled:
    """The core event of a message. Raises ``ValueError`` (``Misshapen`` is one) for anything that is no
    appointment.
    """
    if fields.get("cancelled") is False:
        del fields["cancelled"]
    if "cancelled" in fields:
        return AppointmentCancelled(read(CalledOff, fields, most=1).id)
    made = read(Appointment, fields, most=1)
    return AppointmentMade(made.id, made.service, epoch_ms(made.start), made.priority)


class Listening(Protocol):
    """The part of ``edged.links.mqtt.MqttLink`` that is used here."""

    def subscribe(self, topic_filter: str, handler: Callable[[Any], None]) -> None: ...


class AppointmentBook:
    """Puts every appointment received into the inbox; the broker keeps it until its step is on disk."""

    def __init__(self, hall: str, link: Listening, put: Put, reject: Reject, refused: TellRefusal) -> None:
        self._topic = topics.appointments(hall)
        self._link = link
        self._put = put
        self._reject = reject
        self._refused = refused
        self._room = float(AT_ONCE_MAX)
        self._filled_s = monotonic_s()

    def start(self) -> None:
        """Subscribe to the topic of appointments."""
        self._link.subscribe(self._topic, self.receive)

    def receive(self, message: PushMessage) -> None:
        """Handle a message on the topic of appointments."""
        fields: dict[str, Any] = {}
        if not self._has_room():
            self._refuse(message, "too many", {}, "too-many-appointments")
            return
        try:
            fields = strict_json.parse_document(message.payload, BYTES_MAX)
            if personal.where(fields) is not None:
                self._refuse(message, "personal data", {}, "personal-data")
                return
            event = _event(filled(fields))
        except Misshapen as error:
            self._refuse(message, without_words(error.faults[0]), fields)
        except (strict_json.NotStrictJson, ValueError, OverflowError) as error:
            self._refuse(message, str(error), fields)
        else:
            if not self._put(event, message.ack):
                self._reject("inbox_full", type(event).__name__)

    def _has_room(self) -> bool:
        """Whether one more appointment is accepted now: each costs a row of the journal."""
        now_s = monotonic_s()
        self._room = min(AT_ONCE_MAX, self._room + (now_s - self._filled_s) * PER_S)
        self._filled_s = now_s
        if self._room < 1:
            return False
        self._room -= 1
        return True

    def _refuse(
        self, message: PushMessage, detail: str, fields: dict[str, Any], code: str = "not-an-appointment"
    ) -> None:
        self._reject("appointment_unfit", detail)
        named = fields.get("id")
        fit = isinstance(named, str) and _ID.fullmatch(named)
        self._refused(reason(code), "", str(named) if fit else "")
        message.ack()
