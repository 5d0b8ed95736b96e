"""Encodes steps and state as compact JSON and decodes them without loss.

Rules: every JSON object names its class (``kind`` of an event, ``"type"`` of a command, value or body); an unknown
class or key is an error, never ignored; fields are written in declaration order. The order of a dict's keys is part of
the state, because the core iterates over dicts; so a dump preserves it and the dump's hash depends on it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import MISSING, fields, is_dataclass
from functools import cache, partial
from typing import Any, TypeVar, cast, get_args, get_type_hints

import msgspec

from edged.core.model.commands import (
    Action,
    AlarmsSummary,
    AreaSummary,
    Body,
    CasesSummary,
    Command,
    Desired,
    Note,
    Value,
    WindowSummary,
)
from edged.core.model.events import Event
from edged.core.model.point import Point
from edged.core.model.state import PendingAction

S = TypeVar("S")

EVENTS: dict[str, type] = {kind.__name__: kind for kind in get_args(Event)}
_FIRST_NAMES: dict[type, str] = {  # in journals these classes keep the names they had in version 0.2.0
    AreaSummary: "AreaPicture",
    WindowSummary: "WindowPicture",
    AlarmsSummary: "AlarmsPicture",
    CasesSummary: "CasesPicture",
}
VALUES: dict[str, type] = {_FIRST_NAMES.get(kind, kind.__name__): kind for kind in get_args(Value)}
BODIES: dict[str, type] = {kind.__name__: kind for kind in get_args(Body)}

_ENCODER = msgspec.json.Encoder()
_TAGS = {kind: b'{"type":"%b",' % name.encode() for name, kind in (VALUES | BODIES).items()}


class CodecError(ValueError):
    """The bytes are not in the form that this version of the program writes, or a value cannot be encoded."""


def encode_event(event: Event) -> tuple[str, bytes]:
    """Class name of the event, and its fields as JSON."""
    return type(event).__name__, _encode(event)


def decode_event(kind: str, blob: bytes | None) -> Event:
    """The event of class ``kind``; ``blob`` None: an event without fields (Tick). Raises ``CodecError`` if class or
    fields are unknown or invalid.
    """
    if kind not in EVENTS:
        raise CodecError(f"unknown event {kind!r}: written by a newer version?")
    return cast(Event, _decoded(blob or b"{}", EVENTS[kind]))


def encode_commands(commands: tuple[Command, ...]) -> bytes:
    """JSON list of commands, each with its class name under ``"type"``."""
    return b"[%b]" % b",".join(map(_encode_command, commands))


def decode_commands(blob: bytes | None) -> tuple[Command, ...]:
    """Inverse of ``encode_commands``; None means no commands. Raises ``CodecError`` for any other bytes."""
    listed = _parse(blob or b"[]")
    if not isinstance(listed, list):
        raise CodecError(f"not a list of commands: {str(listed)[:80]}")
    return tuple(map(_decode_command, listed))


def encode_notes(notes: tuple[Note, ...]) -> bytes:
    """The JSON list of a step's notes."""
    return _encode(notes)


def decode_notes(blob: bytes | None) -> tuple[Note, ...]:
    """Inverse of ``encode_notes``; None means no notes. Raises ``CodecError`` for any other bytes."""
    return cast("tuple[Note, ...]", _decoded(blob or b"[]", tuple[Note, ...]))


def dump_state(state: object) -> bytes:
    """Encode a state, with the keys of its dicts in their present order.

    Does not check field types; the writer therefore decodes each dump once (``reads_back``). Raises ``CodecError`` for
    a value that JSON cannot represent.
    """
    return _encode(state)


def load_state(blob: bytes, kind: type[S]) -> S:
    """Decode a state of class ``kind``. Raises ``CodecError`` if the bytes are not a state that this version can
    read.
    """
    state = _try(_reader(cast(Any, kind)), blob)
    _refuse_what_was_dropped(blob, state)
    return cast(S, state)


def reads_back(blob: bytes, kind: type) -> bool:
    """Whether a dump, decoded and encoded again, gives the same bytes. Raises ``CodecError`` if it cannot be
    decoded.
    """
    return _encode(_try(_reader(kind), blob)) == blob


def sha256(blob: bytes) -> str:
    """The SHA-256 of the bytes, in hex."""
    return hashlib.sha256(blob).hexdigest()


def canonical(blob: bytes | None) -> bytes:
    """The same JSON with sorted keys and no spaces, to compare outputs of two versions of the program."""
    return json.dumps(_parse(blob or b"[]"), sort_keys=True, separators=(",", ":")).encode()


def _encode_command(command: Command) -> bytes:
    if isinstance(command, Desired):
        return b'{"type":"Desired","point":%b,"value":%b}' % (_encode(command.point), _tagged(command.value))
    return b'{"type":"Action","id":%b,"point":%b,"body":%b}' % (
        _encode(command.id),
        _encode(command.point),
        _tagged(command.body),
    )


def _tagged(part: Value | Body) -> bytes:
    """JSON of an object's fields, preceded by its class name under ``"type"``. Every value or body class has fields, so
    the name is always followed by a comma.
    """
    return _TAGS[type(part)] + _encode(part)[1:]


def _decode_command(fields: Any) -> Command:
    try:
        match fields:
            case {"type": "Desired", "point": str(point), "value": {"type": str(name), **rest}} if (
                len(fields) == 3
            ):
                return Desired(Point(point), cast(Value, _build(VALUES[name], rest)))
            case {
                "type": "Action",
                "id": str(id_),
                "point": str(point),
                "body": {"type": str(name), **rest},
            } if len(fields) == 4:
                return Action(id_, Point(point), cast(Body, _build(BODIES[name], rest)))
    except KeyError as error:
        raise CodecError(f"unknown command part {error}: written by a newer version?") from None
    raise CodecError(f"not a command: {str(fields)[:80]}")


def _encode(value: object) -> bytes:
    """JSON text of plain values, dataclasses, and tuples and dicts of those."""
    try:
        return _ENCODER.encode(value)
    except (TypeError, ValueError, msgspec.MsgspecError) as error:
        raise CodecError(str(error)) from error


def _parse(blob: bytes) -> Any:
    return _try(_PLAIN.decode, blob)


def _decoded(blob: bytes, kind: Any) -> Any:
    made = _try(_decoder(kind).decode, blob)
    _refuse_what_was_dropped(blob, made)
    return made


def _build(kind: type, plain: dict[Any, Any]) -> object:
    made = _try(partial(msgspec.convert, type=kind), plain)
    _same(plain, msgspec.to_builtins(made), kind.__name__)
    return made


def _try(read: Any, given: Any, where: str = "") -> Any:
    try:
        return read(given)
    except (msgspec.MsgspecError, ValueError, TypeError, RecursionError) as error:
        raise CodecError(f"{where}: {error}" if where else str(error)) from error


def _refuse_what_was_dropped(blob: bytes, made: object) -> None:
    """Raise ``CodecError`` for keys that the dataclass does not have, which msgspec silently ignores.

    If encoding the decoded value gives the bytes that were read, no key was ignored. That is the fast path: it holds
    for everything that this version wrote.
    """
    if _encode(made) != blob:
        _same(_parse(blob), msgspec.to_builtins(made, str_keys=True), type(made).__name__)


def _same(theirs: Any, ours: Any, where: str) -> None:
    """Raise ``CodecError`` unless ``ours``, the value that was decoded, contains everything in ``theirs``, the JSON
    that was read. It may contain more: defaults of fields that were added later. ``where``: path of the value, for the
    error.
    """
    if isinstance(theirs, dict) and isinstance(ours, dict):
        for key, part in theirs.items():
            if key not in ours:
                raise CodecError(f"{where} has no {key}: written by a newer version?")
            _same(part, ours[key], f"{where}.{key}")
    elif isinstance(theirs, list) and isinstance(ours, list | tuple):
        if len(theirs) != len(ours):
            raise CodecError(f"{where} has {len(theirs)} entries, of which {len(ours)} were read")
        for number, (part, our) in enumerate(zip(theirs, ours, strict=True)):
            _same(part, our, f"{where}[{number}]")


@cache
def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind)


@cache
def _reader(kind: type) -> Callable[[bytes], Any]:
    """Decoder of a state class. It decodes field by field, because two fields hold instances of several classes."""
    if not is_dataclass(kind):
        return _decoder(kind).decode
    hints = get_type_hints(kind)
    own = {dict[str, Value]: _values, dict[str, PendingAction]: _pending}
    parts = {
        field.name: own.get(hints[field.name]) or _decoder(hints[field.name]).decode for field in fields(kind)
    }

    def read(blob: bytes) -> Any:
        raw = _RAW.decode(blob)
        unknown = raw.keys() - parts.keys()
        if unknown:
            raise CodecError(f"{kind.__name__} has no {min(unknown)}: written by a newer version?")
        return kind(**{name: _try(parts[name], part, name) for name, part in raw.items()})

    return read


def _values(blob: bytes) -> dict[str, Value]:
    found = _decoder(dict[str, dict[str, Any]]).decode(blob)
    return {key: cast(Value, _one_of(VALUES.values(), part)) for key, part in found.items()}


def _pending(blob: bytes) -> dict[str, PendingAction]:
    found = _decoder(dict[str, _Pending]).decode(blob)
    return {
        key: PendingAction(one.point, cast(Body, _one_of(BODIES.values(), one.body)), one.at_ms)
        for key, one in found.items()
    }


class _Pending(msgspec.Struct, forbid_unknown_fields=True):
    """A ``PendingAction`` whose body is not decoded yet."""

    point: Point
    body: dict[str, Any]
    at_ms: int


def _one_of(kinds: Iterable[type], plain: dict[str, Any]) -> object:
    """Decode ``plain`` as an instance of the first class of ``kinds`` that has all its fields, and for which no field
    without a default is missing: no two classes have the same fields.
    """
    for kind in kinds:
        known = _fields(kind)
        if plain.keys() <= known.keys() and all(name in plain for name in known if known[name]):
            return _build(kind, plain)
    raise CodecError(f"no class has the fields {', '.join(plain)}: written by a newer version?")


@cache
def _fields(kind: type) -> dict[str, bool]:
    """The fields of a class: name, and whether it has no default."""
    return {
        field.name: field.default is MISSING and field.default_factory is MISSING
        for field in fields(cast(Any, kind))
    }


_PLAIN = msgspec.json.Decoder()
_RAW = msgspec.json.Decoder(dict[str, msgspec.Raw])
