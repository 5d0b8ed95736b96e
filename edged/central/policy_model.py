"""The pydantic twins of the core's policy dataclasses: shape in, dataclass out.

Made from ``edged/core/policy``, so that a field added there can be pushed at once; each needs its bound in ``BOUNDS``
(a number: its value; a list or mapping of numbers: each of them) and its name in ``policy_labels.py``. A field left
out keeps the core's default; an area's own band or pw starts from the pushed one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, cast, get_args, get_origin, get_type_hints

from pydantic import BaseModel, Field, StringConstraints, create_model

from edged.central.policy_labels import LABELS
from edged.central.strict_model import MODEL
from edged.core.policy import BOUNDS, Band, Policy, Pw, Tidal

UNIONS = (UnionType, Union)  # what "X | None" is depends on X
LAID_OVER: dict[str, tuple[str, type]] = {
    "areas": ("band", Band),
    "pw_areas": ("pw", Pw),
}  # per area, of Tidal
NAMED_MAX = 50  # entries of a mapping
LISTED_MAX = 400  # entries of a list: the quarters of a day (96), the holidays of several years
TEXT_MAX = 200  # characters that somebody reads or hears
_ID = StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")
_FORMS: dict[str, StringConstraints] = {
    **dict.fromkeys(("area", "service", "window", "id"), _ID),
    "date": StringConstraints(pattern=r"^20\d\d-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])$"),
    "time": StringConstraints(pattern=r"^(([01]\d|2[0-3]):[0-5]\d|24:00)$"),
    "text": StringConstraints(min_length=1, max_length=TEXT_MAX),
}
_models: dict[type, type[BaseModel]] = {}
_kinds: dict[type[BaseModel], type] = {}


def model_of(kind: type) -> type[BaseModel]:
    """The twin of a core dataclass. It knows types and lengths; bounds are another check, made later."""
    if kind not in _models:
        hints = get_type_hints(kind, include_extras=True)
        fields = {field.name: _field(kind, field, hints[field.name]) for field in dataclasses.fields(kind)}
        name = "PolicyBody" if kind is Policy else kind.__name__
        _models[kind] = create_model(name, __config__=MODEL, __doc__=None, **cast(Any, fields))
        _kinds[_models[kind]] = kind
    return _models[kind]


def _field(kind: type, field: dataclasses.Field[Any], hint: Any) -> tuple[Any, Any]:
    name = f"{kind.__name__}.{field.name}"
    if dataclasses.is_dataclass(hint):
        return model_of(cast(type, hint)), Field(default_factory=model_of(cast(type, hint)))
    if kind is Tidal and field.name in LAID_OVER:
        start, part = LAID_OVER[field.name]
        described = f"{start} for one area; what it leaves out is taken from tidal.{start} / 某专区单独的参数"
        return dict[_text("area"), model_of(part)], Field(  # type: ignore[misc]
            default_factory=dict, max_length=NAMED_MAX, description=described
        )
    english, chinese = LABELS[name]
    words: dict[str, Any] = {"description": f"{english} / {chinese}"}
    if get_origin(hint) is tuple:
        words["max_length"] = LISTED_MAX
    if get_origin(hint) is Mapping:
        words["max_length"] = NAMED_MAX
    if hint is int:
        words["json_schema_extra"] = _range(name)
    return _type(name, hint), Field(**_default(field), **words)


def _default(field: dataclasses.Field[Any]) -> dict[str, Any]:
    if field.default is not dataclasses.MISSING:
        return {"default": _twin(field.default)}
    if field.default_factory is not dataclasses.MISSING:
        made = field.default_factory
        return {"default_factory": lambda: _twin(made())}
    return {}  # it has to be given


def _type(name: str, hint: Any) -> Any:
    """The pydantic type of a field, of the entries of a list, or of the values of a mapping."""
    origin, args = get_origin(hint), get_args(hint)
    if dataclasses.is_dataclass(hint):
        return model_of(cast(type, hint))
    if hint is bool or origin is Literal:
        return hint
    if hint is int:
        return int
    if hint is float:
        return Annotated[float, Field(json_schema_extra=_range(name))]
    if origin is Annotated:
        return _text(args[1])
    if origin in UNIONS and NoneType in args:
        return _entry(name, next(arg for arg in args if arg is not NoneType)) | None
    if origin is tuple:
        return Annotated[tuple[_entry(name, args[0]), ...], Field(max_length=LISTED_MAX)]  # type: ignore[misc]
    assert origin is Mapping, f"{name}: such a field cannot be pushed"
    return dict[_text(args[0].__metadata__[0]), _entry(name, args[1])]  # type: ignore[misc]


def _entry(name: str, hint: Any) -> Any:
    made = _type(name, hint)
    return Annotated[int, Field(json_schema_extra=_range(name))] if hint is int else made


def _text(form: str) -> Any:
    return Annotated[str, _FORMS[form]]


def _range(name: str) -> dict[str, Any]:
    low, high = BOUNDS[name]
    return {"minimum": low, "maximum": high}


def _twin(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        given = {field.name: _twin(getattr(value, field.name)) for field in dataclasses.fields(value)}
        return model_of(type(value))(**given)
    if isinstance(value, tuple):
        return tuple(map(_twin, value))
    return {key: _twin(one) for key, one in value.items()} if isinstance(value, Mapping) else value


def core_policy(body: BaseModel) -> Policy:
    """The core's dataclasses, with areas' own values laid over the pushed band and pw."""
    policy = cast(Policy, _overlaid(Policy(), body))
    pushed = cast(Any, body).tidal
    own: dict[str, Any] = {
        areas: {
            area: _overlaid(getattr(policy.tidal, name), part)
            for area, part in getattr(pushed, areas).items()
        }
        for areas, (name, _kind) in LAID_OVER.items()
    }
    return dataclasses.replace(policy, tidal=dataclasses.replace(policy.tidal, **own))


def _overlaid(start: Any, model: BaseModel) -> Any:
    """``start`` with every field that was given."""
    given: dict[str, Any] = {}
    for name in model.model_fields_set:
        if isinstance(start, Tidal) and name in LAID_OVER:
            continue
        value = getattr(model, name)
        given[name] = (
            _overlaid(getattr(start, name), value) if isinstance(value, BaseModel) else _plain(value)
        )
    return dataclasses.replace(start, **given)


def _plain(value: Any) -> Any:
    """Core data of an entry of a list or mapping: what it leaves out has the core's default."""
    if isinstance(value, BaseModel):
        given = {name: _plain(getattr(value, name)) for name in value.model_fields_set}
        return _kinds[type(value)](**given)
    if isinstance(value, tuple):
        return tuple(map(_plain, value))
    return {key: _plain(one) for key, one in value.items()} if isinstance(value, dict) else value


def numbers(model: BaseModel, path: str) -> Iterator[tuple[str, str, float]]:
    """Every number in ``model``, however deep: its name in ``BOUNDS``, its path, its value."""
    for name in type(model).model_fields:
        yield from _numbers(f"{type(model).__name__}.{name}", getattr(model, name), f"{path}.{name}")


def _numbers(name: str, value: Any, path: str) -> Iterator[tuple[str, str, float]]:
    if isinstance(value, BaseModel):
        yield from numbers(value, path)
    elif isinstance(value, dict):
        for key, child in value.items():
            yield from _numbers(name, child, f"{path}.{key}")
    elif isinstance(value, tuple):
        for number, child in enumerate(value):
            yield from _numbers(name, child, f"{path}[{number}]")
    elif not isinstance(value, bool | str | NoneType):
        yield name, path, value


def names(model: BaseModel, path: str) -> Iterator[tuple[str, str, str]]:
    """Every area, service and window that ``model`` speaks of: which of the three, its path, its id."""
    kind = _kinds[type(model)]
    hints = get_type_hints(kind, include_extras=True)
    for name in type(model).model_fields:
        yield from _names(hints[name], getattr(model, name), f"{path}.{name}")


def _names(hint: Any, value: Any, path: str) -> Iterator[tuple[str, str, str]]:
    origin, args = get_origin(hint), get_args(hint)
    if isinstance(value, BaseModel):
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
