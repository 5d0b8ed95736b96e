"""Publishes the journal's last step as a retained message, ``hall/{hall}/journal``: so the broker can testify if the
journal lost its end.

A journal that was put back from an older copy, or begun anew in an empty folder, cannot know what it does not know. The
broker does: it repeats what was said last. Rules: nothing is said before the broker had time to repeat it; what is said
was committed; a word that goes beyond this journal is handed on once.
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

SETTLE_S = 2.0  # after a connect, for the broker to repeat what stands there
SAY_EVERY_S = 2.0


class WitnessLink(Protocol):
    """What is needed of ``edged.links.mqtt.link.MqttLink``."""

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None: ...
    def subscribe(self, topic_filter: str, handler: Handler) -> None: ...
    def on_state(self, callback: Callable[[bool, str], None]) -> None: ...


class WitnessedJournal(Protocol):
    """What is needed of ``edged.store.journal.Journal``."""

    epoch: int
    last_seq: int
    durable: bool

    def on_commit(self, callback: Callable[[Sequence[Step]], None]) -> None: ...
    def renew(self, witness: Whereabouts) -> None: ...


class Witness:
    """Publishes and compares: ``start`` once, ``look`` about once a second."""

    def __init__(
        self, link: WitnessLink, journal: WitnessedJournal, hall: str, state: Callable[[], State]
    ) -> None:
        self._link = link
        self._journal = journal
        self._topic = topics.journal(hall)
        self._state = state
        self._committed = journal.last_seq
        self._said = -1
        self._due_s: float | None = None  # None: the link is down

    def start(self) -> None:
        """Subscribe, and follow the journal's commits."""
        self._link.on_state(self._link_changed)
        self._link.subscribe(self._topic, self._heard)
        self._journal.on_commit(self._on_commit)

    def look(self) -> None:
        """Publish where the journal stands, if it moved on."""
        if self._due_s is None or monotonic_s() < self._due_s or self._said == self._committed:
            return
        state = self._state()
        numbers = tuple(state.last_number.items())
        where = Whereabouts(self._journal.epoch, self._committed, state.day, numbers)
        try:
            self._link.publish(self._topic, msgspec.json.encode(where), retain=True)
        except Unreachable:
            return
        self._said = self._committed
        self._due_s = monotonic_s() + SAY_EVERY_S

    def _link_changed(self, up: bool, _reason: str) -> None:
        self._due_s = monotonic_s() + SETTLE_S if up else None
        self._said = -1

    def _on_commit(self, steps: Sequence[Step]) -> None:
        if self._journal.durable:
            self._committed = max(self._committed, steps[-1].seq)

    def _heard(self, message: PushMessage) -> None:
        message.ack()
        found: Whereabouts | None = read(message.payload, Whereabouts)
        ours = (self._journal.epoch, self._journal.last_seq)
        if found is not None and (found.epoch, found.seq) > ours:
            self._due_s = None
            self._journal.renew(found)
