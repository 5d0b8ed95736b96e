"""Decodes JSON payloads into events and encodes commands as JSON payloads; no I/O.

Rules: the models below define the messages on ``hall/{hall}/dev/{device}/up/*``, from the device. An unknown key is
ignored and reported, because new firmware adds fields. A forbidden value makes the message invalid. An empty text or
null is the same as a missing key. A message with a text that could name a person is refused; control characters are
removed. Decoding raises only ``Unfit``.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import asdict
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
from msgspec import Meta, Struct

from edged.core.model.commands import (
    Action,
    Display,
    Evaluator,
    Issuing,
    Lamp,
    Page,
    Pager,
    Panel,
    Print,
    Refuse,
    Say,
    Serve,
    Value,
)
from edged.core.model.events import (
    CallReported,
    CommandDone,
    CommandFailed,
    CountRead,
    EndReported,
    Event,
    HealthRead,
    KeyPressed,
    QueueReported,
    RatingGiven,
    TicketPrinted,
    TicketRequested,
    WindowReported,
)
from edged.core.model.point import Point
from edged.driver import Refused
from edged.personal import is_harmless, names_a_person
from edged.shapes import ID, Misshapen, filled, form, keys_of, read, without_words
from edged.strict_json import NotStrictJson, parse
from edged.texts import cleaned

SIZE_MAX_BYTES = 16 * 1024  # of a payload, as documented; the largest valid one is under 1 KiB
DIGITS_MAX = 16  # of an integer: 2**53 has 16, what every JSON implementation keeps exactly
_NUMBER = re.compile(r"[0-9A-Za-z-]{1,12}")
_ENCODER = msgspec.json.Encoder()
TEXT_MAX_CHARS = (
    200  # a fault or error text; longer ones are cut, not refused: the fault matters more than its end
)
WAITING_MAX = 999  # numbers of one service
COUNT_MAX = 2**32 - 1  # people counters count in 32 bits
FREE_TEXTS = frozenset({"fault", "error"})  # a person reads them, nothing is decided by them
Seq = Annotated[int, Meta(ge=0, lt=2**53)]
Id = Annotated[str, ID]
Number = Annotated[str, form(r"^[0-9A-Za-z-]{1,12}$")]
Count = Annotated[int, Meta(ge=0, le=COUNT_MAX)]
ShortText = Annotated[str, Meta(max_length=64)]
Key = Literal[
    "next",
    "prepare",
    "announce",
    "recall",
    "arrive",
    "finish",
    "no-show",
    "park",
    "resume",
    "transfer",
    "pause",
    "unpause",
    "login",
    "logout",
    "accept",
    "decline",
    "later",
    "case",
    "commissioner",
    "guide",
    "special-need",
    "cancel",
    "priority",
    "walk-direct",
    "green-lane",
    "reprint",
    "promise-kept",
    "force-open",
    "force-close",
    "hold",
    "lift",
    "pause-issuing",
    "priority-insert",
    "extend-hours",
    "roster",
    "go-on",
    "answer",
]
Semantics = Literal["total", "window", "occupancy"]


class Unfit(Exception):
    """Raised for a payload that is refused. ``reason``: a short fixed word, the label of a counter. ``detail``: for the
    log; it contains nothing of the payload.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail


class _Payload(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Base of all payloads. Keys with their default value are left out when a payload is encoded (``omit_defaults``),
    which ``at_once`` needs to count keys.
    """


class _Input(_Payload, frozen=True, kw_only=True):
    """Base of messages about what happened at the device, such as a pressed key. ``seq`` increases by one with each
    such message. ``boot``: any text that differs after each start of the device, at which ``seq`` begins again.
    """

    seq: Seq
    boot: ShortText | None = None


class Status(_Payload, frozen=True):
    """``up/status``: whether the device is online. A retained message; "offline" is also the device's MQTT will, which
    the broker publishes when the device disappears.
    """

    state: Literal["online", "offline"]
    fw: ShortText | None = None


class TicketMessage(_Input, frozen=True, kw_only=True):
    """``up/ticket``: the device allocated and printed a number itself. ``priority``: the visitor's priority class, if
    any; ``reason``: the code of why the visitor has it, which some classes require.
    """

    number: Number
    service: Id
    priority: Id | None = None
    appointment: ShortText | None = None
    reason: Id | None = None


class RequestMessage(_Input, frozen=True, kw_only=True):
    """``up/request``: the device requests a number for a visitor. ``returning``: the number on the ticket of a visitor
    who comes back with one.
    """

    service: Id
    priority: Id | None = None
    appointment: ShortText | None = None
    reason: Id | None = None
    returning: ShortText | None = None  # as a scanner spells it


class KeyPress(_Input, frozen=True, kw_only=True):
    """``up/key``: somebody pressed a key. ``arg`` depends on the key: a ticket number, staff id, pause reason, transfer
    target or outcome. For an override (人工干预) it is the target with ``by=name`` and ``for_s=seconds``; for ``case``
    and ``answer`` see asyncapi.yaml.
    """

    key: Key
    arg: ShortText | None = None


class Call(_Input, frozen=True, kw_only=True):
    """``up/call`` of a queue system: it called ``number`` to ``window``, for the first time or again."""

    number: Number
    window: Id
    service: Id | None = None


class End(_Input, frozen=True, kw_only=True):
    """``up/end`` of a queue system: the visitor at ``window`` is finished, with this ``outcome``."""

    window: Id
    number: Number | None = None
    outcome: Literal["served", "no-show", "parked", "cancelled"] = "served"


class QueueMessage(_Input, frozen=True, kw_only=True):
    """``up/queue`` of a queue system: all tickets that wait for ``service``, in order."""

    service: Id
    waiting: Annotated[tuple[Number, ...], Meta(max_length=WAITING_MAX)]


class WindowMessage(_Input, frozen=True, kw_only=True):
    """``up/window`` of a queue system: whether a clerk is present at ``window``."""

    window: Id
    staffed: bool


class RatingMessage(_Input, frozen=True, kw_only=True):
    """``up/rating``: a visitor's rating, from 1 (very bad) to 5 (very good)."""

    level: Annotated[int, Meta(ge=1, le=5)]


class CountReport(_Input, frozen=True, kw_only=True):
    """``up/count`` of a people counter, in exactly one of three forms: totals since its reset (``in_total``,
    ``out_total``), people counted in a window of time (``in``, ``out``), or people inside now (``occupancy``).
    """

    in_total: Count | None = None
    out_total: Count | None = None
    entered: Count | None = msgspec.field(default=None, name="in")
    left: Count | None = msgspec.field(default=None, name="out")
    start: ShortText | None = msgspec.field(default=None, name="from")
    end: ShortText | None = msgspec.field(default=None, name="to")
    occupancy: Annotated[int, Meta(ge=-COUNT_MAX, le=COUNT_MAX)] | None = None


class HealthMessage(_Payload, frozen=True):
    """``up/health``: the state of the device's paper, and its fault; ``fault`` None: it has none."""

    paper: Literal["ok", "low", "out", "unknown"] = "unknown"
    fault: str | None = None
    seq: Seq | None = None
    boot: ShortText | None = None


class Done(_Payload, frozen=True):
    """``up/done``: the outcome of the action with this ``id``."""

    id: Annotated[str, Meta(max_length=128, pattern=r"[!-~]")]
    ok: bool
    error: str | None = None


MODELS: dict[str, type[_Payload]] = {
    "status": Status,
    "ticket": TicketMessage,
    "request": RequestMessage,
    "key": KeyPress,
    "call": Call,
    "end": End,
    "queue": QueueMessage,
    "window": WindowMessage,
    "rating": RatingMessage,
    "count": CountReport,
    "health": HealthMessage,
    "done": Done,
}
_KEYS = {kind: frozenset(keys_of(model)) for kind, model in MODELS.items()}
_DECODERS = {kind: msgspec.json.Decoder(model) for kind, model in MODELS.items()}


class Decoded(NamedTuple):
    """A valid payload, and the keys in it that its model does not know."""

    body: _Payload
    unknown_keys: tuple[str, ...] = ()


def decode(kind: str, payload: bytes) -> Decoded:
    """Parse the payload of ``up/{kind}``. Raises ``Unfit`` if it is not a valid message of that kind."""
    if kind not in MODELS:
        raise Unfit("unknown_topic")
    body = at_once(kind, payload)
    return by_parts(kind, payload) if body is None else Decoded(body)


def at_once(kind: str, payload: bytes) -> _Payload | None:
    """Decode an ordinary payload in one fast call. Returns None if the payload is not ordinary or not valid, so that
    ``by_parts`` has to check it more closely.

    A payload is ordinary if it cannot contain a personal number, no text is blank or begins with a space, and every key
    is known and occurs once (the payload has as many colons as the result when it is encoded again). This takes 50 us
    and ``by_parts`` 110, when the processor's caches are cold.
    """
    if len(payload) > SIZE_MAX_BYTES or b'""' in payload or b'" ' in payload or not is_harmless(payload):
        return None
    try:
        body: _Payload = _DECODERS[kind].decode(payload)
    except (msgspec.DecodeError, RecursionError):  # the second is of a thousand brackets under an unknown key
        return None
    return body if _ENCODER.encode(body).count(b":") == payload.count(b":") else None


def by_parts(kind: str, payload: bytes) -> Decoded:
    """Decode any payload. Blank texts are dropped; unknown keys are dropped, and listed in the result. Raises
    ``Unfit``, whose reason names the fault, if the payload is no JSON object, a key is missing or has an impossible
    value, or a text could name a person.
    """
    model = MODELS[kind]
    try:
        fields = parse(payload.rstrip(b"\0") or payload, SIZE_MAX_BYTES, DIGITS_MAX)  # in C a text's end
    except NotStrictJson as error:  # its text may quote a visitor's words
        raise Unfit(error.reason, f"{len(payload)} bytes") from None
    known = _KEYS[kind]
    unknown = tuple(key for key in fields if key not in known)
    for key in unknown:  # dropped here, so a person named in them goes no further
        del fields[key]
    if not is_harmless(payload):
        _check_texts(fields)
    try:
        body = read(model, filled(fields), most=1)
    except Misshapen as error:
        raise Unfit("invalid", without_words(error.faults[0])) from None
    return Decoded(body, unknown)


def _check_texts(fields: dict[str, Any]) -> None:
    if names_a_person(fields):
        raise Unfit("personal_data")
    for key in FREE_TEXTS & fields.keys():
        if isinstance(fields[key], str):  # cut in the middle of a character, perhaps; what it says counts
            fields[key] = fields[key].encode(errors="replace").decode()
    try:
        _ENCODER.encode(fields)
    except UnicodeEncodeError:
        raise Unfit("invalid", "half a surrogate pair") from None  # it could never be written down again
    for key, value in fields.items():
        if isinstance(value, str):
            fields[key] = cleaned(value)


def to_event(device: Point, body: Struct, count: Semantics | None = None, again: bool = False) -> Event:
    """Return the event for a decoded payload. ``count``: what the counts of this device mean according to hall.toml
    ("total", "window" or "occupancy"; None: any of them). ``again``: the broker sent the message before (DUP).

    Raises ``Unfit`` for a count of another kind, and for a scanned text that cannot be a ticket's number.
    """
    how = (again, getattr(body, "boot", None))
    match body:
        case TicketMessage():
            priority = body.priority or "normal"
            extra = (body.appointment, body.reason)
            return TicketPrinted(device, body.number, body.service, priority, body.seq, *extra, *how)
        case RequestMessage():
            priority = body.priority or "normal"
            returning = None if body.returning is None else _scanned(body.returning)
            asked = (body.appointment, body.reason, returning)
            return TicketRequested(device, body.service, priority, body.seq, *asked, *how)
        case KeyPress():
            return KeyPressed(device, body.key, body.arg, body.seq, *how)
        case Call():
            return CallReported(device, body.number, body.window, body.service, body.seq, *how)
        case End():
            return EndReported(device, body.window, body.number, body.outcome, body.seq, *how)
        case QueueMessage():
            return QueueReported(device, body.service, body.waiting, body.seq, *how)
        case WindowMessage():
            return WindowReported(device, body.window, body.staffed, body.seq, *how)
        case RatingMessage():
            return RatingGiven(device, body.level, body.seq, *how)
        case CountReport():
            return _count(device, body, count, again)
        case HealthMessage():
            return HealthRead(device, body.paper, _text(body.fault), body.seq, *how)
        case Done():
            return CommandDone(body.id) if body.ok else CommandFailed(body.id, _text(body.error) or "refused")
    raise Unfit("unknown_topic")


def encode_level(value: Value) -> tuple[str, bytes]:
    """Return the topic below ``down/`` and the payload for an output value. Raises ``Refused`` for a kind of value that
    no JSON device shows.
    """
    match value:
        case Lamp(state=state):
            return "lamp", _dump({"state": state})
        case Display(lines=lines, large=large):
            return "display", _dump({"lines": list(lines)} | ({"large": True} if large else {}))
        case Panel():
            fields = {
                "window": value.window,
                "number": value.number,
                "waiting": value.waiting,
                "state": value.state,
                "prompt": value.prompt,
                "wait_low_s": value.wait_low_s,
                "wait_high_s": value.wait_high_s,
                "prepared": value.prepared,
            }
            return "panel", _dump({key: item for key, item in fields.items() if item is not None})
        case Pager(waiting=waiting, prompt=prompt):
            return "pager", _dump({"waiting": waiting} | ({} if prompt is None else {"prompt": prompt}))
        case Serve(windows=windows):
            served = [{"window": window, "services": list(services)} for window, services in windows]
            return "serve", _dump({"windows": served})
        case Evaluator(number=number, case=case):
            asked = {"number": number, "case": case}
            known = {key: item for key, item in asked.items() if item is not None}
            return "evaluator", _dump({"window": value.window, "state": "rate" if known else "idle"} | known)
        case Issuing():
            return "issuing", _dump({"stopped": [asdict(service) for service in value.stopped]})
    raise Refused(f"no JSON device shows a {value.kind}")


def encode_action(action: Action) -> tuple[str, bytes]:
    """The topic below ``down/`` and the payload for an action."""
    body = action.body
    fields: dict[str, Any] = {"id": action.id}
    match body:
        case Say():
            fields |= {"text": body.text, "text_en": body.text_en, "ticket": body.ticket, "slow": body.slow}
        case Print():
            fields |= {"number": body.number, "service": body.service, "ahead": body.ahead}
            known = {"wait_low_s": body.wait_low_s, "wait_s": body.wait_s, "wait_high_s": body.wait_high_s}
            fields |= {key: seconds for key, seconds in known.items() if seconds is not None}
            if body.about != "ticket":
                fields["about"] = body.about
            if body.lines:
                fields |= {"lines": list(body.lines), "lines_en": list(body.lines_en)}
            if body.url is not None:
                fields["url"] = body.url
            asked = {"seq": body.seq, "boot": body.boot}
            if body.seq is not None:
                fields["answers"] = {key: item for key, item in asked.items() if item is not None}
        case Refuse():
            fields |= asdict(body)
        case Page():
            fields |= {
                "staff": body.staff,
                "area": body.area,
                "window": body.window,
                "text": body.text,
                "text_en": body.text_en,
            }
    return body.kind, _dump(fields)


def _count(device: Point, body: CountReport, declared: Semantics | None, again: bool) -> CountRead:
    """Return the event for a count. Raises ``Unfit`` unless all numbers of exactly one form are given, because the
    driver does not guess, or if that is not the form ``declared`` in hall.toml.
    """
    total = body.in_total is not None and body.out_total is not None
    window = body.entered is not None and body.left is not None
    occupancy = body.occupancy is not None
    given = [body.in_total, body.out_total, body.entered, body.left, body.occupancy]
    whole = 2 * total + 2 * window + occupancy
    if total + window + occupancy != 1 or whole != sum(item is not None for item in given):
        raise Unfit("count_shape")
    shape: Semantics = "total" if total else "window" if window else "occupancy"
    if declared is not None and shape != declared:
        raise Unfit("count_shape", f"{shape}, declared {declared}")
    if shape == "occupancy":
        return CountRead(
            device, "occupancy", occupancy=body.occupancy, seq=body.seq, again=again, boot=body.boot
        )
    entered, left = (body.in_total, body.out_total) if total else (body.entered, body.left)
    return CountRead(device, shape, entered or 0, left or 0, seq=body.seq, again=again, boot=body.boot)


def _scanned(number: str) -> str:
    """Normalize a number that a scanner read from paper: full-width characters become ASCII, spaces are removed. Raises
    ``Unfit`` if the rest cannot be a ticket's number.
    """
    read_off = "".join(unicodedata.normalize("NFKC", number).split())
    if not _NUMBER.fullmatch(read_off):
        raise Unfit("invalid", "returning")
    return read_off


def _text(text: str | None) -> str | None:
    """Cut a text to ``TEXT_MAX_CHARS``, with spaces for unprintable characters and line breaks; None stays None."""
    if text is None:
        return None
    return "".join(char if char.isprintable() else " " for char in text[:TEXT_MAX_CHARS])


def _dump(fields: dict[str, Any]) -> bytes:
    return _ENCODER.encode(fields)
