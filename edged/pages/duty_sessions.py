"""The duty desk's sessions and limits on PIN attempts. Both are in memory: a restart ends all sessions."""

from __future__ import annotations

import ipaddress
import secrets
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

from edged.clock import monotonic_s
from edged.logs import Allowance

IDLE_S = 15 * 60.0  # a tablet may lie unattended
LONGEST_S = 12 * 3600.0  # a shift
SESSIONS_MAX = 32
TRIES_FREE = 3  # wrong PINs of a name from one address before that address has to wait with it
ADDRESS_TRIES_FREE = 10  # of all names from one address
WAIT_S, WAIT_MAX_S = 10.0, 900.0  # doubled with each further wrong PIN
WRONG_MAX = 1_000  # (address, name) pairs whose wrong tries are remembered
TRIES_BURST, TRIES_PER_S = 10, 0.2  # of everybody together: a thousand PINs take more than an hour
ACTS_BURST, ACTS_PER_S = 6, 0.5  # of one session
ACTS_KEPT = 64  # answers remembered, so that the same act is never sent twice


@dataclass(slots=True)
class DutySession:
    """A logged-in member of staff. ``token`` is the cookie, ``proof`` is sent with each order (against CSRF).

    ``pin_hash``: hash of the PIN used; the session ends when another one is stored. ``acts``: a future with the answer
    to each order, by the order's key, from the moment it was received.
    """

    name: str
    pin_hash: str
    token: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    proof: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    since_s: float = field(default_factory=monotonic_s)
    used_s: float = field(default_factory=monotonic_s)
    allowance: Allowance = field(default_factory=lambda: Allowance(ACTS_BURST, ACTS_PER_S))
    acts: OrderedDict[str, Any] = field(default_factory=OrderedDict)


class DutySessions:
    """All sessions of this process: who is logged in at the duty desk, and how many wrong PINs were tried."""

    def __init__(self) -> None:
        self._by_token: OrderedDict[str, DutySession] = OrderedDict()
        # by address and name ("": any name): (wrong tries in a row, monotonic time of the next permitted try)
        self._wrong: OrderedDict[tuple[str, str], tuple[int, float]] = OrderedDict()
        self._all = Allowance(TRIES_BURST, TRIES_PER_S)

    def begin(self, name: str, pin_hash: str, address: str) -> DutySession:
        """Start a session of ``name``, who gave the right PIN at ``address``."""
        self._wrong.pop((network(address), name), None)
        made = DutySession(name, pin_hash)
        self._by_token[made.token] = made
        while len(self._by_token) > SESSIONS_MAX:
            self._by_token.popitem(last=False)
        return made

    def of(self, token: str | None) -> DutySession | None:
        """The session of a cookie; None if it is unknown, was idle for more than ``IDLE_S``, or is older than
        ``LONGEST_S``.
        """
        found = self._by_token.get(token or "")
        if found is None:
            return None
        now_s = monotonic_s()
        if now_s - found.used_s > IDLE_S or now_s - found.since_s > LONGEST_S:
            del self._by_token[found.token]
            return None
        found.used_s = now_s
        return found

    def end(self, session: DutySession) -> None:
        """End a session."""
        self._by_token.pop(session.token, None)

    def wait_s(self, name: str, address: str) -> float:
        """Seconds until a PIN may be tried for ``name`` at ``address``; 0: now, and the try is counted.

        Wrong PINs block a name only at the address they came from, never its owner elsewhere.
        """
        place = network(address)
        until_s = max(self._wrong.get((place, one), (0, 0.0))[1] for one in (name, ""))
        left_s = until_s - monotonic_s()
        if left_s > 0:
            return left_s
        return 0.0 if self._all.take() is not None else 1 / TRIES_PER_S

    def wrong(self, name: str, address: str) -> None:
        """Count a wrong PIN for ``name`` from the network of ``address``, and for that network as a whole; after too
        many the next try has to wait.
        """
        place = network(address)
        for one, free in ((name, TRIES_FREE), ("", ADDRESS_TRIES_FREE)):
            count = self._wrong.pop((place, one), (0, 0.0))[0] + 1
            pause_s = 0.0 if count < free else min(WAIT_MAX_S, WAIT_S * 2.0 ** min(20, count - free))
            self._wrong[place, one] = (count, monotonic_s() + pause_s)
        while len(self._wrong) > WRONG_MAX:
            self._wrong.popitem(last=False)


def network(address: str) -> str:
    """The unit for counting attempts: an IPv4 address, or the /64 of an IPv6 address, within which a machine may choose
    addresses freely.
    """
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if found.version == 6 and found.ipv4_mapped is None:
        return str(ipaddress.ip_network((found, 64), strict=False))
    return str(found)
