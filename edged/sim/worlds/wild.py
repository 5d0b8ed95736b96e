"""Draws random events that nobody should send: of every kind, with content from the hall's own names or invented.

The values of a field are derived from its type and name, so that a new kind of event is included without a change here.
Policies are drawn in the same way, but within the limits that a policy must respect.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable, Mapping
from functools import cache
from random import Random
from types import NoneType, UnionType
from typing import Any, Literal, cast, get_args, get_origin, get_type_hints

from edged.central.contradictions import contradictions
from edged.core.model.events import (
    Event,
    JournalRenewed,
    OutcomeKept,
    PolicyApplied,
    Resumed,
    SafeModeSet,
    SiteLoaded,
    Tick,
)
from edged.core.model.policy import Policy
from edged.core.model.policy.parameter import parameters
from edged.core.model.site import Site

MADE_ELSEWHERE = (
    Tick,
    Resumed,
    SiteLoaded,
    PolicyApplied,
    SafeModeSet,
    JournalRenewed,
    OutcomeKept,
)  # these are covered by faults of their own
NOWHERE = ("", "mars", "w99", "x" * 64, "A9999", "号", "-1")
TRIES = 20  # attempts to draw a policy that is consistent
WORDS_MAX = 2**31


class Wild:
    """A source of random events and policies for one hall."""

    def __init__(self, site: Site, rng: Random) -> None:
        self._rng = rng
        self._kinds: list[Any] = [kind for kind in get_args(Event) if kind not in MADE_ELSEWHERE]
        self._words = _words(site)

    def event(self, numbers: list[str]) -> Event:
        """Draw an event; ``numbers``: recently issued tickets, which it may refer to."""
        kind = self._rng.choice(self._kinds)
        drawn = {name: self._value(name, hint, numbers) for name, hint in _hints(kind).items()}
        return cast(Event, kind(**drawn))

    def policy(self) -> Policy:
        """Draw a policy that the hall would accept: numbers within their limits, switches on or off, and no
        contradictions.
        """
        for _ in range(TRIES):
            drawn = cast(Policy, self._drawn(Policy()))
            if next(iter(contradictions(drawn)), None) is None:
                return drawn
        return Policy()

    def _drawn(self, part: Any) -> Any:
        changes: dict[str, Any] = {}
        for field in dataclasses.fields(part):
            value, name = getattr(part, field.name), f"{type(part).__name__}.{field.name}"
            if dataclasses.is_dataclass(value):
                changes[field.name] = self._drawn(value)
            elif isinstance(value, bool):
                changes[field.name] = value if self._rng.random() < 0.8 else not value
            elif isinstance(value, int) and (bounds := _bounds(name)) and self._rng.random() < 0.3:
                low, high = bounds
                changes[field.name] = self._rng.randint(low, min(high, max(low, 4 * abs(value) + 10)))
            else:
                kind: Any = type(part)
                hint = _hints(kind)[field.name]
                if get_origin(hint) is Literal and self._rng.random() < 0.3:
                    changes[field.name] = self._rng.choice(get_args(hint))
        return dataclasses.replace(part, **changes)

    def _value(self, name: str, hint: Any, numbers: list[str]) -> Any:
        origin, args = get_origin(hint), get_args(hint)
        if origin is UnionType or NoneType in args:
            rest = [arg for arg in args if arg is not NoneType]
            return None if self._rng.random() < 0.4 else self._value(name, self._rng.choice(rest), numbers)
        if origin is Literal:
            return self._rng.choice(args)
        if hint is bool:
            return self._rng.random() < 0.5
        if hint is int:
            return self._number(name)
        if hint is float:
            return self._rng.uniform(-1, 1e6)
        if origin is tuple:
            return tuple(self._value(name, args[0], numbers) for _ in range(self._rng.randrange(3)))
        if origin is Mapping:
            return {}
        return self._text(numbers)

    def _number(self, name: str) -> int:
        if name == "level":
            return self._rng.randint(1, 5)
        if name == "wall_ms":
            return self._rng.randint(0, 2**42)
        if name == "utc_offset_min":
            return self._rng.choice((480, 480, 0, -300))
        return self._rng.choice((0, 1, 2, 17, 600, 65_535, WORDS_MAX))

    def _text(self, numbers: list[str]) -> str:
        draw = self._rng.random()
        if draw < 0.2 and numbers:
            return self._rng.choice(numbers[-30:])
        return self._rng.choice(self._words) if draw < 0.9 else self._rng.choice(NOWHERE)


def _bounds(name: str) -> tuple[int, int] | None:
    known = parameters(Policy).get(name)
    return None if known is None else known.bounds


@cache
def _hints(kind: Hashable) -> dict[str, Any]:
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in dataclasses.fields(cast(Any, kind))}


def _words(site: Site) -> list[str]:
    """Every name of the hall: ids, points, prefixes."""
    found: dict[str, None] = {}
    parts: tuple[Any, ...] = (*site.areas, *site.services, *site.windows, *site.staff)
    for part in parts:
        for field in dataclasses.fields(part):
            value = getattr(part, field.name)
            for one in value if isinstance(value, tuple) else (value,):
                if isinstance(one, str) and one:
                    found[one] = None
    return list(found)
