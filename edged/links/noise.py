"""Detects a serial bus with more noise than valid frames: a babbling unit, a broken wire, a wrong baud rate.

Pure: the caller gives the time in seconds.
"""

from __future__ import annotations

from collections import deque

BABBLE_S = 5.0  # noise without a pause for this long: the bus is unusable
BABBLE_BYTES = 64  # and at least this much: a spike a second is not babble
QUIET_S = 1.0  # a pause that ends a stretch of noise; also what a faulty bus must show to be trusted again
PRESSES_MAX = 10  # per second and unit: no person presses faster, a stuck key does
PRESSES_WITHIN_S = 1.0


class Babble:
    """Decides from duration and amount of noise whether a bus babbles, that is, cannot be used."""

    def __init__(self) -> None:
        self._since_s: float | None = None
        self._last_s = 0.0
        self._bytes = 0

    def count(self, noise_bytes: int, now_s: float) -> bool:
        """Count ``noise_bytes`` that arrived now; True if the bus babbles."""
        if self._since_s is None or now_s - self._last_s >= QUIET_S:
            self._since_s, self._bytes = now_s, 0
        self._last_s = now_s
        self._bytes += noise_bytes
        return now_s - self._since_s >= BABBLE_S and self._bytes >= BABBLE_BYTES

    def understood(self) -> None:
        """Forget the noise received before, because a frame of a configured unit was understood."""
        self._since_s = None

    def quiet_in_s(self, now_s: float) -> float:
        """Seconds of silence still needed until the bus counts as quiet; 0 once it does."""
        return max(0.0, self._last_s + QUIET_S - now_s)


class Presses:
    """Limits how many presses of a key count, so that a stuck key does not fill the daemon's queue of incoming
    events.
    """

    def __init__(self) -> None:
        self._at_s: dict[int, deque[float]] = {}  # by address: one byte, so at most 256 entries

    def allows(self, address: int, now_s: float) -> bool:
        """Count a press on the panel at bus address ``address``. False if no person presses that fast: more than
        ``PRESSES_MAX`` times in ``PRESSES_WITHIN_S``. ``now_s``: the caller's clock in seconds.
        """
        recent = self._at_s.setdefault(address, deque(maxlen=PRESSES_MAX))
        if len(recent) == PRESSES_MAX and now_s - recent[0] < PRESSES_WITHIN_S:
            return False
        recent.append(now_s)
        return True
