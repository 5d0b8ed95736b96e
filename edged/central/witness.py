"""Publishes the number of the journal's last step as a retained message, ``hall/{hall}/journal``, so that the broker
can show that the journal has lost its end.

A journal restored from an older copy, or started in an empty folder, cannot know what is missing. The broker can: it
repeats the last message. Nothing is published before the broker has had time to repeat it, and only committed steps are
published. If the broker's message is ahead of this journal, the journal begins a new epoch after it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from edged.central import topics
from edged.central.policy_desk import PushMessage
from edged.clock import monotonic_s
from edged.core.model.state import State
from edged.driver import Unreachable
from edged.links.mqtt.link import Handler
from edged.observer import Step
from edged.store.identity import Whereabouts, read

SETTLE_S = 2.0  # after a connect, for the broker to send its retained message
PUBLISH_EVERY_S = 2.0


class WitnessLink(Protocol):
    """What the witness needs of the broker: to keep one retained message there and to read it after each connection.
    ``MqttLink`` does it in the daemon; a Protocol, so that a test needs no broker.
    """

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None: ...
    def subscribe(self, topic_filter: str, handler: Handler) -> None: ...
    def on_state(self, callback: Callable[[bool, str], None]) -> object: ...


class WitnessedJournal(Protocol):
    """What ``Witness`` needs of the journal: its epoch and last step, a call after each commit, and a way to begin a
    new epoch. A Protocol, so that a test can put a journal in memory in its place.
    """

    epoch: int
    last_seq: int
    durable: bool

    def on_commit(self, callback: Callable[[Sequence[Step]], None]) -> None: ...
    def renew(self, witness: Whereabouts) -> None: ...


class Witness:
    """Publishes the number of the journal's last step and compares it with the retained message, which shows whether
    the journal has lost its end. Call ``start`` once, ``publish_if_changed`` about once a second.
    """

    def __init__(
        self, link: WitnessLink, journal: WitnessedJournal, hall: str, state: Callable[[], State]
    ) -> None:
        self._link = link
        self._journal = journal
        self._topic = topics.journal(hall)
        self._state = state
        self._committed = journal.last_seq
        self._published = -1
        self._due_s: float | None = None  # None: the link is down

    def start(self) -> None:
        """Subscribe to the retained message, and ask the journal to report each commit."""
        self._link.on_state(self._link_changed)
        self._link.subscribe(self._topic, self._received)
        self._journal.on_commit(self._on_commit)

    def publish_if_changed(self) -> None:
        """Publish the number of the last committed step if it has changed: at most every ``PUBLISH_EVERY_S``, and after
        a connect only once the broker has had ``SETTLE_S`` to send its retained message.
        """
        if self._due_s is None or monotonic_s() < self._due_s or self._published == self._committed:
            return
        state = self._state()
        numbers = tuple(state.last_number.items())
        where = Whereabouts(self._journal.epoch, self._committed, state.day, numbers)
        try:
            self._link.publish(self._topic, msgspec.json.encode(where), retain=True)
        except Unreachable:
            return
        self._published = self._committed
        self._due_s = monotonic_s() + PUBLISH_EVERY_S

    def _link_changed(self, up: bool, _reason: str) -> None:
        self._due_s = monotonic_s() + SETTLE_S if up else None
        self._published = -1

    def _on_commit(self, steps: Sequence[Step]) -> None:
        if self._journal.durable:
            self._committed = max(self._committed, steps[-1].seq)

    def _received(self, message: PushMessage) -> None:
        message.ack()
        position: Whereabouts | None = read(message.payload, Whereabouts)
        ours = (self._journal.epoch, self._journal.last_seq)
        if position is not None and (position.epoch, position.seq) > ours:
            self._due_s = None
            self._journal.renew(position)
