"""What pydantic found wrong, in the words of a technician: what is wrong; what is allowed; did you mean …

Rules of this file: one sentence a mistake, no pydantic vocabulary, the value at fault is shown (shortened).
"""

from __future__ import annotations

import types
from collections.abc import Iterable
from typing import Any, NamedTuple, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from edged.config.nearest import nearest
from edged.config.shape import ID_PATTERN, POINT_PATTERN, PREFIX_PATTERN
from edged.config.toml_lines import Path

SHOWN_MAX = 40  # characters of a wrong value worth showing on a line
ALLOWED_SHOWN_MAX = 16  # names listed as allowed; longer lists bury the sentence

PATTERN_WORDS = {
    ID_PATTERN: "an id: a-z, 0-9 and '-', starting with a letter or digit, at most 32 characters",
    POINT_PATTERN: 'a point: "device" or "device/channel"',
    PREFIX_PATTERN: "a ticket prefix: one or two capital letters",
    r"^[0-9A-Z]{1,4}$": 'a window number: up to four digits or capital letters in quotes, such as "3"',
}
TYPE_WORDS = {
    "string_type": 'text in quotes ("…")',
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "tuple_type": "a list [ … ]",
    "list_type": "a list [ … ]",
    "dict_type": "a table",
    "model_type": "a table",
    "model_attributes_type": "a table",
    "finite_number": "a finite number",
}


class Mistake(NamedTuple):
    """One thing wrong with a document, and where."""

    path: Path
    text: str


def mistakes(error: ValidationError, model: type[BaseModel], at: Path) -> list[Mistake]:
    """Every mistake of a model standing at path ``at``; a value refused by several branches of a union once."""
    found: dict[Path, Mistake] = {}
    for detail in error.errors(include_url=False):
        loc = detail["loc"]
        allowed = allowed_keys(model, loc[:-1]) if detail["type"] == "extra_forbidden" else ()
        found.setdefault((*at, *loc), Mistake((*at, *loc), sentence(dict(detail), allowed)))
    return list(found.values())


def sentence(detail: dict[str, Any], allowed: Iterable[str] = ()) -> str:
    """One pydantic error as a sentence."""
    kind, shown, ctx = str(detail["type"]), show(detail.get("input")), detail.get("ctx", {})
    if kind == "missing":
        return "this key is required and missing"
    if kind == "extra_forbidden":
        return unknown("key", str(detail["loc"][-1]), allowed, name_it=False)
    if kind == "value_error":
        return str(ctx.get("error", detail["msg"]))
    if kind in TYPE_WORDS:
        return f"must be {TYPE_WORDS[kind]}, not {shown}"
    if kind == "literal_error":
        return f"must be {ctx['expected']}, not {shown}" + near_literal(
            detail.get("input"), str(ctx["expected"])
        )
    if kind == "string_pattern_mismatch":
        return f"{shown} is not {PATTERN_WORDS.get(ctx['pattern'], 'of the form ' + str(ctx['pattern']))}"
    words = range_words(kind, ctx) or str(detail["msg"])
    return words if words.endswith("empty") else f"{words}, not {shown}"


def range_words(kind: str, ctx: dict[str, Any]) -> str | None:
    """Range and length errors."""
    match kind:
        case "greater_than_equal":
            return f"must be at least {ctx['ge']}"
        case "greater_than":
            return f"must be more than {ctx['gt']}"
        case "less_than_equal":
            return f"must be at most {ctx['le']}"
        case "less_than":
            return f"must be less than {ctx['lt']}"
        case "string_too_short" | "too_short" if ctx["min_length"] == 1:
            return "must not be empty"
        case "string_too_short" | "too_short":
            return f"must have at least {ctx['min_length']} {units(kind)}"
        case "string_too_long" | "too_long":
            return f"must have at most {ctx['max_length']} {units(kind)}"
    return None


def units(kind: str) -> str:
    """What a length counts."""
    return "characters" if kind.startswith("string") else "entries"


def unknown(kind: str, word: str, allowed: Iterable[str], *, name_it: bool = True) -> str:
    """``word`` is none of ``allowed``: say so, suggest the nearest, list what is allowed."""
    names = sorted(allowed)
    subject = f'"{word}" is not a known {kind}' if name_it else f"unknown {kind}"
    shown = ", ".join(names[:ALLOWED_SHOWN_MAX]) + (", …" if len(names) > ALLOWED_SHOWN_MAX else "")
    listed = f"; allowed: {shown}" if names else "; none is defined"
    return subject + listed + did_you_mean(word, names)


def did_you_mean(word: str, names: Iterable[str]) -> str:
    """The nearest name as a question, or nothing."""
    near = nearest(word, names)
    return f'; did you mean "{near}"?' if near else ""


def near_literal(value: object, expected: str) -> str:
    """A suggestion out of a list such as: "a", "b" or "c"."""
    return did_you_mean(value, expected.split('"')[1::2]) if isinstance(value, str) else ""


def show(value: object) -> str:
    """A wrong value, short and in TOML's own notation."""
    if isinstance(value, bool):
        return str(value).lower()
    text = f'"{value}"' if isinstance(value, str) else repr(value)
    return text if len(text) <= SHOWN_MAX else text[: SHOWN_MAX - 1] + "…"


def allowed_keys(model: type[BaseModel], loc: tuple[str | int, ...]) -> tuple[str, ...]:
    """Names a table at ``loc`` below ``model`` may have; empty where the place is not one plain table."""
    found = _model_at(model, loc)
    if found is None:
        return ()
    return tuple(field.alias or name for name, field in found.model_fields.items())


def _model_at(annotation: Any, loc: tuple[str | int, ...]) -> type[BaseModel] | None:
    if get_origin(annotation) in (Union, types.UnionType):
        models = [arm for arm in get_args(annotation) if arm is not type(None)]
        return _model_at(models[0], loc) if len(models) == 1 else None
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        if not loc:
            return annotation
        fields = {field.alias or name: field for name, field in annotation.model_fields.items()}
        field = fields.get(str(loc[0]))
        return _model_at(field.annotation, loc[1:]) if field is not None else None
    arms = get_args(annotation)
    if not arms or not loc:
        return None
    return _model_at(arms[-1] if get_origin(annotation) is dict else arms[0], loc[1:])
