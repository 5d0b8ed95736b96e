"""A replacement of frozen dataclasses that is cheaper to define at a start and to construct in every step.

A frozen dataclass compiles six functions for each class and sets fields through ``object.__setattr__`` by name; for the
hundred classes of the core that is a fifth of the import time. Here one function is compiled for each class. A new
value is first an instance of a twin class that can be written, and gets its real class once all fields are set.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, Field, FrozenInstanceError, dataclass, field, fields
from operator import attrgetter
from typing import Any, TypeVar, cast, dataclass_transform

T = TypeVar("T")

_set_class: Callable[[object, type], None] = cast(Any, object.__dict__["__class__"]).__set__


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def value(kind: type[T]) -> type[T]:
    """Class decorator with the behaviour of ``@dataclass(frozen=True, slots=True)``."""
    made: Any = dataclass(init=False, repr=False, eq=False, slots=True)(kind)
    found = fields(made)
    read = _reader(tuple(one.name for one in found))

    def eq(self: object, other: object) -> bool:
        return read(self) == read(other) if other.__class__ is made else NotImplemented

    def hashed(self: object) -> int:
        return hash(read(self))

    def state(self: object) -> tuple[Any, ...]:
        return read(self)

    made.__init__ = _init(made, found)
    made.__eq__, made.__hash__, made.__repr__ = eq, hashed, _repr
    made.__setattr__, made.__delattr__ = _locked, _kept
    made.__getstate__, made.__setstate__ = state, _restored
    return cast(type[T], made)


def _init(kind: type, found: tuple[Field[Any], ...]) -> Callable[..., None]:
    unlocked = type("Unlocked", (), {"__slots__": [one.name for one in found]})
    known: dict[str, object] = {"Kind": kind, "Unlocked": unlocked, "set_class": _set_class}
    given, lines = ["self"], ["set_class(self, Unlocked)"]
    for one in found:
        name, default = one.name, f"default_{one.name}"
        if one.default is MISSING and one.default_factory is MISSING:
            given.append(name)
        else:
            known[default] = one.default
            given.append(f"{name}={default}")
        if one.default_factory is not MISSING:
            known[f"new_{name}"] = one.default_factory
            lines.append(f"self.{name} = new_{name}() if {name} is {default} else {name}")
        else:
            lines.append(f"self.{name} = {name}")
    lines.append("self.__class__ = Kind")
    body = "\n  ".join(lines)
    made: dict[str, Any] = {}
    text = f"def make({', '.join(known)}):\n def init({', '.join(given)}):\n  {body}\n return init"
    exec(text, made)  # noqa: S102 (as dataclasses itself does, from the names of fields)
    return cast(Callable[..., None], made["make"](**known))


def _reader(names: tuple[str, ...]) -> Callable[[object], tuple[Any, ...]]:
    """Return a function that returns all fields of a value, as a tuple."""
    if len(names) > 1:
        return attrgetter(*names)
    if not names:
        return lambda _value: ()
    read = attrgetter(names[0])
    return lambda one: (read(one),)


def _repr(self: object) -> str:
    told = ", ".join(f"{one.name}={getattr(self, one.name)!r}" for one in fields(cast(Any, self)))
    return f"{type(self).__qualname__}({told})"


def _locked(_self: object, name: str, _value: object) -> None:
    raise FrozenInstanceError(f"cannot assign to field {name!r}")


def _kept(_self: object, name: str) -> None:
    raise FrozenInstanceError(f"cannot delete field {name!r}")


def _restored(self: object, state: tuple[Any, ...]) -> None:
    for one, content in zip(fields(cast(Any, self)), state, strict=True):
        object.__setattr__(self, one.name, content)
