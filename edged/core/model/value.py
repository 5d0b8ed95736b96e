"""The decorator ``value``, a substitute for frozen dataclasses. Its classes load faster when the program starts, and
their instances are faster to create.

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
    cls: Any = dataclass(init=False, repr=False, eq=False, slots=True)(kind)
    known_fields = fields(cls)
    read = _reader(tuple(member.name for member in known_fields))

    def eq(self: object, other: object) -> bool:
        return read(self) == read(other) if other.__class__ is cls else NotImplemented

    def hashed(self: object) -> int:
        return hash(read(self))

    def state(self: object) -> tuple[Any, ...]:
        return read(self)

    cls.__init__ = _init(cls, known_fields)
    cls.__eq__, cls.__hash__, cls.__repr__ = eq, hashed, _repr
    cls.__setattr__, cls.__delattr__ = _locked, _kept
    cls.__getstate__, cls.__setstate__ = state, _restored
    return cast(type[T], cls)


def _init(kind: type, known_fields: tuple[Field[Any], ...]) -> Callable[..., None]:
    unlocked = type("Unlocked", (), {"__slots__": [member.name for member in known_fields]})
    known: dict[str, object] = {"Kind": kind, "Unlocked": unlocked, "set_class": _set_class}
    given, lines = ["self"], ["set_class(self, Unlocked)"]
    for member in known_fields:
        name, default = member.name, f"default_{member.name}"
        if member.default is MISSING and member.default_factory is MISSING:
            given.append(name)
        else:
            known[default] = member.default
            given.append(f"{name}={default}")
        if member.default_factory is not MISSING:
            known[f"new_{name}"] = member.default_factory
            lines.append(f"self.{name} = new_{name}() if {name} is {default} else {name}")
        else:
            lines.append(f"self.{name} = {name}")
    lines.append("self.__class__ = Kind")
    body = "\n  ".join(lines)
    namespace: dict[str, Any] = {}
    text = f"def make({', '.join(known)}):\n def init({', '.join(given)}):\n  {body}\n return init"
    exec(text, namespace)  # noqa: S102 (as dataclasses itself does, from the names of fields)
    return cast(Callable[..., None], namespace["make"](**known))


def _reader(names: tuple[str, ...]) -> Callable[[object], tuple[Any, ...]]:
    """Return a function that returns all fields of a value, as a tuple."""
    if len(names) > 1:
        return attrgetter(*names)
    if not names:
        return lambda _value: ()
    read = attrgetter(names[0])
    return lambda member: (read(member),)


def _repr(self: object) -> str:
    fields_text = ", ".join(
        f"{member.name}={getattr(self, member.name)!r}" for member in fields(cast(Any, self))
    )
    return f"{type(self).__qualname__}({fields_text})"


def _locked(_self: object, name: str, _value: object) -> None:
    raise FrozenInstanceError(f"cannot assign to field {name!r}")


def _kept(_self: object, name: str) -> None:
    raise FrozenInstanceError(f"cannot delete field {name!r}")


def _restored(self: object, state: tuple[Any, ...]) -> None:
    for member, content in zip(fields(cast(Any, self)), state, strict=True):
        object.__setattr__(self, member.name, content)
