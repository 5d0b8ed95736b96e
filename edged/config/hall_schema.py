"""The JSON Schema of hall.toml (configs/hall.schema.json), by which taplo and VS Code complete and check a file."""

from __future__ import annotations

from typing import Any

from devices import REGISTRY
from edged.config import options_of
from edged.config.shape import REPEATED, REQUIRED, SINGLE, DeviceTable
from edged.shapes import json_schema

SCHEMA = "https://json-schema.org/draft/2020-12/schema"


def hall_schema() -> dict[str, Any]:
    """The schema (draft 2020-12): tables, keys, types and bounds. Rules between tables are checked by ``edged check``
    alone.
    """
    shared: dict[str, Any] = {}
    properties: dict[str, Any] = {name: _table(kind, name, shared) for name, kind in SINGLE.items()}
    for name, (kind, most) in REPEATED.items():
        one = _device(shared) if kind is DeviceTable else _table(kind, name, shared)
        properties[name] = {"type": "array", "maxItems": most, "items": one}
    return {
        "$schema": SCHEMA,
        "title": "edged hall.toml / 大厅配置",
        "type": "object",
        "properties": properties,
        "required": list(REQUIRED),
        "additionalProperties": False,
        "$defs": shared,
    }


def _device(shared: dict[str, Any]) -> dict[str, Any]:
    """The schema of an entry of ``[[devices]]``: one alternative for each driver, with the driver's own options."""
    arms = []
    for driver in REGISTRY:
        arm = _table(options_of(driver), driver, shared)
        arm["properties"] = {
            **json_schema(DeviceTable)["properties"],
            "driver": {"const": driver},
            **arm["properties"],
        }
        arm["required"] = ["id", "driver", *arm.get("required", [])]
        arms.append(arm)
    return {"oneOf": arms}


def _table(kind: Any, prefix: str, shared: dict[str, Any]) -> dict[str, Any]:
    """The schema of one table. The schemas of its inner tables are added to ``shared``, named ``prefix.NAME``."""
    made = json_schema(kind)
    inner = made.pop("$defs", {})
    moved: dict[str, Any] = _renamed({"made": made, "inner": inner}, prefix)
    shared.update({f"{prefix}.{name}": part for name, part in moved["inner"].items()})
    table: dict[str, Any] = moved["made"]
    return table


def _renamed(node: Any, prefix: str) -> Any:
    if isinstance(node, dict):
        return {
            key: part.replace("#/$defs/", f"#/$defs/{prefix}.") if key == "$ref" else _renamed(part, prefix)
            for key, part in node.items()
        }
    return [_renamed(part, prefix) for part in node] if isinstance(node, list) else node
