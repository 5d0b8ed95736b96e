"""Appointments made with the centre (网上预约), received on ``hall/{hall}/appointments`` and turned into events of the
core.

Like the messages of devices, they are not signed: an appointment only lets somebody check in, and the broker's ACL
decides who may publish here. The message format has no place for a person's name; invalid messages are counted. The
same id again moves the appointment, and ``cancelled`` cancels it. The centre receives each result as an event
(``appointment.made``, ``…cancelled``, or ``…refused`` with id and code), over any MQTT version. Empty texts, null and
``"cancelled": false`` count as absent. Up to ``AT_ONCE_MAX`` may come at once, and ``PER_S`` a second in the long run;
those beyond are counted and refused.
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
AT_ONCE_MAX = BOOKINGS_MAX  # all appointments of a hall, sent again at once
PER_S = 1.0  # in the long run: far more than visitors book, and too few to fill a disk

ID_FORM = r"^[0-9A-Za-z_.-]{1,64}$"
_ID = re.compile(ID_FORM)
Id = Annotated[str, form(ID_FORM)]


class Appointment(Shape, frozen=True):
    """A message that makes or moves an appointment. ``start``: RFC 3339 with offset. ``id``: what the visitor shows or
    types at the dispenser.
    """

    id: Id
    service: Annotated[str, ID]
    start: Moment
    priority: Annotated[str, ID] = "normal"


class CalledOff(Shape, frozen=True):
    """A message that cancels an appointment; only its id is needed."""

    id: Id
    cancelled: Literal[True]


def _event(fields: dict[str, Any]) -> AppointmentMade | AppointmentCancelled:
    """The core event of a message. Raises ``ValueError`` (including ``Misshapen``) if it is not a valid appointment."""
    if fields.get("cancelled") is False:
        del fields["cancelled"]
    if "cancelled" in fields:
        return AppointmentCancelled(read(CalledOff, fields, most=1).id)
    made = read(Appointment, fields, most=1)
    return AppointmentMade(made.id, made.service, epoch_ms(made.start), made.priority)


class Listening(Protocol):
    """What ``AppointmentBook`` needs of the connection to the broker: to subscribe to a topic. ``MqttLink`` does it in
    the daemon; a Protocol, so that a test needs no broker.
    """

    def subscribe(self, topic_filter: str, handler: Callable[[Any], None]) -> None: ...


class AppointmentBook:
    """Receives appointments from the centre and puts each into the core's inbox.

    The MQTT message is acknowledged once the core has handled the appointment and that step is on disk; a refused one
    is acknowledged at once.
    """

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
        """Whether the rate limit (``AT_ONCE_MAX`` at once, ``PER_S`` in the long run) allows one more appointment now;
        if so, count it. Each appointment costs a row of the journal.
        """
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
