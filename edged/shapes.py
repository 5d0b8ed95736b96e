"""Validates documents from outside (hall.toml, JSON from devices and from the city's centre) against a type, and
reports everything that is wrong with them.

msgspec decides whether it is valid. It stops at the first mistake, so a refused value is then examined part by part to
find all of them. The caller turns the faults into sentences for its own readers.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from itertools import islice
from typing import Annotated, Any, Literal, NamedTuple, TypeVar, Union, get_args, get_origin, get_type_hints
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta, Struct

S = TypeVar("S", bound=Struct)
Path = tuple[str | int, ...]
What = Literal[
    "missing",  # a required key is missing
    "unknown",  # an unknown key; wanted: the known ones
    "kind",  # wrong type; wanted: one of KINDS
    "choice",  # not an allowed value; wanted: the allowed ones
    "form",  # does not match a pattern; wanted: the pattern
    "at_least",  # a bound is broken; wanted, here and in the next six: the bound
    "more_than",
    "at_most",
    "less_than",
    "multiple_of",
    "too_short",
    "too_long",
    "rule",  # a rule is broken; wanted: the rule's sentence about the value
]
KINDS = {str: "text", int: "whole", float: "number", bool: "truth", tuple: "list", dict: "table"}
_ASCII, _END = "(?a)", r"\Z"
_UNIONS = (types.UnionType, Union)


class Fault(NamedTuple):
    """One thing that is wrong with a document: ``what`` is wrong with ``value`` at ``path``. ``wanted``: what is
    allowed there; see ``What``.
    """

    path: Path
    what: What
    value: object = None
    wanted: Any = None


def without_words(fault: Fault) -> str:
    """Return path and kind of a fault as text for a log. Leaves out the value and unknown keys, because the sender may
    have written anything into them. The keys of a table that may have any keys (dict) are the exception: they stay,
    because they are part of the path.
    """
    return f"{dotted(fault.path[:-1] if fault.what == 'unknown' else fault.path)}: {fault.what}"


class Misshapen(ValueError):
    """A document does not fit its type. ``faults``: what is wrong with it, at least one entry."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        super().__init__(
            "; ".join(f"{dotted(one.path)}: {one.what} {one.wanted or ''}".strip() for one in faults)
        )
        self.faults = faults


class Rule:
    """A check for conditions that bounds cannot express; it is attached to a type as ``Annotated[type, Rule(check)]``.

    ``check`` gets a value of the type and returns the value to store; it raises ``ValueError`` with what is wrong.
    """

    def __init__(self, check: Callable[[Any], Any]) -> None:
        self.check = check


class Shape(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of all document types: unknown keys are refused, types are not converted ("8" is not 8), and values are
    immutable.

    A subclass with its own ``__post_init__`` (which raises ``ValueError`` if its fields contradict each other) must
    call this one.
    """

    def __post_init__(self) -> None:
        for name, rule in _rules(type(self)):
            msgspec.structs.force_setattr(self, name, _kept(getattr(self, name), rule))


FORM_WORDS: dict[str, str] = {}  # pattern -> description of such a text, for the error message


def form(pattern: str, words: str = "") -> Meta:
    """Return a constraint for texts: they must match ``pattern``, which is written ``^…$``. Unlike usual, ``$`` is the
    very end and never before a newline, and ``\\d`` only an ASCII digit.

    ``words``: a description of such a text for error messages, because people do not read patterns.
    """
    whole = f"{_ASCII}{pattern.removesuffix('$')}{_END}"
    if words:
        FORM_WORDS[whole] = words
    return Meta(pattern=whole)


QUOTES = "'\"‘’“”`"


def host_name(text: str) -> str:
    """Check that ``text`` is only a host's name or address, and return it. Raises ``ValueError`` for a URL, for a host
    with a port, and for spaces or quotation marks; the text says what to write instead.
    """
    if any(char.isspace() for char in text):
        raise ValueError(f'"{text}" has a space; host is one name or address')
    if any(char in QUOTES for char in text):
        plain = "".join(char for char in text if char not in QUOTES)
        raise ValueError(f'"{text}" has quotation marks inside; write host = "{plain}"')
    if "/" not in text and "@" not in text and text.count(":") != 1 and not text.startswith("["):
        return text
    parts = urlsplit(text if "://" in text else f"//{text}")
    try:
        port = "" if parts.port is None else f" and port = {parts.port}"
    except ValueError:
        port = ""
    raise ValueError(
        f'"{text}" is more than a host: a name or an address alone goes here, the port has a key of its own; '
        f'write host = "{parts.hostname or ""}"{port}'
    )


# id of a hall, window, device …: it is used in MQTT topics and metric labels
ID = form(r"^[a-z0-9][a-z0-9-]{0,31}$")


def ecma(pattern: str) -> str:
    """Return the pattern that was given to ``form`` as ECMA 262 has it, for a JSON schema. ``pattern``: as ``form``
    stored it.
    """
    return pattern.removeprefix(_ASCII).replace(_END, "$")


def read(kind: type[S], fields: object, most: int | None = None) -> S:
    """Convert ``fields`` to the type ``kind``. Raises ``Misshapen`` if they do not fit, with all faults; with ``most``,
    at most so many are looked for, to save time.
    """
    try:
        return msgspec.convert(fields, kind, str_keys=True)
    except msgspec.ValidationError as error:
        found = tuple(islice(faults(kind, fields), most))
        raise Misshapen(found or (Fault((), "rule", fields, str(error)),)) from None


def filled(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields that have a value. Empty text, blanks and null count as missing.

    Much software sends every field it knows; an empty appointment id must not count as an appointment.
    """
    return {key: value for key, value in fields.items() if not _is_empty(value)}


def _is_empty(value: object) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def faults(kind: Any, value: object, path: Path = ()) -> Iterator[Fault]:
    """Yield all faults of ``value``, which should be a ``kind``. ``path``: where ``value`` is in the whole document."""
    whole, kind, metas = kind, *_plain(kind)
    origin, args = get_origin(kind), get_args(kind)
    if origin in _UNIONS:
        if value is not None or type(None) not in args:
            arms = [arm for arm in args if arm not in (type(None), msgspec.UnsetType)]
            yield from (
                faults(arms[0], value, path) if len(arms) == 1 else _leaf(whole, kind, metas, value, path)
            )
    elif isinstance(kind, type) and issubclass(kind, Struct):
        yield from _of_shape(kind, value, path) if isinstance(value, dict) else _other(dict, value, path)
    elif origin is tuple:
        if not isinstance(value, list | tuple):
            yield from _other(tuple, value, path)
            return
        unfit = list(_unfit(metas, value, path))
        yield from unfit
        for position, entry in enumerate(() if unfit else value):
            yield from faults(args[0], entry, (*path, position))
    elif origin is dict:
        if not isinstance(value, dict):
            yield from _other(dict, value, path)
            return
        yield from _unfit(metas, value, path)
        for key, entry in value.items():
            yield from faults(args[0], _key(args[0], key), (*path, key))
            yield from faults(args[1], entry, (*path, key))
    else:
        yield from _leaf(whole, kind, metas, value, path)


def keys_of(kind: type[Struct]) -> dict[str, bool]:
    """Return the keys of a document type, as written in documents, and for each whether it is required."""
    return {name: field.required for name, field in _fields(kind).items()}


def json_schema(kind: type[Struct]) -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a document type. Patterns are in ECMA 262 syntax; titles are left out,
    because they would only repeat class names.
    """
    made: dict[str, Any] = _portable(msgspec.json.schema(kind))
    root = made.pop("$ref", "").removeprefix("#/$defs/")
    whole: dict[str, Any] = made["$defs"].pop(root) | made
    return whole if whole["$defs"] else {key: part for key, part in whole.items() if key != "$defs"}


def _portable(node: Any) -> Any:
    if isinstance(node, dict):
        kept = {
            key: _portable(part)
            for key, part in node.items()
            if not (key == "title" and isinstance(part, str))
        }
        if kept.get("required") == []:
            del kept["required"]
        if "enum" in kept and all(isinstance(choice, str) for choice in kept["enum"]):
            kept["type"] = "string"
        if isinstance(kept.get("description"), str):
            # removes the indentation of docstrings, as Python 3.13 does by itself
            kept["description"] = inspect.cleandoc(kept["description"])
        if isinstance(kept.get("pattern"), str):
            kept["pattern"] = ecma(kept["pattern"])
        return kept
    return [_portable(part) for part in node] if isinstance(node, list | tuple) else node


def dotted(path: Path) -> str:
    """Return a path as text: keys with dots between them, indexes in brackets (``body.tidal.areas.tax.close_at``,
    ``halls[0]``).
    """
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _plain(kind: Any) -> tuple[Any, tuple[Any, ...]]:
    """Split an ``Annotated`` type into the plain type and its annotations."""
    return (kind.__origin__, kind.__metadata__) if get_origin(kind) is Annotated else (kind, ())


def _key(kind: Any, key: str) -> str | int:
    """Return the key of a table entry as its type ``kind`` wants it: a whole number if ``kind`` is int and ``key`` is
    the text of one, otherwise ``key`` as it is.
    """
    if _plain(kind)[0] is int:
        with suppress(msgspec.ValidationError):
            return next(iter(msgspec.convert({key: None}, dict[int, None], str_keys=True)))
    return key


def _other(kind: type, value: object, path: Path) -> Iterator[Fault]:
    yield Fault(path, "kind", value, KINDS[kind])


def _of_shape(kind: type[Struct], value: dict[Any, Any], path: Path) -> Iterator[Fault]:
    hints, fields = _hints(kind), _fields(kind)
    whole = True
    for key in value:
        if key not in fields:
            whole = False
            yield Fault((*path, key), "unknown", value[key], tuple(fields))
    for key, field in fields.items():
        if key not in value:
            if field.required:
                whole = False
                yield Fault((*path, key), "missing")
            continue
        for fault in faults(hints[field.name], value[key], (*path, key)):
            whole = False
            yield fault
    if whole:
        yield from _broken(kind, value, path)


def _broken(kind: type[Struct], value: dict[Any, Any], path: Path) -> Iterator[Fault]:
    """Yield the fault of a document whose fields are each valid but contradict each other; nothing if they do not."""
    try:
        msgspec.convert(value, kind, str_keys=True)
    except msgspec.ValidationError as error:
        yield Fault(path, "rule", value, str(error.__cause__ or error))


def _leaf(whole: Any, kind: Any, metas: tuple[Any, ...], value: object, path: Path) -> Iterator[Fault]:
    try:
        msgspec.convert(value, whole)
        yield from _against_rules(metas, value, path)
        return
    except msgspec.ValidationError as error:
        text = str(error)
    if get_origin(kind) is Literal:
        yield Fault(path, "choice", value, get_args(kind))
    elif kind in KINDS and not _is(value, kind):
        yield from _other(kind, value, path)
    else:
        found = next(_unfit(metas, value, path), None)
        yield found or Fault(path, "rule", value, text)


def _against_rules(metas: tuple[Any, ...], value: object, path: Path) -> Iterator[Fault]:
    for meta in metas:
        if isinstance(meta, Rule):
            try:
                value = meta.check(value)
            except ValueError as error:
                yield Fault(path, "rule", value, str(error))
                return


def _is(value: object, kind: type) -> bool:
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return type(value) is kind


def _unfit(metas: tuple[Any, ...], value: Any, path: Path) -> Iterator[Fault]:
    """Yield a fault for each of the bounds ``metas`` that ``value`` violates. ``value`` must have the right type."""
    for meta in metas:
        if not isinstance(meta, Meta):
            continue
        bounds: list[tuple[What, Any, Callable[[Any], bool]]] = [
            ("at_least", meta.ge, lambda bound: value >= bound),
            ("more_than", meta.gt, lambda bound: value > bound),
            ("at_most", meta.le, lambda bound: value <= bound),
            ("less_than", meta.lt, lambda bound: value < bound),
            ("multiple_of", meta.multiple_of, lambda bound: value % bound == 0),
            ("too_short", meta.min_length, lambda bound: len(value) >= bound),
            ("too_long", meta.max_length, lambda bound: len(value) <= bound),
        ]
        for what, bound, kept in bounds:
            if bound is not None and not kept(bound):
                yield Fault(path, what, value, bound)
        if meta.pattern is not None:
            yield from _unlike(meta.pattern, value, path)


def _unlike(pattern: str, value: str, path: Path) -> Iterator[Fault]:
    try:
        msgspec.convert(value, Annotated[str, Meta(pattern=pattern)])
    except msgspec.ValidationError:
        yield Fault(path, "form", value, pattern)


@cache
def _hints(kind: type[Struct]) -> dict[str, Any]:
    return get_type_hints(kind, include_extras=True)


@cache
def _fields(kind: type[Struct]) -> dict[str, msgspec.structs.FieldInfo]:
    """Return the fields of a type, by the names that documents use."""
    return {field.encode_name: field for field in msgspec.structs.fields(kind)}


@cache
def _rules(kind: type[Struct]) -> tuple[tuple[str, Any], ...]:
    """Return name and type of each field with a ``Rule`` in its type, also inside a tuple or a union."""
    hints = _hints(kind)
    return tuple((name, hints[name]) for name in kind.__struct_fields__ if _ruled(hints[name]))


def _ruled(kind: Any) -> bool:
    plain, metas = _plain(kind)
    return any(isinstance(meta, Rule) for meta in metas) or any(
        _ruled(arg) for arg in get_args(plain) if get_origin(plain) in (tuple, *_UNIONS)
    )


def _kept(value: Any, kind: Any) -> Any:
    """Apply the checks (``Rule``) in the type ``kind`` to ``value``, and return what they return. Raises ``ValueError``
    if a check refuses it.
    """
    if value is None or value is msgspec.UNSET:
        return value
    plain, metas = _plain(kind)
    args = get_args(plain)
    if get_origin(plain) is tuple:
        value = tuple([_kept(entry, args[0]) for entry in value])
    elif get_origin(plain) in _UNIONS:
        return _kept(value, next(arg for arg in args if arg is not type(None)))
    for meta in metas:
        if isinstance(meta, Rule):
            value = meta.check(value)
    return value
