"""Drops the echo of our own bytes from a half-duplex adapter, before it is taken for a key press. Rules:

* One frame is out at a time. What arrives until its echo is complete is held, so that a key pressed just before it,
  or just behind it, is neither lost nor mixed up with it.
* An echo damaged on the way is dropped too: of the held bytes, the piece that needs the fewest changes to become
  what was sent. A damaged LED command must not call a visitor.
* That is only done where an echo is ``sure`` to come. Elsewhere a key pressed at the wrong moment would be taken for
  a damaged echo; there only the exact bytes are dropped.

No I/O and no clock: the owner calls ``expire`` when the echo is overdue.
"""

from __future__ import annotations

HELD_MAX = 64  # bytes: several frames; more than that while one echo is due is babble


class Echo:
    """Drops the echo of the bytes announced by ``sent``."""

    def __init__(self, *, sure: bool) -> None:
        self.sure = sure  # becomes true with the first echo heard
        self.heard = 0
        self.damaged = 0
        self.missed = 0  # in a row
        self._due = b""
        self._held = b""

    @property
    def due(self) -> bool:
        """Whether an echo is awaited."""
        return bool(self._due)

    def sent(self, data: bytes) -> bytes:
        """Announce that ``data`` is sent now. Returns the bytes held for an earlier echo that stayed incomplete."""
        overdue = self.expire()
        self._due = data
        return overdue

    def feed(self, data: bytes) -> bytes:
        """The bytes of ``data`` that others sent, as far as they need not be held."""
        if not self._due:
            return data
        self._held += data
        at = self._held.find(self._due)
        if at >= 0:
            self.heard += 1
            self.sure = True
            self.missed = 0
            rest = self._held[:at] + self._held[at + len(self._due) :]
            self._due = self._held = b""
            return rest
        return self.expire() if len(self._held) > HELD_MAX else b""

    def expire(self) -> bytes:
        """The echo is overdue: drop the part that arrived and return the other held bytes."""
        due, held = self._due, self._held
        self._due = self._held = b""
        if not due:
            return b""
        start, end, changes = _nearest(due, held)
        if not self.sure or changes > len(due) // 2:
            self.missed += 1
            return held
        self.damaged += 1
        self.missed = 0
        return held[:start] + held[end:]


def _nearest(wanted: bytes, held: bytes) -> tuple[int, int, int]:
    """The piece of ``held`` (start, end) that the fewest insertions, losses and flips turn into ``wanted``.

    The shortest of several: a byte too many left over is noise, a byte too many taken is somebody's key.
    """
    # Row i: (changes, -start) of the best piece that ends at each position and stands for wanted[:i].
    row = [(0, -position) for position in range(len(held) + 1)]
    for byte in wanted:
        last, row = row, [(row[0][0] + 1, row[0][1])]
        for position, other in enumerate(held):
            changes, start = last[position]
            row.append(
                min(
                    (changes + (byte != other), start),
                    (last[position + 1][0] + 1, last[position + 1][1]),
                    (row[position][0] + 1, row[position][1]),
                )
            )
    end = min(range(len(row)), key=lambda position: row[position][0])
    return -row[end][1], end, row[end][0]
