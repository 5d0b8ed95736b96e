"""Makes the msgspec types of a policy document from the core's policy dataclasses, and converts a document back into
them.

The types are derived from ``edged/core/model/policy``, so a field added there can be pushed without a change here. A
field left out gets the core's default. An area may have its own ``band`` (parameters of the rule by queue length) or
``pw`` (those of the rule by predicted wait); fields left out there are those that the document gives for all areas.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, cast, get_args, get_origin, get_type_hints

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from edged.core.model.policy import Band, Parameter, Policy, Pw, Tidal
from edged.core.model.policy.parameter import split_hint
from edged.shapes import ID, Shape, form

UNIONS = (UnionType, Union)  # the origin of "X | None" depends on X
LAID_OVER: dict[str, tuple[str, type]] = {
    "areas": ("band", Band),
    "pw_areas": ("pw", Pw),
}  # field for single areas -> (field for all areas, its class)
NAMED_MAX = 50  # entries of a mapping
LISTED_MAX = 400  # entries of a list: the quarters of a day (96), the holidays of several years
TEXT_MAX = 200  # characters that somebody reads or hears
_FORMS: dict[str, Meta] = {
    "area": form(
        r"^(kind:|if-present:)?[a-z0-9][a-z0-9-]{0,31}$",
        'the id of an area; "if-present:…" where a hall may lack it, "kind:…" for all areas of a kind',
    ),
    **dict.fromkeys(
        ("service", "window"),
        form(r"^(if-present:)?[a-z0-9][a-z0-9-]{0,31}$", 'an id; "if-present:…" where a hall may lack it'),
    ),
    "id": ID,
    "date": form(r"^20\d\d-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])$"),
    "time": form(r"^(([01]\d|2[0-3]):[0-5]\d|24:00)$"),
    "text": Meta(min_length=1, max_length=TEXT_MAX),
}
_models: dict[type, type[Struct]] = {}
_kinds: dict[type[Struct], type] = {}


def model_of(kind: type) -> type[Struct]:
    """The msgspec type of a core dataclass. It checks types and lengths; numeric bounds are checked later."""
    if kind not in _models:
        hints = get_type_hints(kind, include_extras=True)
        fields = [_field(kind, field, hints[field.name]) for field in dataclasses.fields(kind)]
        name = "PolicyBody" if kind is Policy else kind.__name__
        _models[kind] = msgspec.defstruct(name, fields, bases=(Shape,), kw_only=True)
        _kinds[_models[kind]] = kind
    return _models[kind]


def _field(kind: type, field: dataclasses.Field[Any], hint: Any) -> tuple[str, Any] | tuple[str, Any, Any]:
    """The field's name, type and default for ``defstruct``: UNSET if it may be left out, none if it is required."""
    hint, parameter = split_hint(hint)
    if dataclasses.is_dataclass(hint):
        return field.name, model_of(cast(type, hint)) | UnsetType, UNSET
    if kind is Tidal and field.name in LAID_OVER:
        start, part = LAID_OVER[field.name]
        described = f"{start} for one area; what it leaves out is taken from tidal.{start} / 某专区单独的参数"
        made: Any = dict[_text("area"), model_of(part)]  # type: ignore[misc]
        words = Meta(max_length=NAMED_MAX, description=described, extra_json_schema={"default": {}})
        return field.name, Annotated[made, words] | UnsetType, UNSET
    assert parameter is not None, f"{kind.__name__}.{field.name}: such a field needs a Parameter"
    schema = _default(field) | (_range(parameter) if hint is int else {})
    words = Meta(description=f"{parameter.label} / {parameter.label_zh}", extra_json_schema=schema)
    typed: Any = Annotated[_type(parameter, hint), words]
    return (field.name, typed | UnsetType, UNSET) if "default" in schema else (field.name, typed)


def _default(field: dataclasses.Field[Any]) -> dict[str, Any]:
    """The default as a part of the JSON schema; empty if the field is required."""
    if field.default is not dataclasses.MISSING:
        return {"default": msgspec.to_builtins(field.default)}
    if field.default_factory is not dataclasses.MISSING:
        return {"default": msgspec.to_builtins(field.default_factory())}
    return {}  # required


def _type(parameter: Parameter, hint: Any) -> Any:
    """The msgspec type of a field, of the entries of a list, or of the values of a mapping."""
    origin, args = get_origin(hint), get_args(hint)
    if dataclasses.is_dataclass(hint):
        return model_of(cast(type, hint))
    if hint is bool or origin is Literal:
        return hint
    if hint is int:
        return int
    if hint is float:
        return Annotated[float, Meta(extra_json_schema=_range(parameter))]
    if origin is Annotated:
        return _text(args[1])
    if origin in UNIONS and NoneType in args:
        return _entry(parameter, next(arg for arg in args if arg is not NoneType)) | None
    if origin is tuple:
        return Annotated[tuple[_entry(parameter, args[0]), ...], Meta(max_length=LISTED_MAX)]  # type: ignore[misc]
    assert origin is Mapping, f"{parameter.label}: such a field cannot be pushed"
    made: Any = dict[_text(args[0].__metadata__[0]), _entry(parameter, args[1])]  # type: ignore[misc]
    return Annotated[made, Meta(max_length=NAMED_MAX)]


def _entry(parameter: Parameter, hint: Any) -> Any:
    made = _type(parameter, hint)
    return Annotated[int, Meta(extra_json_schema=_range(parameter))] if hint is int else made


def _text(form: str) -> Any:
    return Annotated[str, _FORMS[form]]


def _range(parameter: Parameter) -> dict[str, Any]:
    return {"minimum": parameter.low, "maximum": parameter.high}


def core_policy(body: Struct) -> Policy:
    """Convert a parsed body into the core's policy. An area's own tidal values replace those that the body gives for
    all areas (``band``, ``pw``).
    """
    policy = cast(Policy, _overlaid(Policy(), body))
    pushed = cast(Any, body).tidal
    own: dict[str, Any] = {
        areas: {
            area: _overlaid(getattr(policy.tidal, name), part) for area, part in _laid(pushed, areas).items()
        }
        for areas, (name, _kind) in LAID_OVER.items()
    }
    return dataclasses.replace(policy, tidal=dataclasses.replace(policy.tidal, **own))


def _laid(pushed: Any, areas: str) -> dict[str, Struct]:
    return {} if pushed is UNSET else _given(pushed).get(areas, {})


def _given(model: Struct) -> dict[str, Any]:
    return {name: value for name, value in msgspec.structs.asdict(model).items() if value is not UNSET}


def _overlaid(start: Any, model: Struct) -> Any:
    """A copy of ``start`` with every given field replaced."""
    given: dict[str, Any] = {}
    for name, value in _given(model).items():
        if isinstance(start, Tidal) and name in LAID_OVER:
            continue
        given[name] = _overlaid(getattr(start, name), value) if isinstance(value, Struct) else _plain(value)
    return dataclasses.replace(start, **given)


def _plain(value: Any) -> Any:
    """The core value for an entry of a list or mapping; fields that are left out get the core's default."""
    if isinstance(value, Struct):
        return _kinds[type(value)](**{name: _plain(one) for name, one in _given(value).items()})
    if isinstance(value, tuple):
        return tuple(map(_plain, value))
    return {key: _plain(one) for key, one in value.items()} if isinstance(value, dict) else value


def numbers(model: Struct, path: str) -> Iterator[tuple[str, str, float]]:
    """Yield every number in ``model``, at any depth, as (``Class.field``, path, value)."""
    for name, value in _given(model).items():
        yield from _numbers(f"{type(model).__name__}.{name}", value, f"{path}.{name}")


def _numbers(name: str, value: Any, path: str) -> Iterator[tuple[str, str, float]]:
    if isinstance(value, Struct):
        yield from numbers(value, path)
    elif isinstance(value, dict):
        for key, child in value.items():
            yield from _numbers(name, child, f"{path}.{key}")
    elif isinstance(value, tuple):
        for number, child in enumerate(value):
            yield from _numbers(name, child, f"{path}[{number}]")
    elif not isinstance(value, bool | str | NoneType):
        yield name, path, value


def names(model: Struct, path: str) -> Iterator[tuple[str, str, str]]:
    """Yield every area, service and window named in ``model``, as (kind, path, id). ``path``: where ``model`` itself
    stands in the document.
    """
    kind = _kinds[type(model)]
    hints = get_type_hints(kind, include_extras=True)
    for name, value in _given(model).items():
        yield from _names(hints[name], value, f"{path}.{name}")


def _names(hint: Any, value: Any, path: str) -> Iterator[tuple[str, str, str]]:
    hint, _parameter = split_hint(hint)
    origin, args = get_origin(hint), get_args(hint)
    if isinstance(value, Struct):
        yield from names(value, path)
    elif isinstance(value, str):
        if origin in UNIONS:
            origin, args = Annotated, get_args(next(arg for arg in args if arg is not NoneType))
        if origin is Annotated and args[1] in ("area", "service", "window"):
            yield args[1], path, value
    elif isinstance(value, dict):
        for key, child in value.items():
            yield from _names(args[0], key, f"{path}.{key}")
            yield from _names(args[1], child, f"{path}.{key}")
    elif isinstance(value, tuple):
        for number, child in enumerate(value):
            yield from _names(args[0], child, f"{path}[{number}]")
