"""JSON Schema for tests: the schemas of our models without texts, a validator for the few keywords that we use, and
random values that fit a schema.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from typing import Any

from hypothesis import strategies as st
from msgspec import Struct

from edged.shapes import json_schema

ANNOTATIONS = {"title", "description", "default", "examples", "$schema", "$defs"}
TYPES: dict[str, type | tuple[type, ...]] = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "null": type(None),
}


def shape(model: type[Struct]) -> dict[str, Any]:
    """The JSON Schema of a model without titles and descriptions, to compare with a schema written by hand."""
    found: dict[str, Any] = bare(json_schema(model))
    return found


def bare(node: Any) -> Any:
    """``node`` (a schema or part of one) without titles and descriptions; the values of an enum are sorted, and "or
    null" is left out.
    """
    if isinstance(node, dict):
        kept = {k: bare(v) for k, v in node.items() if not (k in ANNOTATIONS and not isinstance(v, dict))}
        if "enum" in kept:
            kept["enum"] = sorted(kept["enum"])
        arms = [arm for arm in kept.get("anyOf", ()) if arm != {"type": "null"}]
        if len(arms) == 1:  # "absent" and null are the same to a device
            return {k: v for k, v in kept.items() if k != "anyOf"} | arms[0]
        return kept
    return [bare(item) for item in node] if isinstance(node, list) else node


def faults(value: Any, schema: dict[str, Any], root: dict[str, Any], at: str = "$") -> list[str]:
    """Describe every place where ``value`` does not fit ``schema``, or where the schema has a keyword unknown here.
    ``root``: the document in which its references are looked up; ``at``: path of ``value``.
    """
    if "$ref" in schema:
        node: Any = root
        for part in schema["$ref"].removeprefix("#/").split("/"):
            node = node[part]
        return faults(value, node, root, at)
    found: list[str] = []
    for keyword, wanted in schema.items():
        found += _check(keyword, wanted, value, root, at, schema)
    return found


def _check(
    keyword: str, wanted: Any, value: Any, root: dict[str, Any], at: str, schema: dict[str, Any]
) -> list[str]:
    wrong = [f"{at}: {value!r} breaks {keyword} {wanted!r}"]
    match keyword:
        case "type":
            kinds = wanted if isinstance(wanted, list) else [wanted]
            fits = any(
                (isinstance(value, TYPES[k]) and (k == "boolean") == isinstance(value, bool))
                or (k == "integer" and isinstance(value, float) and value.is_integer())
                for k in kinds
            )
            return [] if fits else wrong
        case "const":
            return [] if value == wanted else wrong
        case "oneOf":
            fitting = sum(not faults(value, arm, root, at) for arm in wanted)
            return [] if fitting == 1 else [f"{at}: {fitting} of the alternatives fit"]
        case "anyOf":
            return [] if any(not faults(value, arm, root, at) for arm in wanted) else wrong
        case "enum":
            return [] if value in wanted else wrong
        case "pattern":
            return [] if not isinstance(value, str) or re.search(wanted, value) else wrong
        case "minimum" | "maximum" | "exclusiveMaximum" if isinstance(value, int | float):
            fits = (
                value >= wanted
                if keyword == "minimum"
                else value <= wanted
                if keyword == "maximum"
                else value < wanted
            )
            return [] if fits else wrong
        case "minLength" | "maxLength" | "minItems" | "maxItems" if isinstance(value, str | list):
            return (
                [] if (len(value) >= wanted if keyword.startswith("min") else len(value) <= wanted) else wrong
            )
        case "required" | "properties" | "additionalProperties" | "propertyNames" | "maxProperties":
            return _check_object(keyword, wanted, value, root, at, schema) if isinstance(value, dict) else []
        case "multipleOf" if isinstance(value, int | float):
            return [] if value % wanted == 0 else wrong
        case "items" if isinstance(value, list):
            return [
                fault for n, child in enumerate(value) for fault in faults(child, wanted, root, f"{at}[{n}]")
            ]
    known = {
        "minimum",
        "maximum",
        "exclusiveMaximum",
        "minLength",
        "maxLength",
        "minItems",
        "maxItems",
        "items",
    }
    known |= {
        "required",
        "properties",
        "additionalProperties",
        "format",
        "contentEncoding",
        "contentSchema",
        "propertyNames",
        "maxProperties",
        "multipleOf",
    } | ANNOTATIONS
    return [] if keyword in known else [f"{at}: unknown keyword {keyword}"]


def _check_object(
    keyword: str, wanted: Any, value: dict[str, Any], root: dict[str, Any], at: str, schema: dict[str, Any]
) -> list[str]:
    """Check ``value`` against ``keyword`` if that is about an object's keys; returns the faults, none for other
    keywords.
    """
    match keyword:
        case "required":
            return [f"{at}: {key} is missing" for key in wanted if key not in value]
        case "properties":
            inner = ((key, value[key]) for key in wanted if key in value)
            return [
                fault for key, child in inner for fault in faults(child, wanted[key], root, f"{at}.{key}")
            ]
        case "additionalProperties":
            extra = [key for key in value if key not in schema.get("properties", {})]
            if isinstance(wanted, dict):
                return [fault for key in extra for fault in faults(value[key], wanted, root, f"{at}.{key}")]
            return [] if wanted else [f"{at}: {key} is not known" for key in extra]
        case "propertyNames":
            return [fault for key in value for fault in faults(key, wanted, root, f"{at}.{key}")]
        case "maxProperties":
            return [] if len(value) <= wanted else [f"{at}: {len(value)} keys, {wanted} at most"]
    return []


def values(schema: dict[str, Any], root: dict[str, Any]) -> st.SearchStrategy[Any]:
    """A hypothesis strategy for all values that ``schema`` allows. An integer may also come as a float without fraction
    (8.0), which JSON Schema permits.
    """
    if "$ref" in schema:
        node: Any = root
        for part in schema["$ref"].removeprefix("#/").split("/"):
            node = node[part]
        return values(node, root)
    if "oneOf" in schema:
        return st.one_of([values(arm, root) for arm in schema["oneOf"]])
    if "const" in schema:
        return st.just(schema["const"])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    return _OF_TYPE[schema["type"]](schema, root)


def _texts(schema: dict[str, Any], _root: dict[str, Any]) -> st.SearchStrategy[str]:
    most, least = schema.get("maxLength", 60), schema.get("minLength", 0)
    if "\\d{4}-" in schema.get("pattern", ""):
        return _moments()
    if "pattern" in schema:
        return st.from_regex(re.compile(schema["pattern"].replace("$", r"\Z"), re.ASCII)).filter(
            lambda text: least <= len(text) <= most
        )
    return st.text(min_size=least, max_size=most)


def _moments() -> st.SearchStrategy[str]:
    """A strategy for times in every form that RFC 3339 permits."""
    zones = st.sampled_from(["Z", "z", "+08:00", "-08:00", "+00:00", "-00:00"])
    tails = st.sampled_from(["", ":00", ":59", ":00.0", ":59.999999999"])
    days = st.dates(min_value=date(1, 1, 2), max_value=date(9999, 12, 30))
    times = st.builds("{:02}:{:02}".format, st.integers(0, 23), st.integers(0, 59))
    return st.builds("{}{}{}{}{}".format, days, st.sampled_from("Tt"), times, tails, zones)


def _integers(schema: dict[str, Any], _root: dict[str, Any]) -> st.SearchStrategy[int | float]:
    most = schema.get("maximum", schema.get("exclusiveMaximum", 2**53) - 1)
    whole = st.integers(schema.get("minimum", -(2**53) + 1), most)
    return whole | whole.map(float).filter(lambda value: abs(value) < 2**53)


def _objects(schema: dict[str, Any], root: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    made = {key: values(child, root) for key, child in schema.get("properties", {}).items()}
    needed = schema.get("required", [])
    return st.fixed_dictionaries(
        {key: made[key] for key in needed},
        optional={key: one for key, one in made.items() if key not in needed},
    )


_OF_TYPE: dict[str, Callable[[dict[str, Any], dict[str, Any]], st.SearchStrategy[Any]]] = {
    "string": _texts,
    "integer": _integers,
    "boolean": lambda _schema, _root: st.booleans(),
    "object": _objects,
    "array": lambda schema, root: st.lists(
        values(schema["items"], root), min_size=schema.get("minItems", 0), max_size=schema.get("maxItems", 5)
    ),
}
