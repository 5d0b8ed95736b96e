"""JSON Schema for tests: the shape of our models, and a checker for the few keywords that we use."""

from __future__ import annotations

import re
from typing import Any

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
    """A model's schema without words about it: what a hand-written copy must say, too."""
    found: dict[str, Any] = bare(json_schema(model))
    return found


def bare(node: Any) -> Any:
    """A schema without words; the order of choices says nothing."""
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
    """Every place where ``value`` is not what ``schema`` says. An unknown keyword is a fault of the schema."""
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
                isinstance(value, TYPES[k]) and (k == "boolean") == isinstance(value, bool) for k in kinds
            )
            return [] if fits else wrong
        case "const":
            return [] if value == wanted else wrong
        case "enum":
            return [] if value in wanted else wrong
        case "pattern":
            return [] if not isinstance(value, str) or re.search(wanted, value) else wrong
        case "minimum" | "maximum" | "exclusiveMaximum" if isinstance(value, int):
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
        case "required" if isinstance(value, dict):
            return [f"{at}: {key} is missing" for key in wanted if key not in value]
        case "properties" if isinstance(value, dict):
            inner = ((key, value[key]) for key in wanted if key in value)
            return [
                fault for key, child in inner for fault in faults(child, wanted[key], root, f"{at}.{key}")
            ]
        case "additionalProperties" if isinstance(value, dict):
            extra = [] if wanted else [key for key in value if key not in schema.get("properties", {})]
            return [f"{at}: {key} is not known" for key in extra]
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
    } | ANNOTATIONS
    return [] if keyword in known else [f"{at}: unknown keyword {keyword}"]
