"""Computes the pause before the next connection to the broker.

Rules: after a connection that lasted, the broker is tried again after ``FIRST_S``. While it cannot be reached it is
tried four times a second at first, so that its restart costs the hall well under a second, and later at least every
five seconds. If it accepts connections and ends them soon, the pause doubles, so that neither a flapping broker nor a
second client with our id causes a storm. Every pause has jitter, so that forty halls do not reconnect in step after a
power cut.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

PROBE_S = 0.25  # the longest wait while the broker has been away for less than PROBE_FAST_S
PROBE_FAST_S = 60.0
PROBE_MAX_S = 5.0  # refused connections on a LAN cost nothing; a broker back after a day is found in seconds
FIRST_S = (
    0.1  # after a connection that had lasted, and after the first that had not: the broker may be restarting
)
HURT_S = 0.5  # after the next that had not; doubles each time
HURT_MAX_S = 30.0
STABLE_S = (
    2.0  # a connection that lived this long was a good one: at most so often a broker that ends them is tried
)
JITTER = 0.5  # a wait is this share fixed and the rest random


@dataclass(frozen=True, slots=True)
class ConnectionOutcome:
    """How a connection ended: ``absent`` (the broker was not reached), ``broken`` (lost), ``taken`` (another client
    connected with our id). ``lived_s``: how long it lasted.
    """

    kind: Literal["absent", "broken", "taken"]
    lived_s: float


class Backoff:
    """Computes the pause before the next connection to the broker. ``jitter()`` returns numbers in [0, 1). It reads no
    clock: the caller passes the time.
    """

    def __init__(self, jitter: Callable[[], float]) -> None:
        self._jitter = jitter
        self._hurts = 0
        self._absent_since_s: float | None = None

    def delay_s(self, outcome: ConnectionOutcome, now_s: float) -> float:
        """Seconds to wait after ``outcome``. ``now_s``: the present time in seconds of ``edged.clock.monotonic_s``."""
        return self._full_s(outcome, now_s) * (JITTER + (1 - JITTER) * self._jitter())

    def _full_s(self, outcome: ConnectionOutcome, now_s: float) -> float:
        if outcome.kind == "absent":
            if self._absent_since_s is None:
                self._absent_since_s = now_s
            self._hurts = 0  # the broker was away: the next one is a new process
            away_s = now_s - self._absent_since_s
            return PROBE_S if away_s < PROBE_FAST_S else min(PROBE_MAX_S, away_s / PROBE_FAST_S)
        self._absent_since_s = None
        if outcome.kind == "taken":
            return HURT_MAX_S  # reconnecting would disconnect the other client, which reconnects as well
        if outcome.lived_s >= STABLE_S:
            self._hurts = 0
            return FIRST_S
        self._hurts = min(self._hurts + 1, 16)
        return FIRST_S if self._hurts == 1 else float(min(HURT_MAX_S, HURT_S * 2 ** (self._hurts - 2)))
