"""Frozen values that are made as fast as others.

A frozen dataclass sets its own fields through ``object.__setattr__``, by name: four times the price, and a step makes
some dozen. Here a new value is for a moment of a class without that lock, and is given its own once it is whole.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, fields
from typing import Any, TypeVar, cast

T = TypeVar("T")

_set_class: Callable[[object, type], None] = cast(Any, object.__dict__["__class__"]).__set__


def quick(kind: type[T]) -> type[T]:
    """Decorator over ``@dataclass(frozen=True, slots=True)``: the same class with a faster ``__init__``."""
    all_fields = fields(cast(Any, kind))
    unlocked = type("Unlocked", (), {"__slots__": [field.name for field in all_fields]})
    known: dict[str, object] = {"Kind": kind, "Unlocked": unlocked, "set_class": _set_class}
    given, lines = ["self"], ["set_class(self, Unlocked)"]
    for field in all_fields:
        name, default = field.name, f"default_{field.name}"
        if field.default is MISSING and field.default_factory is MISSING:
            given.append(name)
        else:
            known[default] = field.default
            given.append(f"{name}={default}")
        if field.default_factory is not MISSING:
            known[f"new_{name}"] = field.default_factory
            lines.append(f"self.{name} = new_{name}() if {name} is {default} else {name}")
        else:
            lines.append(f"self.{name} = {name}")
    lines.append("self.__class__ = Kind")
    body = "\n  ".join(lines)
    made: dict[str, Any] = {}
    text = f"def make({', '.join(known)}):\n def init({', '.join(given)}):\n  {body}\n return init"
    exec(text, made)  # noqa: S102 (as dataclasses itself does, from the names of fields)
    cast(Any, kind).__init__ = made["make"](**known)
    return kind
