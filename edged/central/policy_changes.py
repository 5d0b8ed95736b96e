"""What a policy changes for whom it is pushed to: a document is the whole policy, so what it leaves out falls back."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from edged.core.model.policy import Policy


def fallen_back(policy: Policy) -> tuple[str, ...]:
    """Sections of ``policy`` that are the built-in ones: named by no line of the document, or as they are anyway."""
    plain = Policy()
    return tuple(
        field.name
        for field in dataclasses.fields(Policy)
        if getattr(policy, field.name) == getattr(plain, field.name)
    )


def changes(before: Policy, after: Policy) -> list[str]:
    """Every value that becomes another one: ``tidal.band.open_above: 8 -> 6``, in the order of the sections."""
    old, new = dict(_flat("", before)), dict(_flat("", after))
    return [
        f"{name}: {_shown(old.get(name))} -> {_shown(new.get(name))}"
        for name in {**old, **new}
        if old.get(name) != new.get(name)
    ]


def _flat(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    if dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            yield from _flat(f"{name}.{field.name}".lstrip("."), getattr(value, field.name))
    elif isinstance(value, Mapping) and value:
        for key in sorted(value):
            yield from _flat(f"{name}.{key}", value[key])
    else:
        yield name, value


def _shown(value: Any) -> str:
    """A value as a reader of the document knows it."""
    if value is None or value == () or value == {}:
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
