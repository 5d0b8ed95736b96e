"""The two inputs of every visit, tickets and keys, straight from bytes to the event.

Rules: this accepts a part of what ``codec.decode`` accepts and makes the same event of it; whatever is unusual (unknown
keys, a key twice, anything beyond plain ASCII, a wrong value) is None here and left to the codec, which says why.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from devices.mqtt_json.codec import SIZE_MAX_BYTES, Id, Key, Number, Seq, ShortText
from edged.core.model.events import Event, KeyPressed, TicketPrinted
from edged.core.model.point import Point
from edged.personal import is_harmless


class _Ticket(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    seq: Seq
    number: Number
    service: Id
    priority: Id | UnsetType | None = UNSET
    appointment: ShortText | UnsetType | None = UNSET
    reason: Id | UnsetType | None = UNSET


class _Key(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    seq: Seq
    key: Key
    arg: ShortText | UnsetType | None = UNSET


_TICKET = msgspec.json.Decoder(_Ticket)
_KEY = msgspec.json.Decoder(_Key)


def quick_event(device: Point, kind: str, payload: bytes, again: bool = False) -> Event | None:
    """The event of a plain payload; None for any other, which may be as good. ``again``: the broker sent it before."""
    read = _READS.get(kind)
    if read is None or len(payload) > SIZE_MAX_BYTES or not is_harmless(payload):
        return None
    try:
        return read(device, payload, again)
    except msgspec.MsgspecError:
        return None


def _ticket(device: Point, payload: bytes, again: bool) -> Event | None:
    found = _TICKET.decode(payload)
    if payload.count(b'"') != 2 * (5 + sum(map(_texts, (found.priority, found.appointment, found.reason)))):
        return None
    priority = None if found.priority is UNSET else found.priority
    appointment = None if found.appointment is UNSET else found.appointment
    reason = None if found.reason is UNSET else found.reason
    if appointment is not None and not appointment.strip():
        return None
    return TicketPrinted(
        device, found.number, found.service, priority or "normal", found.seq, appointment, reason, again
    )


def _key(device: Point, payload: bytes, again: bool) -> Event | None:
    found = _KEY.decode(payload)
    if payload.count(b'"') != 2 * (3 + _texts(found.arg)):
        return None
    arg = None if found.arg is UNSET else found.arg
    if arg is not None and not arg.strip():
        return None
    return KeyPressed(device, found.key, arg, found.seq, again)


def _texts(value: str | UnsetType | None) -> Literal[0, 1, 2]:
    """Quoted texts of an optional field, its name included: more of them than the fields have is a key given twice."""
    return 0 if value is UNSET else 1 if value is None else 2


_READS: Mapping[str, Callable[[Point, bytes, bool], Event | None]] = {"ticket": _ticket, "key": _key}
