"""The meaning and the range of a policy value, declared beside the field's type."""

from __future__ import annotations

from dataclasses import dataclass, is_dataclass
from functools import cache
from typing import Annotated, Any, get_args, get_origin, get_type_hints


@dataclass(frozen=True, slots=True)
class Parameter:
    """What a policy field means (a name in two languages, for refusals, JSON schema and web pages) and the range of its
    value. It stands in the field's ``Annotated`` type.

    The range is inclusive and applies even to a correctly signed policy. For a list or mapping it applies to each
    number in it. A field that holds no numbers has no range.
    """

    label: str
    label_zh: str
    low: int | None = None
    high: int | None = None

    @property
    def bounds(self) -> tuple[int, int] | None:
        """The smallest and the largest allowed value; None if there is no range."""
        return None if self.low is None or self.high is None else (self.low, self.high)


def split_hint(hint: Any) -> tuple[Any, Parameter | None]:
    """Split a field's annotated type into the plain type and its ``Parameter``. The latter is None for a field that
    holds a whole section of the policy.
    """
    if get_origin(hint) is not Annotated:
        return hint, None
    plain, *annotations = get_args(hint)
    found = next((one for one in annotations if isinstance(one, Parameter)), None)
    for one in annotations:
        plain = plain if one is found else Annotated[plain, one]
    return plain, found


@cache
def parameters(kind: type) -> dict[str, Parameter]:
    """Return every ``Parameter`` of the class ``kind`` and of the classes that its fields contain. Keys have the form
    ``Class.field``.
    """
    found: dict[str, Parameter] = {}
    for name, hint in get_type_hints(kind, include_extras=True).items():
        plain, parameter = split_hint(hint)
        if parameter is not None:
            found[f"{kind.__name__}.{name}"] = parameter
        for part in _parts(plain):
            found |= parameters(part)
    return found


def _parts(hint: Any) -> list[type]:
    """Return the dataclasses in a type: the type itself, or the element types of a list or mapping. Empty if there is
    none.
    """
    if is_dataclass(hint):
        return [hint] if isinstance(hint, type) else []
    return [part for one in get_args(hint) for part in _parts(one)]
