"""Decides which key may sign what at a given time, from the key files that hall.toml names and the city's key list.
Rules:

* Without a key list, only hall.toml decides: [policy] keys sign everything, [duty] keys what [duty] operations allows.
* With one, the list decides: [policy] keys of hall.toml may sign only what the list allows them. [duty] keys belong to
  the hall and stay valid unless the list names or revokes them.
* For a known key that may not sign now, the refusal says why (revoked, expired, not for this).
* Dates are checked only while the clock can be trusted, like those of documents.

Pure: no clock, no file. ``now_ms`` is ms since 1970 UTC.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from edged.central.audience import CLOCK_TRUSTED_FROM_MS, Trusted, rfc3339
from edged.central.envelope import Keys
from edged.central.refusals import Reason, reason
from edged.central.signatures import PublicKey

SKEW_MS = 120_000  # between the centre's clock and ours
WARN_MS = 30 * 86_400_000  # as for certificates
DAY_MS = 86_400_000
POLICIES, OPERATIONS, DUTY = "policies", "operations", "duty"


class ListedKey(NamedTuple):
    """A key of the list; see ``key_list.KeyEntry``."""

    keyid: str
    public: PublicKey
    name: str
    scopes: frozenset[str]
    not_before_ms: int
    not_after_ms: int


class RevokedKey(NamedTuple):
    """A key that the list revokes; ``why``: the reason given by the city."""

    keyid: str
    public: PublicKey
    name: str
    why: str


class KeyList(NamedTuple):
    """A verified key list. ``unknown``: names of keys whose algorithm this program does not support."""

    version: int
    sha256: str
    root: str
    expires_ms: int
    keys: tuple[ListedKey, ...]
    revoked: tuple[RevokedKey, ...]
    unknown: tuple[str, ...]
    envelope: bytes


@dataclass(slots=True)
class Keyring:
    """Decides which signing keys may sign what. ``city``: the centre's keys in hall.toml; ``duty``: those of the hall's
    duty desks; ``duty_operations``: the names of the operations that these may order; ``listed``: the city's signed key
    list, None if there is none.
    """

    city: Keys = field(default_factory=dict)
    duty: Keys = field(default_factory=dict)
    duty_operations: frozenset[str] = frozenset()
    listed: KeyList | None = None

    def for_policies(self, now_ms: int) -> Trusted:
        """The keys that may sign a policy now."""
        if self.listed is None:
            return Trusted(self.city)
        keys: dict[str, PublicKey] = {}
        unusable = self._not_listed(self.listed)
        for one in self.listed.keys:
            why = self._why_not(one, now_ms)
            if why is None and POLICIES not in one.scopes:
                why = reason("key-scope", "signatures", key=_called(one), may=_may(one))
            if why is None:
                keys[one.keyid] = one.public
            else:
                unusable[one.keyid] = why
        return Trusted(keys, {}, unusable)

    def for_operations(self, now_ms: int) -> Trusted:
        """The keys that may sign an operation now, and which operations each may order.

        A key that hall.toml names both for the city and for a duty desk is not restricted.
        """
        if self.listed is None:
            limited = {keyid: self.duty_operations for keyid in self.duty if keyid not in self.city}
            return Trusted({**self.duty, **self.city}, limited)
        named = {one.keyid for one in self.listed.keys} | {one.keyid for one in self.listed.revoked}
        keys = {keyid: public for keyid, public in self.duty.items() if keyid not in named}
        scopes = dict.fromkeys(keys, self.duty_operations)
        unusable = {keyid: why for keyid, why in self._not_listed(self.listed).items() if keyid not in keys}
        for one in self.listed.keys:
            may = self._operations(one)
            why = self._why_not(one, now_ms)
            if why is None and may is not None and not may:
                why = reason("key-scope", "signatures", key=_called(one), may=_may(one))
            if why is not None:
                unusable[one.keyid] = why
                continue
            keys[one.keyid] = one.public
            if may is not None:
                scopes[one.keyid] = may
        return Trusted(keys, scopes, unusable)

    def ends(self, now_ms: int) -> dict[str, str]:
        """Return an alarm text for everything that expires within a month or has expired: for the list itself (under
        ``key-list``), and for each scope whose last key expires (under the scope's name).
        """
        listed = self.listed
        if listed is None or now_ms < CLOCK_TRUSTED_FROM_MS:
            return {}
        found = {}
        for scope in sorted({scope for one in listed.keys for scope in one.scopes}):
            last = max((one for one in listed.keys if scope in one.scopes), key=lambda one: one.not_after_ms)
            if last.not_after_ms - now_ms < WARN_MS:
                found[scope] = f"the last key for {scope}, {_called(last)}, {_end(last.not_after_ms, now_ms)}"
        if listed.expires_ms - now_ms < WARN_MS:
            found["key-list"] = f"key list version {listed.version} {_end(listed.expires_ms, now_ms)}"
        return found

    def _operations(self, one: ListedKey) -> frozenset[str] | None:
        """The operations that a listed key may order; None: all."""
        if OPERATIONS in one.scopes:
            return None
        named = {
            scope.partition(":")[2] for scope in one.scopes if scope.startswith(OPERATIONS + ":")
        }  # unknown operation names are harmless
        return frozenset(named | (self.duty_operations if DUTY in one.scopes else frozenset()))

    def _not_listed(self, listed: KeyList) -> dict[str, Reason]:
        """Return, by key id, why a key may sign nothing under ``listed``: the list revokes it, or it is a city key of
        hall.toml that the list does not name.
        """
        gone: Iterator[tuple[str, Reason]] = (
            (
                one.keyid,
                reason("key-revoked", "signatures", key=_called(one), version=listed.version, detail=one.why),
            )
            for one in listed.revoked
        )
        named = {one.keyid for one in listed.keys}
        ours = {
            keyid: reason("key-not-listed", "signatures", key=keyid, version=listed.version)
            for keyid in self.city
            if keyid not in named
        }
        return ours | dict(gone)

    def _why_not(self, one: ListedKey, now_ms: int) -> Reason | None:
        if now_ms < CLOCK_TRUSTED_FROM_MS:
            return None
        if now_ms + SKEW_MS < one.not_before_ms:
            return reason("key-not-yet", "signatures", key=_called(one), at=rfc3339(one.not_before_ms))
        if now_ms >= one.not_after_ms:
            return reason("key-ended", "signatures", key=_called(one), at=rfc3339(one.not_after_ms))
        return None


def publics(keys: tuple[ListedKey, ...] | tuple[RevokedKey, ...]) -> Keys:
    """The public keys of these entries, by key id."""
    return {one.keyid: one.public for one in keys}


def _called(one: ListedKey | RevokedKey) -> str:
    return f"{one.name} ({one.keyid})"


def _may(one: ListedKey) -> str:
    return ", ".join(sorted(one.scopes))


def _end(end_ms: int, now_ms: int) -> str:
    days = (end_ms - now_ms) // DAY_MS
    return f"ends in {days} days" if end_ms > now_ms else "has ended"
