"""Who is at the duty desk: sessions, and how often a PIN may be tried. In memory: a restart ends them all."""

from __future__ import annotations

import secrets
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

from edged.clock import monotonic_s
from edged.logs import Allowance

IDLE_S = 15 * 60.0  # a tablet that lies about
LONGEST_S = 12 * 3600.0  # a shift
SESSIONS_MAX = 32
TRIES_FREE = 3  # wrong PINs of a name before it has to wait
WAIT_S, WAIT_MAX_S = 10.0, 900.0  # twice as long each time
NAMES_MAX = 200  # whose wrong tries are remembered
TRIES_BURST, TRIES_PER_S = 10, 0.2  # of everybody together: a thousand PINs take more than an hour
ACTS_BURST, ACTS_PER_S = 6, 0.5  # of one session
ACTS_KEPT = 64  # answers remembered, so that the same act is never sent twice


@dataclass(slots=True)
class DutySession:
    """Somebody who gave their PIN. ``token`` is the cookie, ``proof`` what each act shows beside it (CSRF).

    ``acts``: what each act of theirs came to, by its key; a value is there as soon as the act was taken.
    """

    name: str
    token: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    proof: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    since_s: float = field(default_factory=monotonic_s)
    used_s: float = field(default_factory=monotonic_s)
    allowance: Allowance = field(default_factory=lambda: Allowance(ACTS_BURST, ACTS_PER_S))
    acts: OrderedDict[str, Any] = field(default_factory=OrderedDict)


class DutySessions:
    """All sessions of this process."""

    def __init__(self) -> None:
        self._by_token: OrderedDict[str, DutySession] = OrderedDict()
        self._wrong: OrderedDict[str, tuple[int, float]] = OrderedDict()  # tries in a row, not before
        self._all = Allowance(TRIES_BURST, TRIES_PER_S)

    def begin(self, name: str) -> DutySession:
        """``name`` gave the right PIN."""
        self._wrong.pop(name, None)
        made = DutySession(name)
        self._by_token[made.token] = made
        while len(self._by_token) > SESSIONS_MAX:
            self._by_token.popitem(last=False)
        return made

    def of(self, token: str | None) -> DutySession | None:
        """The session of a cookie; None where there is none, or it was left alone for too long."""
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
        """They leave."""
        self._by_token.pop(session.token, None)

    def wait_s(self, name: str) -> float:
        """How long until a PIN may be tried for ``name``; 0: now, and that is a try of everybody's allowance."""
        _, not_before_s = self._wrong.get(name, (0, 0.0))
        left_s = not_before_s - monotonic_s()
        if left_s > 0:
            return left_s
        return 0.0 if self._all.take() is not None else 1 / TRIES_PER_S

    def wrong(self, name: str) -> None:
        """That was not it."""
        count = self._wrong.pop(name, (0, 0.0))[0] + 1
        pause_s = 0.0 if count < TRIES_FREE else min(WAIT_MAX_S, WAIT_S * 2.0 ** min(20, count - TRIES_FREE))
        self._wrong[name] = (count, monotonic_s() + pause_s)
        while len(self._wrong) > NAMES_MAX:
            self._wrong.popitem(last=False)
