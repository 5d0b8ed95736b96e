"""The data of the pages: named parts, each the newest JSON object of one topic. Every change gets the next number.

A reader asks for everything since change N and gets one frame, however long it was away; so nothing queues up for slow
readers.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import OrderedDict
from typing import Any

import msgspec

from edged import clock

PARTS_MAX = 8_000  # 1,000 windows, 100 areas, and room; more is not a hall
FRAMES_MAX = 32  # encoded for readers, until the next change: nearly all of them ask for the same one
PACE_S = 0.1  # least time between two frames: nobody can read more than ten a second

_ENCODER = msgspec.json.Encoder()


class Sheet:
    """All page parts for one kind of page (those for staff, or those for the public). ``put`` changes a part,
    ``changed`` waits for changes, ``frame`` encodes them.
    """

    def __init__(self) -> None:
        self.life = secrets.token_hex(4)  # id of this sheet: change numbers begin anew with each process
        self.seq = 0
        self.refused = 0
        self._parts: OrderedDict[str, tuple[int, dict[str, Any] | None, bytes]] = OrderedDict()
        self._turn = asyncio.Event()
        self._flushed_s = 0.0
        self._due: asyncio.TimerHandle | None = None
        self._frames: dict[int, bytes] = {}

    def part(self, name: str) -> dict[str, Any]:
        """The newest content of a part; empty if there is none."""
        found = self._parts.get(name)
        return {} if found is None or found[1] is None else found[1]

    def parts(self, prefix: str) -> dict[str, dict[str, Any]]:
        """Every part whose name begins with ``prefix``, by the rest of its name."""
        return {
            name.removeprefix(prefix): body
            for name, (_, body, _) in self._parts.items()
            if body is not None and name.startswith(prefix)
        }

    def put(self, name: str, body: dict[str, Any] | None) -> None:
        """Set a part; None deletes it. No-op if the content is the same."""
        encoded = b"null" if body is None else _ENCODER.encode(body)
        known = self._parts.get(name)
        if known is not None and known[2] == encoded:
            return
        if known is None and (body is None or len(self._parts) >= PARTS_MAX):
            self.refused += body is not None
            return
        self.seq += 1
        self._parts[name] = (self.seq, body, encoded)
        self._parts.move_to_end(name)
        self._frames.clear()
        if self._due is None:
            wait_s = max(0.0, self._flushed_s + PACE_S - clock.monotonic_s())
            self._due = asyncio.get_running_loop().call_later(wait_s, self._flush)

    def _flush(self) -> None:
        self._due = None
        self._flushed_s = clock.monotonic_s()
        turn, self._turn = self._turn, asyncio.Event()
        turn.set()

    async def changed(self, since: int) -> None:
        """Wait for a change after number ``since``; returns at most once in ``PACE_S``."""
        if self.seq <= since or self._due is not None:
            await self._turn.wait()

    def frame(self, since: int) -> bytes:
        """Every part changed after number ``since`` (0: every part), as a JSON object."""
        found = self._frames.get(since)
        if found is None:
            if len(self._frames) >= FRAMES_MAX:
                self._frames.clear()  # readers with many different numbers, and no change that cleared the cache
            found = self._frames[since] = self._encoded(since)
        return found

    @property
    def frames_kept(self) -> int:
        """How many encoded frames are cached."""
        return len(self._frames)

    def _encoded(self, since: int) -> bytes:
        parts = []
        for name, (seq, body, encoded) in reversed(self._parts.items()):
            if seq <= since:
                break
            if since or body is not None:
                parts.append(_ENCODER.encode(name) + b":" + encoded)
        head = b'{"life":"%s","from":%d,"to":%d,"parts":{' % (self.life.encode(), since, self.seq)
        return head + b",".join(reversed(parts)) + b"}}"
