"""What a pushable value means and what it may be, written at the field itself."""

from __future__ import annotations

from dataclasses import dataclass, is_dataclass
from functools import cache
from typing import Annotated, Any, get_args, get_origin, get_type_hints


@dataclass(frozen=True, slots=True)
class Parameter:
    """Beside a field's type: its name for refusals, the JSON schema and pages, and its range.

    The range is inclusive and holds whoever signed the policy; for a list or mapping of numbers it holds for each of
    them. A field without numbers has none.
    """

    label: str
    label_zh: str
    low: int | None = None
    high: int | None = None

    @property
    def bounds(self) -> tuple[int, int] | None:
        """The least and the most value that is accepted."""
        return None if self.low is None or self.high is None else (self.low, self.high)


def taken_apart(hint: Any) -> tuple[Any, Parameter | None]:
    """The type of a field without its parameter, and the parameter; a part with fields of its own has none."""
    if get_origin(hint) is not Annotated:
        return hint, None
    plain, *said = get_args(hint)
    found = next((one for one in said if isinstance(one, Parameter)), None)
    for one in said:
        plain = plain if one is found else Annotated[plain, one]
    return plain, found


@cache
def parameters(kind: type) -> dict[str, Parameter]:
    """Every parameter of ``kind`` and of the parts it is made of, by ``Class.field``."""
    found: dict[str, Parameter] = {}
    for name, hint in get_type_hints(kind, include_extras=True).items():
        plain, parameter = taken_apart(hint)
        if parameter is not None:
            found[f"{kind.__name__}.{name}"] = parameter
        for part in _parts(plain):
            found |= parameters(part)
    return found


def _parts(hint: Any) -> list[type]:
    """The classes with fields of their own in a type: itself, or what a list or mapping holds."""
    if is_dataclass(hint):
        return [hint] if isinstance(hint, type) else []
    return [part for one in get_args(hint) for part in _parts(one)]
