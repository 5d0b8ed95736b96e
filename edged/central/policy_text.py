"""A policy as people edit it: JSON with comment lines, which are removed before it is checked or signed.

A comment is a whole line that begins with ``//``. A JSON string contains no line break, so such a line is never part of
one.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator
from typing import Any, cast, get_type_hints

import msgspec

from edged.central.policies import TYPE
from edged.central.rehearsed import Terms
from edged.core.model.policy import Policy
from edged.core.model.policy.parameter import split_hint

_COMMENT = re.compile(rb"^[ \t]*//[^\n]*", re.MULTILINE)
HEAD = (
    "// 策略草稿：以 // 开头的行是说明，签名时去掉。改完后依次运行 edged policy check、rehearse、push。",
    "// A draft: lines that begin with // are notes, left out when signed. Then: edged policy check, rehearse, push.",
)


def uncommented(raw: bytes) -> bytes:
    """``raw`` with empty lines in place of comments, so that line numbers in errors stay right."""
    return _COMMENT.sub(b"", raw)


def draft(policy: Policy, version: int, hall: str) -> str:
    """A draft with every value of ``policy``; comments give each value's meaning, range and built-in value. It has no
    dates: they are added when it is signed.
    """
    plain = Policy()
    terms = json.dumps(msgspec.to_builtins(Terms()))
    lines = [
        *HEAD,
        "{",
        f'  "type": "{TYPE}",',
        f'  "halls": [{json.dumps(hall)}],',
        f'  "version": {version},',
        "  // 生效前预演的天数；等候变差超过 max_worse 百分比就拒绝（null 为不拒绝）",
        "  // Days to rehearse; refused where waits would be more than max_worse percent worse (null: never)",
        f'  "rehearsal": {terms},',
        '  "body": {',
        *_fields(policy, plain, "    "),
        "  }",
        "}",
    ]
    return "\n".join(lines) + "\n"


def _fields(value: Any, plain: Any, indent: str) -> Iterator[str]:
    kind = type(value)
    hints = get_type_hints(kind, include_extras=True)
    fields = dataclasses.fields(kind)
    for place, field in enumerate(fields):
        comma = "," if place < len(fields) - 1 else ""
        ours, builtin = getattr(value, field.name), getattr(plain, field.name)
        _, parameter = split_hint(hints[field.name])
        if parameter is not None:
            bounds = "" if parameter.low is None else f" [{parameter.low}–{parameter.high}]"
            own = "" if ours == builtin else f" ({_json(builtin)})"
            yield f"{indent}// {parameter.label_zh} / {parameter.label}{bounds}{own}"
        if dataclasses.is_dataclass(ours):
            yield f'{indent}"{field.name}": {{'
            yield from _fields(ours, builtin, indent + "  ")
            yield f"{indent}}}{comma}"
        else:
            yield f'{indent}"{field.name}": {_json(ours)}{comma}'


def _json(value: Any) -> str:
    return json.dumps(cast(Any, msgspec.to_builtins(value)), ensure_ascii=False)
