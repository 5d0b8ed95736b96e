"""When the hall tells the broker where its journal ends: not before the broker could repeat what it has, then only
news.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from edged.central import witness
from edged.central.witness import PUBLISH_EVERY_S, SETTLE_S, Witness
from edged.core.model.events import Tick
from edged.core.model.state import State
from edged.driver import Unreachable
from edged.observer import Step
from edged.store.identity import Whereabouts


class Hall:
    """A link, a journal and a clock; everything that is published, in order."""

    epoch = 1
    durable = True

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.last_seq, self.now_s, self.away = 7, 100.0, False
        self.published: list[int] = []
        self.renewed: list[Whereabouts] = []
        self._changed: Callable[[bool, str], None]
        self._committed: Callable[[Any], None]
        monkeypatch.setattr(witness, "monotonic_s", lambda: self.now_s)
        this: Any = self
        self.witness = Witness(this, this, "h", State)
        self.witness.start()

    def on_state(self, callback: Callable[[bool, str], None]) -> None:
        self.link = callback

    def on_commit(self, callback: Callable[[Any], None]) -> None:
        self._committed = callback

    def subscribe(self, topic_filter: str, handler: Any) -> None:
        self.handler = handler

    def renew(self, found: Whereabouts) -> None:
        self.renewed.append(found)

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        if self.away:
            raise Unreachable("broker away")
        assert (topic, retain) == ("hall/h/journal", True)
        self.published.append(msgspec.json.decode(payload, type=Whereabouts).seq)

    def commit(self, seq: int) -> None:
        self._committed([Step(seq, 0, Tick(), (), ())])

    def after(self, seconds: float = 0.0) -> list[int]:
        """All numbers published so far, after ``seconds`` and one more call."""
        self.now_s += seconds
        self.witness.publish_if_changed()
        return self.published


def test_nothing_is_told_before_the_broker_had_time_to_repeat_what_it_knows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hall = Hall(monkeypatch)
    assert hall.after(1_000) == [], "the link was never up"
    hall.link(True, "")
    assert hall.after(SETTLE_S - 0.1) == []
    assert hall.after(0.1) == [7]


def test_only_what_is_new_is_told_and_not_too_often(monkeypatch: pytest.MonkeyPatch) -> None:
    hall = Hall(monkeypatch)
    hall.link(True, "")
    assert hall.after(SETTLE_S) == [7]
    assert hall.after(60) == [7], "nothing was committed since"
    hall.commit(8)
    assert hall.after() == [7, 8]
    hall.commit(9)
    assert hall.after(PUBLISH_EVERY_S - 0.1) == [7, 8], "said a moment ago"
    assert hall.after(0.1) == [7, 8, 9]


def test_what_was_not_committed_or_did_not_leave_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    hall = Hall(monkeypatch)
    hall.link(True, "")
    hall.durable = False
    hall.commit(8)
    assert hall.after(SETTLE_S) == [7]
    hall.durable, hall.away = True, True
    hall.commit(9)
    assert hall.after(PUBLISH_EVERY_S) == [7]
    hall.away = False
    assert hall.after() == [7, 9], "again at the next look, for it did not leave"


def test_a_broker_that_was_away_is_told_again_and_one_that_is_away_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hall = Hall(monkeypatch)
    hall.link(True, "")
    assert hall.after(SETTLE_S) == [7]
    hall.link(False, "closed")
    hall.commit(8)
    assert hall.after(60) == [7]
    hall.link(True, "")
    assert hall.after() == [7]
    assert hall.after(SETTLE_S) == [7, 8]


@pytest.mark.parametrize(
    ("epoch", "seq", "beyond"), [(1, 7, False), (1, 8, True), (2, 0, True), (0, 99, False)]
)
def test_a_position_beyond_this_journal_is_reported_and_stops_our_own_reports(
    monkeypatch: pytest.MonkeyPatch, epoch: int, seq: int, beyond: bool
) -> None:
    hall = Hall(monkeypatch)
    hall.link(True, "")
    word = Whereabouts(epoch, seq, 0, ())
    hall.handler(_Message(msgspec.json.encode(word)))
    assert hall.renewed == ([word] if beyond else [])
    assert hall.after(60) == ([] if beyond else [7])


class _Message:
    topic = "hall/h/journal"

    def __init__(self, payload: bytes) -> None:
        self.payload = payload

    def ack(self) -> None:
        """No-op: nobody waits for it here."""
