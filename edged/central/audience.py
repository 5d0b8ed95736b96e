"""What the desks know before and after a document is checked: who is asked, what came before, what passed.

The checks themselves are imported by the first document that comes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

from edged.core.model.events import Event
from edged.core.model.policy import Policy
from edged.core.model.site import Site

NONE = b""  # the envelope of version 0, the built-in policy, where it came back into force
CLOCK_TRUSTED_FROM_MS = (
    1_767_225_600_000  # 2026-01-01: an earlier clock was never set, dates cannot be judged
)


@dataclass(frozen=True, slots=True)
class Names:
    """What a policy may speak of: the hall's areas, services and windows.

    ``unserved``: services without a window. ``serves``: what each window can do; ``area_of`` each service.
    """

    areas: frozenset[str]
    services: frozenset[str]
    windows: frozenset[str]
    unserved: frozenset[str] = frozenset()
    serves: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    area_of: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, site: Site) -> Names:
        """Of a hall as it is built."""
        areas, services, windows = (
            frozenset(part.id for part in parts) for parts in (site.areas, site.services, site.windows)
        )
        serves = {window.id: window.skills for window in site.windows}
        area_of = {service.id: service.area for service in site.services}
        return cls(areas, services, windows, services.difference(*serves.values()), serves, area_of)


@dataclass(frozen=True, slots=True)
class Audience:
    """Who is asked to accept: this hall, its city group, what it has."""

    hall: str
    group: str | None
    names: Names


@dataclass(frozen=True, slots=True)
class Verified:
    """A policy that passed every check. ``sha256`` is over the payload bytes; times are ms since 1970 UTC."""

    version: int
    sha256: str
    policy: Policy
    not_before_ms: int
    expires_ms: int
    previous_sha256: str | None
    envelope: bytes


@dataclass(frozen=True, slots=True)
class Mark:
    """The highest version ever accepted, and its content where known (a redelivery of it is no replay)."""

    version: int = 0
    sha256: str | None = None


class Counter(NamedTuple):
    """The last document taken of a key: its counter, and the SHA-256 of its payload."""

    value: int
    sha256: str


class Order(NamedTuple):
    """An operation that passed every check. ``event`` None: the policy desk's. ``again``: it was taken already."""

    name: str
    id: str
    by: str
    keyid: str
    counter: Counter
    event: Event | None
    again: bool


class Past(NamedTuple):
    """What an operation is judged against: the wall clock in ms, and the last counter of every key."""

    now_ms: int
    counters: dict[str, Counter]


def epoch_ms(time: str) -> int:
    """RFC 3339 to ms since 1970 UTC. Raises ValueError for a date that does not exist."""
    return int(datetime.fromisoformat(time).timestamp() * 1000)


def rfc3339(ms: int) -> str:
    """Ms since 1970 UTC to RFC 3339 in UTC."""
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="seconds")
