"""Publishes ``hall/{hall}/status``: whether the hall serves visitors, and what is wrong if it is degraded.

The message is retained, with an MQTT will that says offline; it is sent again when the state, its reasons or the policy
change, and after every reconnect. Degraded means that visitors are served, and that somebody should come and check.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple, Protocol

import msgspec

from edged import __version__
from edged.central import topics
from edged.central.audience import CLOCK_TRUSTED_FROM_MS
from edged.core.model.state import State

REASONS_MAX = 16  # reasons in one message


class StatusLink(Protocol):
    """What ``HallStatus`` needs of the connection to the broker: to publish a message. ``MqttLink`` does it in the
    daemon; a Protocol, so that a test needs no broker.
    """

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None: ...


class HallFacts(NamedTuple):
    """The facts from which the status is made.

    ``durable``: the journal can be written to disk; ``wall_ms``: wall clock, ms since 1970 UTC; ``lost``: ids of the
    configured devices that are lost.
    """

    state: State
    durable: bool
    wall_ms: int
    lost: tuple[str, ...]


class HallStatus:
    """Publishes the status. Call ``publish_if_changed`` about once a second, ``publish_now`` after a reconnect, and
    ``leave`` at the end.
    """

    def __init__(self, hall: str, epoch: int, stamp: Callable[[int], str], group: str | None = None) -> None:
        """``epoch``: number of the present journal (a restored or damaged journal begins a new one); ``stamp`` turns ms
        since 1970 UTC into RFC 3339; ``group``: the city group of the hall.
        """
        self._group = {} if group is None else {"group": group}
        self.topic = topics.status(hall)
        self._epoch = epoch
        self._stamp = stamp
        self._word = "offline"
        self._reasons: tuple[str, ...] = ()
        self._policy = 0
        self._since_ms = 0

    def payload(self, word: str, facts: HallFacts, why: tuple[str, ...] = ()) -> bytes:
        """Encode the status message, and remember since when the hall is in the state ``word`` (online, degraded or
        offline). ``why``: the reasons for "degraded".
        """
        if word != self._word or not self._since_ms:
            self._word, self._since_ms = word, facts.wall_ms
        body = {
            "state": word,
            "version": __version__,
            "policy": facts.state.policy_version,
            "epoch": self._epoch,
            "since": self._stamp(self._since_ms),
        }
        return msgspec.json.encode(body | self._group | ({"reasons": why} if why else {}))

    def publish_if_changed(self, link: StatusLink, facts: HallFacts) -> None:
        """Publish the status if it changed."""
        if (reasons(facts), facts.state.policy_version) != (self._reasons, self._policy):
            self.publish_now(link, facts)

    def publish_now(self, link: StatusLink, facts: HallFacts) -> None:
        """Publish the hall's status now."""
        self._reasons, self._policy = reasons(facts), facts.state.policy_version
        word = "degraded" if self._reasons else "online"
        self._publish(link, self.payload(word, facts, self._reasons))

    def leave(self, link: StatusLink, facts: HallFacts) -> None:
        """Publish "offline", when the daemon ends normally."""
        self._publish(link, self.payload("offline", facts))

    def _publish(self, link: StatusLink, payload: bytes) -> None:
        with suppress(Exception):  # without a connection the MQTT will says the same
            link.publish(self.topic, payload, retain=True)


def reasons(facts: HallFacts) -> tuple[str, ...]:
    """Why the hall is degraded: ``disk`` (the journal cannot be written), ``clock`` (the wall clock was never set),
    ``safe mode``, ``device NAME`` (lost). Empty if it is not; at most ``REASONS_MAX``.
    """
    words = [] if facts.durable else ["disk"]
    if facts.wall_ms < CLOCK_TRUSTED_FROM_MS:
        words.append("clock")
    words += [] if facts.state.put_aside is None else ["safe mode"]
    words += [f"device {name}" for name in facts.lost]
    return tuple(words[:REASONS_MAX])
