"""The JSON Schema of a policy document, for editors and for the centre's own tools (configs/policy.schema.json)."""

from __future__ import annotations

from typing import Any

from edged.central.policies import PolicyDocument
from edged.shapes import json_schema


def policy_schema() -> dict[str, Any]:
    """The schema (JSON Schema, draft 2020-12): every field, type and bound. It cannot express contradictions between
    values: ``edged policy check`` and the hall find them.
    """
    schema = json_schema(PolicyDocument)
    schema["properties"] = {
        "$schema": {"type": "string", "description": "for editors; left out when the document is signed"},
        **schema["properties"],
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "edged policy / 大厅策略",
        **schema,
    }
