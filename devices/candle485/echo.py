"""Drops the echo of our own bytes, which some half-duplex adapters return, so that it is not taken for a key press.
Rules:

* The echo of only one sent frame is awaited at a time. Bytes received until that echo is complete are held, so that a
  key pressed shortly before or after the echo is neither lost nor mixed up with it.
* A damaged echo is dropped as well, because a damaged LED command could look like the key that calls a visitor. Of the
  held bytes, the piece that becomes the sent frame with the fewest changes counts as the echo.
* Damaged echoes are only looked for if the adapter is known to echo (``sure``). Otherwise only exact copies are
  dropped, because a key pressed at that moment could be taken for a damaged echo.

No I/O and no clock: the owner calls ``expire`` when the echo is overdue.
"""

from __future__ import annotations

HELD_MAX = 64  # bytes: several frames; more than that while one echo is due is babble


class Echo:
    """Removes from received bytes the echo of a frame that we sent. Each frame is announced with ``sent``. ``sure``:
    the adapter is known to echo.
    """

    def __init__(self, *, sure: bool) -> None:
        self.sure = sure  # becomes True with the first echo
        self.echoes = 0
        self.damaged = 0
        self.missed = 0  # in a row
        self._due = b""
        self._held = b""

    @property
    def due(self) -> bool:
        """Whether an announced frame's echo has not arrived completely yet."""
        return bool(self._due)

    def sent(self, data: bytes) -> bytes:
        """Announce that ``data`` is sent now, so its echo is expected. If the echo of the frame before is incomplete,
        it is given up: returns the received bytes that do not belong to it (see ``expire``).
        """
        overdue = self.expire()
        self._due = data
        return overdue

    def feed(self, data: bytes) -> bytes:
        """Add received bytes. Returns those that are not the echo; b"" while the echo is incomplete. An echo that is
        incomplete after ``HELD_MAX`` bytes is given up (``expire``).
        """
        if not self._due:
            return data
        self._held += data
        at = self._held.find(self._due)
        if at >= 0:
            self.echoes += 1
            self.sure = True
            self.missed = 0
            rest = self._held[:at] + self._held[at + len(self._due) :]
            self._due = self._held = b""
            return rest
        return self.expire() if len(self._held) > HELD_MAX else b""

    def expire(self) -> bytes:
        """Give up an overdue echo: drop the bytes that look like a damaged copy of the frame, and return the other held
        bytes. Returns all of them if none do, or if it is not sure that the adapter echoes.
        """
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
    """Find the piece of ``held`` that becomes ``wanted`` with the fewest inserted, lost or flipped bytes. Returns
    (start, end, number of changes); the piece is ``held[start:end]``.

    Of equally good pieces the shortest is taken: a byte left over is only noise, but a byte too many may belong to a
    key press.
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
