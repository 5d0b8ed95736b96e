"""A byte stream within one process, and the faults of any connection. For tests, the simulator and fake devices. Rules:

* Bytes never overtake each other: a delayed piece delays what was written after it, as on a real line.
* All faults come from one seeded generator: the same seed and the same writes give the same faults.
* Bytes that arrive at an end whose ``run`` is not active are lost.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from edged.core.model.losses import Loss
from edged.driver import Unreachable

PENDING_BYTES_MAX = 64 * 1024  # under way on one wire; a real one holds a few KiB


@dataclass(frozen=True, slots=True)
class WireFaults:
    """Probabilities of faults in [0, 1], for a whole write or for each byte, and the range of random delays in seconds
    of the event loop.
    """

    lose: float = 0.0  # a write vanishes
    duplicate: float = 0.0  # a write arrives twice
    split: float = 0.0  # a write arrives in pieces
    lose_byte: float = 0.0
    flip_byte: float = 0.0  # one bit of it
    insert_byte: float = 0.0
    delay_min_s: float = 0.0
    delay_max_s: float = 0.0


class Mangler:
    """Applies the faults of a ``WireFaults`` to the bytes that are written. ``seed`` starts the generator of its random
    numbers.
    """

    def __init__(self, faults: WireFaults, seed: int) -> None:
        self.faults = faults
        self._random = random.Random(seed)  # noqa: S311  # seeded on purpose

    def pieces(self, data: bytes) -> list[tuple[float, bytes]]:
        """What arrives of a write: (delay in s, bytes) in order; empty if it is lost."""
        if self._hits(self.faults.lose):
            return []
        copies = 2 if self._hits(self.faults.duplicate) else 1
        arriving = self._bytes(data) * copies
        if not arriving:
            return []
        cuts = self._cuts(len(arriving)) if self._hits(self.faults.split) else []
        edges = [0, *cuts, len(arriving)]
        return [(self._delay_s(), arriving[a:b]) for a, b in pairwise(edges)]

    def _hits(self, chance: float) -> bool:
        return chance > 0 and self._random.random() < chance

    def _bytes(self, data: bytes) -> bytes:
        result = bytearray()
        for byte in data:
            if self._hits(self.faults.insert_byte):
                result.append(self._random.randrange(256))
            if self._hits(self.faults.lose_byte):
                continue
            flipped = 1 << self._random.randrange(8) if self._hits(self.faults.flip_byte) else 0
            result.append(byte ^ flipped)
        return bytes(result)

    def _cuts(self, length: int) -> list[int]:
        pieces = min(length, 1 + self._random.randrange(1, 4))
        return sorted(self._random.sample(range(1, length), pieces - 1))

    def _delay_s(self) -> float:
        return self._random.uniform(self.faults.delay_min_s, self.faults.delay_max_s)


@dataclass(slots=True)
class _Piece:
    data: bytes
    due: bool = False
    timer: asyncio.TimerHandle | None = None


class Delivery:
    """Calls ``deliver`` with each piece of bytes when it is due, in order."""

    def __init__(self, deliver: Callable[[bytes], None]) -> None:
        self._deliver = deliver
        self._pending: deque[_Piece] = deque()  # at most PENDING_BYTES_MAX
        self._pending_bytes = 0

    def put(self, delay_s: float, data: bytes) -> None:
        """Deliver ``data`` after ``delay_s``, but not before anything put earlier. Raises ``Unreachable`` if more than
        ``PENDING_BYTES_MAX`` would be pending.
        """
        if self._pending_bytes + len(data) > PENDING_BYTES_MAX:
            raise Unreachable("the wire is full")
        piece = _Piece(data)
        piece.timer = asyncio.get_running_loop().call_later(delay_s, self._arrives, piece)
        self._pending.append(piece)
        self._pending_bytes += len(data)

    def clear(self) -> None:
        """Drop all bytes that were not delivered yet."""
        for piece in self._pending:
            assert piece.timer is not None
            piece.timer.cancel()
        self._pending.clear()
        self._pending_bytes = 0

    def _arrives(self, piece: _Piece) -> None:
        piece.due = True
        while self._pending and self._pending[0].due:
            first = self._pending.popleft()
            self._pending_bytes -= len(first.data)
            self._deliver(first.data)


class MemoryLink:
    """A ``ByteLink`` that is one end of a connection in memory; ``pair`` makes both ends. ``cut`` and ``mend`` affect
    both.
    """

    def __init__(self, faults: WireFaults, seed: int) -> None:
        self.sent = 0  # bytes
        self.received = 0
        self._mangler = Mangler(faults, seed)
        self._delivery = Delivery(self._arrive)
        self._other: MemoryLink = self
        self._whole = True
        self._reason = "open"
        self._on_bytes: Callable[[bytes], None] | None = None
        self._on_state: Callable[[bool, Loss], None] | None = None

    @classmethod
    def pair(
        cls, seed: int = 0, there: WireFaults | None = None, back: WireFaults | None = None
    ) -> tuple[MemoryLink, MemoryLink]:
        """Make two connected ends. ``there``: faults from the first to the second; ``back``: from the second to the
        first.
        """
        one, two = cls(there or WireFaults(), 2 * seed), cls(back or WireFaults(), 2 * seed + 1)
        one._other, two._other = two, one
        return one, two

    async def run(self, on_bytes: Callable[[bytes], None], on_state: Callable[[bool, Loss], None]) -> None:
        """Receive bytes and report up and down, until cancelled; see ``ByteLink``."""
        self._on_bytes, self._on_state = on_bytes, on_state
        try:
            on_state(self._whole, Loss("closed", self._reason))
            await asyncio.get_running_loop().create_future()  # for ever
        finally:
            self._on_bytes = self._on_state = None
            self._delivery.clear()

    async def write(self, data: bytes) -> None:
        """Send bytes to the other end, with the faults of this direction. Raises ``Unreachable`` while the connection
        is cut, while ``run`` is not active, or if too many bytes are under way.
        """
        if not self._whole:
            raise Unreachable(self._reason)
        if self._on_bytes is None:
            raise Unreachable("not opened yet")
        self.sent += len(data)
        for delay_s, piece in self._mangler.pieces(data):
            self._other._delivery.put(delay_s, piece)

    def reopen(self, why: Loss) -> None:
        """Report this end as down and up again; bytes on their way to it are lost."""
        if self._whole and self._on_state is not None:
            self._on_state(False, why)
            self._delivery.clear()
            self._on_state(True, Loss("", "open"))

    def misbehave(self, faults: WireFaults, seed: int) -> None:
        """Give both directions of the connection the same faults from now on. ``seed`` starts the generator of their
        random numbers.
        """
        self._mangler, self._other._mangler = Mangler(faults, 2 * seed), Mangler(faults, 2 * seed + 1)

    def cut(self, reason: str = "cut") -> None:
        """Break the connection: both ends report down, and undelivered bytes are lost."""
        for end in (self, self._other):
            if end._whole:
                end._whole, end._reason = False, reason
                end._delivery.clear()
                end._report_state()

    def mend(self) -> None:
        """Restore the connection: both ends report up."""
        for end in (self, self._other):
            if not end._whole:
                end._whole, end._reason = True, "open"
                end._report_state()

    def _report_state(self) -> None:
        if self._on_state is not None:
            self._on_state(self._whole, Loss("closed", self._reason))

    def _arrive(self, data: bytes) -> None:
        if self._on_bytes is not None:
            self.received += len(data)
            self._on_bytes(data)
