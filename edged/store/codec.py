"""Steps and state as compact JSON, and back without loss.

Rules: a class name tells which class a JSON object is (``kind`` of an event, ``"type"`` of a command, value or body);
an unknown class or key is an error, never skipped; fields stand in declaration order. The order of a dict's keys is
part of the state (the core iterates over dicts), so a dump keeps it and its hash covers it.
"""

from __future__ import annotations

import hashlib
import json
from functools import cache
from typing import Any, TypeVar, cast, get_args

import msgspec
from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic_core import from_json

from edged.core.commands import Action, Body, Command, Desired, Note, Value
from edged.core.events import Event

S = TypeVar("S")

EVENTS: dict[str, type] = {kind.__name__: kind for kind in get_args(Event)}
VALUES: dict[str, type] = {kind.__name__: kind for kind in get_args(Value)}
BODIES: dict[str, type] = {kind.__name__: kind for kind in get_args(Body)}

_ENCODER = msgspec.json.Encoder()
_TAGS = {kind: b'{"type":"%b",' % name.encode() for name, kind in (VALUES | BODIES).items()}

# Plain dataclasses take this only through a container, hence the one-element tuple in `_strict`.
_CONFIG = ConfigDict(extra="forbid")


class CodecError(ValueError):
    """Bytes that are not what this version of the program writes, or a value it cannot write."""


def encode_event(event: Event) -> tuple[str, bytes]:
    """Class name and JSON of the fields."""
    kind = type(event)
    return kind.__name__, _encode(event)


def decode_event(kind: str, blob: bytes | None) -> Event:
    """The event; ``blob`` None stands for no fields (Tick). Raises ``CodecError``."""
    if kind not in EVENTS:
        raise CodecError(f"unknown event {kind!r}: written by a newer version?")
    return cast(Event, _build(EVENTS[kind], _parse(blob or b"{}")))


def encode_commands(commands: tuple[Command, ...]) -> bytes:
    """JSON list of tagged commands."""
    return b"[%b]" % b",".join(map(_encode_command, commands))


def decode_commands(blob: bytes | None) -> tuple[Command, ...]:
    """Inverse of ``encode_commands``; None stands for none. Raises ``CodecError``."""
    listed = _parse(blob or b"[]")
    if not isinstance(listed, list):
        raise CodecError(f"not a list of commands: {str(listed)[:80]}")
    return tuple(map(_decode_command, listed))


def encode_notes(notes: tuple[Note, ...]) -> bytes:
    """JSON list of notes."""
    return _encode(notes)


def decode_notes(blob: bytes | None) -> tuple[Note, ...]:
    """Inverse of ``encode_notes``. Raises ``CodecError``."""
    try:
        return _notes().validate_json(blob or b"[]")
    except ValidationError as error:
        raise CodecError(_first(error)) from error


def dump_state(state: object) -> bytes:
    """JSON of a state tree, keys of its dicts in their own order.

    Its types are not asked: the writer reads the dump back. Raises ``CodecError`` for what JSON has no form of.
    """
    return _encode(state)


def learn_state(kind: type) -> None:
    """What ``load_state`` has to find out about ``kind``, once per process."""
    _strict(cast(Any, kind))


def load_state(blob: bytes, kind: type[S]) -> S:
    """The state tree of class ``kind``. Raises ``CodecError``."""
    try:
        return cast("tuple[S]", _strict(cast(Any, kind)).validate_json(b"[%s]" % blob))[0]
    except ValidationError as error:
        raise CodecError(_first(error)) from error


def sha256(blob: bytes) -> str:
    """Hex SHA-256."""
    return hashlib.sha256(blob).hexdigest()


def canonical(blob: bytes | None) -> bytes:
    """The same JSON with sorted keys and no spaces, for comparing what two versions wrote."""
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
    """The fields (every class of value or body has some) behind the name of their class."""
    return _TAGS[type(part)] + _encode(part)[1:]


def _decode_command(fields: Any) -> Command:
    try:
        match fields:
            case {"type": "Desired", "point": str(point), "value": {"type": str(name), **rest}} if (
                len(fields) == 3
            ):
                return Desired(point, cast(Value, _build(VALUES[name], rest)))
            case {
                "type": "Action",
                "id": str(id_),
                "point": str(point),
                "body": {"type": str(name), **rest},
            } if len(fields) == 4:
                return Action(id_, point, cast(Body, _build(BODIES[name], rest)))
    except KeyError as error:
        raise CodecError(f"unknown command part {error}: written by a newer version?") from None
    raise CodecError(f"not a command: {str(fields)[:80]}")


def _encode(value: object) -> bytes:
    """JSON of plain values, dataclasses, tuples and dicts of them."""
    try:
        return _ENCODER.encode(value)
    except (TypeError, ValueError, msgspec.MsgspecError) as error:
        raise CodecError(str(error)) from error


@cache
def _notes() -> TypeAdapter[tuple[Note, ...]]:
    return TypeAdapter(tuple[Note, ...], config=_CONFIG)


def _parse(blob: bytes) -> Any:
    try:
        return from_json(blob)
    except ValueError as error:
        raise CodecError(f"not JSON: {error}") from error


@cache
def _strict(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(tuple[kind], config=_CONFIG)


def _build(kind: type, fields: object) -> object:
    try:
        return _strict(kind).validate_python((fields,))[0]
    except ValidationError as error:
        raise CodecError(_first(error)) from error


def _first(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    return f"{error.title} {'.'.join(map(str, first['loc']))}: {first['msg']}"
