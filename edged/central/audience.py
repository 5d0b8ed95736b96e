"""The data with which a signed document is checked (the hall, the trusted keys, what was accepted before) and the
results.

The checks themselves are in modules that are imported only when the first document arrives.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Annotated, NamedTuple

from msgspec import Meta

from edged.central.refusals import Reason
from edged.central.signatures import PublicKey
from edged.core.model.events import Event
from edged.core.model.policy import Policy
from edged.core.model.site import Site
from edged.shapes import form

_EPOCH, _MS = datetime.fromtimestamp(0, UTC), timedelta(milliseconds=1)
_FIRST_MS = (datetime.min.replace(tzinfo=UTC) - _EPOCH) // _MS
_LAST_MS = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // _MS
Moment = Annotated[
    str,
    form(r"^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d(:\d\d(\.\d{1,9})?)?([Zz]|[+-]\d\d:\d\d)$"),
    Meta(
        description="RFC 3339 with offset; seconds may be left out",
        examples=["2026-12-01T00:00:00+08:00"],
    ),
]
NONE = b""  # stands for the envelope of the built-in policy (version 0)
CLOCK_TRUSTED_FROM_MS = (
    1_767_225_600_000  # 2026-01-01: a clock before that was never set, and dates are not checked
)


@dataclass(frozen=True, slots=True)
class Names:
    """The ids that a policy may use: the hall's areas, services and windows.

    ``unserved``: services that no window has. ``serves``: window -> its services; ``area_of``: service -> area;
    ``kinds``: area -> kind, for areas that have one.
    """

    areas: frozenset[str]
    services: frozenset[str]
    windows: frozenset[str]
    unserved: frozenset[str] = frozenset()
    serves: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    area_of: Mapping[str, str] = field(default_factory=dict)
    kinds: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, site: Site) -> Names:
        """Collect the ids, kinds and skills of ``site``."""
        areas, services, windows = (
            frozenset(part.id for part in parts) for parts in (site.areas, site.services, site.windows)
        )
        serves = {window.id: window.skills for window in site.windows}
        area_of = {service.id: service.area for service in site.services}
        kinds = {area.id: area.kind for area in site.areas if area.kind is not None}
        return cls(areas, services, windows, services.difference(*serves.values()), serves, area_of, kinds)


@dataclass(frozen=True, slots=True)
class Audience:
    """The hall that checks a document: its id, its city group (None: none), its names."""

    hall: str
    group: str | None
    names: Names


@dataclass(frozen=True, slots=True)
class Verified:
    """A policy that passed every check. ``sha256``: of the payload bytes; times are ms since 1970 UTC.

    ``rehearsal_days``: the number of recorded days on which it is simulated before it takes effect; ``max_worse``: by
    how many percent the simulated waits may get worse (None: never refused for that). ``unmet``: names that match
    nothing in this hall; ``depends``: whether the policy depends on the hall's areas (``addressing.py``).
    """

    version: int
    sha256: str
    policy: Policy
    not_before_ms: int
    expires_ms: int
    previous_sha256: str | None
    envelope: bytes
    rehearsal_days: int = 20
    max_worse: int | None = None
    unmet: tuple[str, ...] = ()
    depends: bool = False


@dataclass(frozen=True, slots=True)
class HighestVersion:
    """The highest policy version ever accepted, and the SHA-256 of its payload (None: not known).

    The hash tells a redelivery of the same document from another document with that version.
    """

    version: int = 0
    sha256: str | None = None


class LastOrder(NamedTuple):
    """The counter of the last operation accepted from a key, and the SHA-256 of its payload."""

    value: int
    sha256: str


class Order(NamedTuple):
    """An operation that passed every check, ordered by the person ``by`` and signed with the key ``keyid``.

    ``event`` is for the core; None for a rollback, which the policy desk carries out (``version``: only if this policy
    is in force; None: whichever is). ``again``: the same document was carried out before.
    """

    name: str
    id: str
    by: str
    keyid: str
    counter: LastOrder
    event: Event | None
    again: bool
    version: int | None = None


class Trusted(NamedTuple):
    """The keys that may sign one type of document (policies, or operations) now, by key id.

    ``scopes``: for each key that may order only some operations, which. ``unusable``: known keys that may not sign now,
    and why.
    """

    keys: Mapping[str, PublicKey]
    scopes: Mapping[str, frozenset[str]] = MappingProxyType({})
    unusable: Mapping[str, Reason] = MappingProxyType({})


class Past(NamedTuple):
    """The data with which an operation is checked: the wall clock in ms since 1970 UTC, every key's last counter."""

    now_ms: int
    counters: dict[str, LastOrder]


def epoch_ms(moment: str) -> int:
    """Convert RFC 3339 to ms since 1970 UTC, rounded down; a leap second counts as the first of the next minute.

    Raises ValueError for a date that does not exist or lies outside the years 1 to 9999 in UTC.
    """
    text = moment.upper().replace("Z", "+00:00")  # RFC 3339 §5.6: "t" and "z" may be lower case
    leap = text[16:19] == ":60"
    if leap:
        text = f"{text[:16]}:59{text[19:]}"
    ms = (datetime.fromisoformat(text) - _EPOCH) // _MS + (1000 if leap else 0)
    if not _FIRST_MS <= ms <= _LAST_MS:
        raise ValueError(f"{moment} is outside the years 1 to 9999 in UTC")
    return ms


def rfc3339(ms: int) -> str:
    """Convert ms since 1970 UTC to RFC 3339 in UTC; a time outside the years 1 to 9999 becomes the nearest inside."""
    moment = _EPOCH + min(max(ms, _FIRST_MS), _LAST_MS) * _MS
    return moment.isoformat(timespec="seconds")
