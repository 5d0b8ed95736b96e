"""What the centre is sent of a hall's events, and when, as text to read: ``uplink.txt``.

After ``>`` stands what happens: something in the hall, an acknowledgement, a break of the line, time that passes. Below
it stands every message (its number, the number before it, whether it is of history), the alarms, what is kept, and how
long the uplink waits for the next thing. Rewrite it, read the diff:
``TRANSCRIPTS_UPDATE=1 pytest tests/central/test_uplink_as_sent.py``.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import apsw
import pytest
import structlog

from edged.central import uplink as uplink_module
from edged.central.uplink import Uplink
from edged.core.model.commands import Note
from edged.core.model.events import ClockSet, CountRead, Event, KeyPressed
from edged.core.model.point import Point
from edged.driver import Unreachable
from edged.observer import Step
from edged.store.records import encode_step
from edged.store.uplink import Cursor

WRITTEN = Path(__file__).parent / "uplink.txt"


class Waits(Exception):
    """The uplink has nothing to do for so many seconds."""


class Hall:
    """A journal, a link and a clock around one uplink; writes down what it hears."""

    epoch = 3

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.transcript: list[str] = []
        self.now_s, self.at_ms, self.seq = 1_000.0, 0, 0
        self.durable, self.takes = True, 10_000
        self.cursor = Cursor(0, 0, 0)
        self.unwritten: list[Step] = []
        self.rows = apsw.Connection(":memory:")
        self.rows.execute("CREATE TABLE steps (seq INTEGER PRIMARY KEY, at_ms, kind, event, notes)")
        monkeypatch.setattr(uplink_module, "monotonic_s", lambda: self.now_s)
        self.patch = monkeypatch
        self.begin()

    def begin(self) -> None:
        this: Any = self
        self.uplink = Uplink(
            this, this, "h", str, self.reject, lambda why: self.transcript.append(f"ahead: {why}")
        )
        pulse: Any = SimpleNamespace(expect=lambda within_s: None, wait=self.wait)
        self.uplink.heartbeat = pulse
        self.uplink.start(0)

    def reject(self, reason: str, detail: str = "") -> None:
        self.transcript.append(f"counted: {reason} ({detail})")

    async def wait(self, event: asyncio.Event, within_s: float) -> None:
        raise Waits(f"{within_s:.3g} s")

    # -- the journal --

    async def ask(self, query: Callable[[apsw.Connection], Any]) -> Any:
        return query(self.rows)

    def keep_cursor(self, cursor: Cursor) -> None:
        self.cursor = cursor
        self.transcript.append(
            f"kept: acknowledged {cursor.acked}, counted {cursor.number} up to step {cursor.step}"
        )

    def on_durable(self, callback: Callable[[bool], None]) -> None:
        self.durable_changed = callback

    def commit(self, event: Event, *notes: Note) -> None:
        self.seq += 1
        step = Step(self.seq, self.at_ms, event, (), notes)
        self.unwritten.append(step)
        if self.durable:
            self.write()
        self.uplink.committed([step])

    def write(self) -> None:
        for row in map(encode_step, self.unwritten):
            values = (row.seq, row.at_ms, row.kind, row.event, row.notes)
            self.rows.execute("INSERT INTO steps VALUES (?, ?, ?, ?, ?)", values)
        self.unwritten.clear()

    # -- the link --

    def subscribe(self, topic_filter: str, handler: Callable[[Any], None]) -> None:
        self.handler = handler

    def on_state(self, callback: Callable[[bool, str], None]) -> None:
        self.link_changed = callback

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        assert (topic, retain) == ("hall/h/events", False)
        if not self.takes:
            raise Unreachable("no room")
        self.takes -= 1
        event = json.loads(payload)
        of = " of history" if event["historical"] else ""
        self.transcript.append(
            f"{event['sequence']} after {event['previous']}{of}: {event['subject']} at {event['time']}"
        )

    # -- what happens --

    async def line(self, text: str) -> None:
        first, _, rest = text.partition(" ")
        match first:
            case "calls":
                for _ in range(int(rest)):
                    self.commit(
                        KeyPressed(Point("p"), "next"), *self.call(), Note("ignored", "w1", {"reason": "x"})
                    )
            case "call":  # one step with several events
                self.commit(KeyPressed(Point("p"), "next"), *(self.call(n)[0] for n in range(int(rest))))
            case "counter":
                for _ in range(int(rest)):
                    self.at_ms += 20_000
                    event = CountRead(Point("door"), "occupancy", occupancy=1)
                    self.commit(event, Note("people.counted", "door", {"occupancy": 1}))
            case "clock":
                self.commit(ClockSet(self.at_ms + int(rest), 480))
            case "ack" | "say":
                payload = f'{{"epoch":3,"upto":{rest}}}' if first == "ack" else rest
                ack = lambda: self.transcript.append("acknowledged")  # noqa: E731
                self.handler(SimpleNamespace(topic="ack", payload=payload.encode(), ack=ack))
            case "line":
                self.link_changed(rest == "up", "")
            case "takes":
                self.takes = int(rest)
            case "disk":
                self.durable = rest == "ok"
                if self.durable:
                    self.write()
                self.durable_changed(self.durable)
            case "lose":
                self.rows.execute("DELETE FROM steps WHERE seq <= ?", (int(rest),))
            case "restart":
                self.uplink.stop()
                self.begin()
            case "thin":
                self.patch.setattr(uplink_module, "THIN_ABOVE", int(rest))
            case "turns":
                for _ in range(int(rest) - 1):
                    self.now_s += 0.02
                    await self.work()
                self.now_s += 0.02
            case "wait":
                self.now_s += float(rest)
            case _:
                raise AssertionError(text)
        if first not in ("restart", "line", "say", "disk"):
            await self.work()

    def call(self, more: int = 0) -> tuple[Note]:
        self.at_ms += 10
        return (
            Note("ticket.called", f"A{self.seq + 1}{'abcdefgh'[more] if more else ''}", {"window": "w1"}),
        )

    async def work(self) -> None:
        try:
            await self.uplink.run()
        except Waits as wait:
            self.transcript.append(
                f"waits {wait}, {self.uplink.backlog} not acknowledged after {self.uplink.acknowledged_upto}"
            )


def shortened(lines: list[str]) -> list[str]:
    """Of many messages in a row the first two and the last."""
    return lines if len(lines) < 9 else [*lines[:2], f"… {len(lines) - 4} more …", *lines[-2:]]


async def test_the_uplink_sends_what_is_recorded_after_each_step(monkeypatch: pytest.MonkeyPatch) -> None:
    text = WRITTEN.read_text()
    hall: Hall | None = None
    written: list[str] = []
    with structlog.testing.capture_logs() as logs:
        for line in text.splitlines():
            if line.startswith("-- "):
                hall = Hall(monkeypatch)
                written += ["", line] if written else [line]
            if not line.startswith("> "):
                continue
            assert hall is not None
            hall.transcript.clear()
            await hall.line(line[2:])
            lines = [*shortened(hall.transcript), *(f"log {one['log_level']} {one['event']}" for one in logs)]
            logs.clear()
            written += [line, *(f"  {one}" for one in lines)]
    found = "\n".join(written) + "\n"
    if os.environ.get("TRANSCRIPTS_UPDATE"):
        WRITTEN.write_text(found)
    assert found == text
