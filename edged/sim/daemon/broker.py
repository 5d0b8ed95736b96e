"""An MQTT broker in memory that behaves to the daemon like a real one: sessions, QoS 1, retained messages, a will.

The daemon connects through ``MemoryTalk``, which takes the place of the TCP connection under the real ``MqttLink``. The
daemon's messages leave in the next turn of the event loop. A message that it did not acknowledge is delivered again on
its next connection. A message under way when a connection ends may be lost. Simulated devices and the city stay
connected unless a fault disconnects them.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Set
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple

from paho.mqtt.matcher import MQTTMatcher

from edged.clock import monotonic_s
from edged.driver import Refused, Unreachable
from edged.links.mqtt.connection import CONNACK_S
from edged.links.mqtt.packets import Publish
from edged.links.mqtt.settings import RECEIVE_MAXIMUM, MqttSettings
from edged.links.mqtt.talk import Ack, ConnectionLoss, LossKind, Outbound

QUEUE_MAX = 1_000  # messages for an absent client; like mosquitto it drops further ones silently
HELD_MAX = 100_000  # messages that a frozen broker has not read
WINDOW_MAX = 20  # mosquitto's max_inflight_messages

Listener = Callable[[str, bytes, bool], None]


class QueuedMessage(NamedTuple):
    """A message that the broker stores until the daemon can receive it. ``again``: it was delivered before and not
    acknowledged.
    """

    topic: str
    payload: bytes
    retain: bool
    again: bool = False


class BrokerSession:
    """The daemon's session at the broker, which outlives its connections."""

    def __init__(self) -> None:
        self._filters: Any = MQTTMatcher()  # type: ignore[no-untyped-call]
        self._known: dict[str, bool] = {}
        self.queue: deque[QueuedMessage] = deque(maxlen=QUEUE_MAX)
        self.inflight: dict[int, QueuedMessage] = {}

    def subscribe(self, topic_filter: str) -> None:
        """Add a subscription; it lasts until ``unsubscribe`` or the end of the session."""
        self._filters[topic_filter] = True
        self._known.clear()

    def unsubscribe(self, topic_filter: str) -> None:
        """Remove a subscription. Messages that were queued for it are still delivered."""
        with suppress(KeyError):
            del self._filters[topic_filter]
        self._known.clear()

    def wants(self, topic: str) -> bool:
        """Whether a subscription matches ``topic``."""
        known = self._known.get(topic)
        if known is None:
            known = self._known[topic] = next(self._filters.iter_match(topic), None) is not None
        return known


class Broker:
    """The simulated broker. ``state``: up, down (refuses connections), frozen (accepts connections and never answers),
    or slamming (closes each connection right after CONNACK).

    ``on_ack(topic, payload)`` is called for each message that the daemon acknowledges.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, on_ack: Callable[[str, bytes], None]) -> None:
        self._loop = loop
        self._on_ack = on_ack
        self.state = "up"
        self.retained: dict[str, bytes] = {}
        self.session: BrokerSession | None = None
        self.talk: MemoryTalk | None = None
        self.dropped = 0
        self.published = 0
        self._listeners: dict[str, list[Listener]] = {}
        self._routes: dict[str, list[Listener]] = {}
        self._matcher: Any = MQTTMatcher()  # type: ignore[no-untyped-call]
        self._held: deque[Callable[[], None]] = deque(maxlen=HELD_MAX)
        self._mid = 0

    # -- devices and the centre --

    def listen(self, topic_filter: str, listener: Listener) -> None:
        """Subscribe a simulated client (not the daemon) that never disconnects; ``listener(topic, payload, retain)`` is
        called for each message.
        """
        listeners = self._listeners.setdefault(topic_filter, [])
        listeners.append(listener)
        self._matcher[topic_filter] = listeners
        self._routes.clear()

    def publish(self, topic: str, payload: bytes, retain: bool = False) -> None:
        """Publish a message of a device or the city. If the broker is down or frozen, the message is delivered once it
        is up again.
        """
        if self.state in ("up", "slamming"):
            self.route(topic, payload, retain)
        else:
            self._held.append(lambda: self.route(topic, payload, retain))

    def retained_under(self, prefix: str) -> list[tuple[str, bytes]]:
        """The retained messages whose topic begins with ``prefix``, as (topic, payload)."""
        return [(topic, payload) for topic, payload in self.retained.items() if topic.startswith(prefix)]

    # -- faults --

    def go(self, state: str) -> None:
        """Set ``state``. On "up", the messages that were held back meanwhile are delivered."""
        self.state = state
        if state == "down":
            self.hang_up("closed")
        if state == "up":
            while self._held:
                self._held.popleft()()
            self._pump()

    def hang_up(self, reason: str = "closed") -> None:
        """Close the daemon's connection, if there is one; the daemon sees ``reason`` as the cause."""
        if self.talk is not None:
            self.talk.fail("closed", reason)

    def forget(self) -> None:
        """Restart the broker without any stored state."""
        self.hang_up("closed")
        self.retained.clear()
        self.session = None

    # -- the controller --

    def accept(self, talk: MemoryTalk) -> None:
        """Handle the daemon's CONNECT on the connection ``talk``: unacknowledged messages of its session are queued
        again. An older connection is closed as taken over.
        """
        if self.talk is not None:
            self.talk.fail("taken", "session taken over")
        self.talk = talk
        if self.session is None:
            self.session = BrokerSession()
        again = [kept._replace(again=True) for kept in self.session.inflight.values()]
        self.session.queue.extendleft(reversed(again))
        self.session.inflight.clear()

    def subscribe(self, filters: Iterable[str]) -> None:
        """Handle the daemon's SUBSCRIBE. For each filter the matching retained messages are sent, even if it was
        subscribed before.
        """
        session = self.session
        if session is None:
            return
        for name in filters:
            session.subscribe(name)
            alone: Any = MQTTMatcher()  # type: ignore[no-untyped-call]
            alone[name] = True
            for topic, payload in self.retained.items():
                if next(alone.iter_match(topic), None):
                    session.queue.append(QueuedMessage(topic, payload, True))
        self._pump()

    def from_daemon(self, batch: list[tuple[str, bytes, bool]]) -> None:
        """Handle the daemon's PUBLISH packets: (topic, payload, retain) of each. While the broker is down or frozen
        they wait.
        """
        if self.state in ("up", "slamming"):
            for topic, payload, retain in batch:
                self.route(topic, payload, retain)
        else:
            self._held.extend(partial(self.route, *one) for one in batch)

    def acknowledged(self, mid: int) -> None:
        """Handle the daemon's PUBACK of the message with packet identifier ``mid``."""
        if self.state == "frozen":
            self._held.append(lambda: self.acknowledged(mid))
            return
        kept = None if self.session is None else self.session.inflight.pop(mid, None)
        if kept is not None:
            self._on_ack(kept.topic, kept.payload)
            self._pump()

    def lost(self, talk: MemoryTalk) -> None:
        """Handle the end of the connection ``talk``: publish the daemon's will, unless the daemon had closed the
        connection itself.
        """
        if self.talk is talk:
            self.talk = None
            if talk.settings.will_topic is not None and not talk.goodbye:
                self.publish(talk.settings.will_topic, talk.settings.will_payload, talk.settings.will_retain)

    def route(self, topic: str, payload: bytes, retain: bool) -> None:
        """Deliver a message to every subscriber, and store it if ``retain`` is set. If the daemon's queue is full
        (``QUEUE_MAX``), it does not get the message.
        """
        self.published += 1
        if retain:
            if payload:
                self.retained[topic] = payload
            else:
                self.retained.pop(topic, None)
        listeners = self._routes.get(topic)
        if listeners is None:
            found = self._matcher.iter_match(topic)
            listeners = self._routes[topic] = [listener for listed in found for listener in listed]
        for listener in listeners:
            listener(topic, payload, retain)
        session = self.session
        if session is not None and session.wants(topic):
            if len(session.queue) >= QUEUE_MAX:
                self.dropped += 1
                return
            session.queue.append(QueuedMessage(topic, payload, False))
            self._pump()

    def _pump(self) -> None:
        session, talk = self.session, self.talk
        if session is None or talk is None or self.state != "up" or not talk.listening:
            return
        window = min(WINDOW_MAX, talk.receive_maximum)
        while session.queue and len(session.inflight) < window:
            kept = session.queue.popleft()
            self._mid = self._mid % 65_535 + 1
            session.inflight[self._mid] = kept
            self._loop.call_soon(talk.deliver, self._mid, kept)


class MemoryTalk:
    """One connection of the daemon to the simulated ``broker``, in memory. It has the interface of
    ``edged.links.mqtt.talk.Talk``, like the real connection over TCP.
    """

    receive_maximum = RECEIVE_MAXIMUM

    def __init__(
        self,
        broker: Broker,
        settings: MqttSettings,
        on_message: Callable[[Publish, Ack | None], None],
        _on_refused: Callable[[str, str], None],
        _unwanted: Set[str],
        on_reading: Callable[[bool], None],
    ) -> None:
        """For the parameters see ``talk.Connect``. ``_on_refused`` is never called, because this broker accepts every
        message that is published.
        """
        self._broker = broker
        self.settings = settings
        self._on_message, self._on_reading = on_message, on_reading
        self._loop = asyncio.get_running_loop()
        self.lost: asyncio.Future[ConnectionLoss] = self._loop.create_future()
        self.opened_s = 0.0
        self.session_present = False
        self.reached = False
        self.listening = False
        self.goodbye = False
        self._unacked: deque[Ack] = deque()
        self._batch: list[tuple[str, bytes, bool]] = []

    @property
    def unacked(self) -> int:
        """The number of received messages that the daemon has not acknowledged yet."""
        return len(self._unacked)

    async def open(self) -> None:
        """Connect. Raises ``Unreachable`` if the broker is down, does not answer, or closes the connection at once."""
        await asyncio.sleep(0.002)
        state = self._broker.state
        if state == "down":
            raise Unreachable("Connection refused")
        self.reached = True
        if state == "frozen":
            await asyncio.sleep(CONNACK_S)
            raise Unreachable(f"no CONNACK within {CONNACK_S:g} s")
        self.session_present = self._broker.session is not None
        self._broker.accept(self)
        if state == "slamming":
            self.fail("closed", "closed right after CONNACK")
        if self.lost.done():
            raise Unreachable(self.lost.result().reason)
        self.opened_s = monotonic_s()

    async def subscribe(self, filters: Iterable[tuple[str, int]]) -> list[str]:
        """Subscribe to (filter, QoS) pairs; returns the filters that the broker refused, here none. Raises
        ``Unreachable`` if the connection is lost.
        """
        names = [name for name, _qos in filters]
        await asyncio.sleep(0.002)
        if self.lost.done():
            raise Unreachable(self.lost.result().reason)
        self.listening = True
        self._broker.subscribe(names)
        return []

    async def unsubscribe(self, filters: Iterable[str]) -> None:
        """Remove the subscriptions to these filters."""
        for name in filters:
            if self._broker.session is not None:
                self._broker.session.unsubscribe(name)

    def publish(self, message: Outbound, qos: int = 1, retain: bool = False, urgent: bool = False) -> None:
        """Send one message to the broker in the next turn of the event loop, ``urgent`` or not. Raises ``Unreachable``
        without a connection, ``Refused`` if the topic is not valid.
        """
        if self.lost.done() or not self.opened_s:
            raise Unreachable("broker connection is down")
        if len(message.topic) > 65_535 or "#" in message.topic or "+" in message.topic:
            raise Refused(f"no topic: {message.topic!r}")
        if not self._batch:
            self._loop.call_soon(self._flush)
        self._batch.append((message.topic, message.payload, retain))

    def _flush(self) -> None:
        batch, self._batch = self._batch, []
        if not self.lost.done():
            self._broker.from_daemon(batch)

    def deliver(self, mid: int, kept: QueuedMessage) -> None:
        """Hand the daemon the message ``kept`` with the packet identifier ``mid``; called by the broker."""
        if self.lost.done():
            return
        self._on_reading(True)
        self._hand_on(mid, kept)
        self._on_reading(False)

    def _hand_on(self, mid: int, kept: QueuedMessage) -> None:
        if kept.topic == self.settings.ping_topic:  # subscribed at QoS 0
            self._broker.acknowledged(mid)
            self._on_message(Publish(kept.topic.encode(), kept.payload, 0, kept.retain, 0), None)
            return
        ack = Ack(self, mid)
        assert len(self._unacked) < RECEIVE_MAXIMUM, "the broker does not keep to what it was told"
        self._unacked.append(ack)
        publish = Publish(kept.topic.encode(), kept.payload, 1, kept.retain, mid, again=kept.again)
        self._on_message(publish, ack)

    def release(self) -> None:
        """Send the acknowledgements of the messages that all handlers have dealt with, in order of arrival. A message
        that is not dealt with yet holds back those after it.
        """
        if self.lost.done():
            return
        while self._unacked and self._unacked[0].left <= 0:
            self._loop.call_soon(self._acknowledge, self._unacked.popleft().mid)

    def _acknowledge(self, mid: int) -> None:
        if not self.lost.done():
            self._broker.acknowledged(mid)

    def misc(self) -> None:
        """No-op: a connection in memory needs no keepalive."""

    def fail(self, kind: LossKind, reason: str) -> None:
        """End the connection now, as if it were lost: the broker keeps the session and publishes the will."""
        if not self.lost.done():
            self.lost.set_result(ConnectionLoss(kind, reason))
            self._broker.lost(self)

    def close(self) -> None:
        """Disconnect properly, so that the broker does not publish the will."""
        if not self.lost.done():
            self.goodbye = True
        self.fail("closed", "closed here")
