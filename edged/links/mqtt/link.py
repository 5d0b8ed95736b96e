"""The link to the hall's MQTT broker: reconnects, passes received messages to their handlers, and publishes without
waiting.

Rules: a received QoS 1 message is acknowledged once, by its handler, after what it changed in the hall is on disk. An
acknowledgement for a message of an earlier connection is dropped, because the broker sends that message again. Every
connection subscribes anew, even if the broker kept the session. The link sends pings to itself through the broker. So
it notices a frozen broker, which counts as down, and a second process with our client id. It reconnects for ever, with
pauses.

Protocol 5 is the default. With 3.1.1 the following is missing:

* no receive maximum: the broker may send its whole queue at once, so only TCP's flow control slows it down;
* no maximum packet size: a message above ``INCOMING_LIMIT_BYTES`` costs the connection; set the broker's own limit;
* no session expiry: the broker decides how long it keeps the queue of a controller that is away;
* no message expiry: an action may reach a device late, after its deadline; devices must check its id;
* no response topic: signed operations are answered by state and events only;
* no reason in a broker's DISCONNECT: a second client with our id is noticed only by its retained ping, one connection
  later (mosquitto 2.0.11 gives no reason in version 5 either).
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple

import structlog
from paho.mqtt.matcher import MQTTMatcher

from edged import clock
from edged.driver import Refused, Reject, Unreachable
from edged.heartbeat import Heartbeat
from edged.links.chance import chance
from edged.links.mqtt.backoff import Backoff, ConnectionOutcome
from edged.links.mqtt.connection import CONNACK_S, SUBACK_S, Connection
from edged.links.mqtt.names import covers, filter_fault
from edged.links.mqtt.packets import Publish, correlation_property, expiry_property
from edged.links.mqtt.settings import MqttSettings
from edged.links.mqtt.talk import Ack, Connect, ConnectionLoss, Outbound, Talk

__all__ = ["Message", "MqttLink", "MqttSettings"]

UNACKED_LIMIT_S = (
    30.0  # receive window full for so long: reconnect, so that the broker sends those messages again
)
ROUTES_MAX = 4096  # topics with a remembered route: all devices of the largest hall, several times
PING_SHARE = (
    0.6  # share of keepalive_s between self-pings: a frozen broker is noticed after 1.6 keepalive_s at most
)
DEAF_LIVES = 3  # connections in a row without any self-ping: an ACL forbids them, so stop sending them

STOPPED = "stopped"  # reason of a link that is down because its process stops
DOWN_REMEDY = (
    "see `reason`; check that the broker runs, the network to it,"
    " and the user, password and certificates that hall.toml names for it"
)

log = structlog.get_logger("edged.link")
Handler = Callable[["Message"], None]


class Message(NamedTuple):
    """One received message. ``retain``: it is a retained message from before we subscribed. ``again``: the broker says
    that it sent it before (DUP) and got no acknowledgement.

    ``ack`` is to be called exactly once, in the event loop's thread. ``response_topic`` and ``correlation`` are those
    of MQTT 5; see ``MqttLink.respond``.
    """

    topic: str
    payload: bytes
    retain: bool
    ack: Callable[[], None]
    response_topic: str | None = None
    correlation: bytes | None = None
    again: bool = False


class Route(NamedTuple):
    """The handlers for messages on ``topic``. ``reason``: the reason under which messages are counted as rejected if
    there are no handlers.
    """

    topic: str
    handlers: tuple[Handler, ...]
    reason: str


class MqttLink:
    """The link to one broker. Await ``run``; ``subscribe`` and ``on_state`` may be called at any time."""

    def __init__(
        self,
        settings: MqttSettings,
        reject: Reject,
        connect: Connect = Connection,
    ) -> None:
        """``reject`` counts messages and subscriptions that are rejected. ``connect`` makes one connection; the
        simulator passes its own.
        """
        self.settings = settings
        self._reject = reject
        self._connect = connect
        self._handlers: dict[str, list[Handler]] = {}
        self._matcher: Any = (
            _new_matcher()
        )  # the same filters as a tree: a thousand devices have a thousand of them
        self._rest: dict[
            str, Handler
        ] = {}  # wide filter -> handler of the messages that no other handler gets
        self._refused_filters: set[str] = set()  # wide filters that the broker refuses
        self._asked: set[str] = set()  # filters still to be subscribed to; bounded by the handlers
        self._woken: asyncio.Future[None] | None = None
        self._tidy = False  # the broker's session has no filter beside a wide one that covers it
        self._routes: dict[bytes, Route] = {}
        self._watchers: list[Callable[[bool, str], None]] = []
        self._unwanted: set[str] = (
            set()
        )  # topics whose messages the broker refuses; bounded by what we publish
        self._refusal_watchers: list[Callable[[str, str], None]] = []
        self._on_reading: Callable[[bool], None] = _unfollowed
        self._connection: Talk | None = None
        self._up: bool | None = None
        self._reason = ""
        self._refused: set[str] = set()
        self._ping_sent_s: float | None = None
        self._ping_seen_s: float | None = None
        self._deaf_lives = 0
        self._signature = secrets.token_hex(
            8
        ).encode()  # tells our pings from those of a process with the same id
        self._lives = 0
        self._rival = False
        self._rival_known = False
        self.taken = False  # the last connection ended because another client came with our id
        self.heartbeat = Heartbeat()
        self._listen(settings.ping_topic, self._on_ping)

    @property
    def connected(self) -> bool:
        """Whether the link is connected and subscribed."""
        return bool(self._up)

    @property
    def reason(self) -> str:
        """Why the link is down; "" while it is up."""
        return self._reason

    @property
    def connection(self) -> Talk | None:
        """The present connection, for measurements and tests; None while there is none."""
        return self._connection

    def subscribe(self, topic_filter: str, handler: Handler) -> None:
        """Call ``handler`` with every message that matches ``topic_filter``, now and after every reconnect.

        An invalid filter is not sent, but logged and counted: the broker would end the connection of all devices over
        it.
        """
        fault = filter_fault(topic_filter)
        if fault:
            log.error(
                "topic-filter-invalid",
                topic=topic_filter[:80],
                detail=fault,
                effect="nothing is received on this topic; other topics are not affected",
                remedy="correct the topic in hall.toml",
            )
            self._reject("bad_filter", topic_filter[:80])
            return
        self._listen(topic_filter, handler)
        # subscribing again makes the broker send retained messages again
        self._asked.add(self._covering(topic_filter) or topic_filter)
        if self._woken is not None and not self._woken.done():
            self._woken.set_result(None)

    def subscribe_rest(self, topic_filter: str, handler: Handler) -> None:
        """Call ``handler`` with messages under ``topic_filter`` that no other handler gets. To be called before
        ``run``.

        At the broker this one subscription also replaces all narrower ones, because with overlapping subscriptions it
        may send a message once for each (MQTT 5 §3.3.4). If the broker refuses so wide a filter, the narrower ones are
        subscribed to after all.
        """
        self._rest[topic_filter] = handler

    def _covering(self, topic_filter: str) -> str | None:
        """The filter of ``subscribe_rest`` whose subscription includes ``topic_filter``; None if there is none or the
        broker refuses it.
        """
        return next(
            (w for w in self._rest if w not in self._refused_filters and covers(w, topic_filter)), None
        )

    def _listen(self, topic_filter: str, handler: Handler) -> None:
        handlers = self._handlers.setdefault(topic_filter, [])
        handlers.append(handler)
        self._matcher[topic_filter] = handlers
        self._routes.clear()

    def unsubscribe(self, topic_filter: str, handler: Handler) -> None:
        """Stop calling ``handler``. The subscription at the broker stays; if no other handler is left, the messages
        that the broker still sends are acknowledged and counted as rejected.
        """
        handlers = self._handlers.get(topic_filter, [])
        if handler in handlers:
            handlers.remove(handler)
        if not handlers and self._handlers.pop(topic_filter, None) is not None:
            del self._matcher[topic_filter]
            self._asked.discard(topic_filter)
        self._routes.clear()

    def on_state(self, callback: Callable[[bool, str], None]) -> Callable[[], None]:
        """Call ``callback(up, reason)`` whenever the link goes up or down from now on; ``reason`` says why it is down.
        Returns a function that ends this.
        """
        self._watchers.append(callback)
        return lambda: self._watchers.remove(callback)

    def on_refused(self, callback: Callable[[str, str], None]) -> Callable[[], None]:
        """Call ``callback(topic, why)`` whenever the broker refuses a message or a subscription, and with ``why`` ""
        once it allows that topic again. Returns a function that ends this.
        """
        self._refusal_watchers.append(callback)
        return lambda: self._refusal_watchers.remove(callback)

    def on_reading(self, callback: Callable[[bool], None]) -> None:
        """Call ``callback(True)`` before the messages of one read go to their handlers, and ``callback(False)`` after
        the last of them. Call this before ``run``.
        """
        self._on_reading = callback

    def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        retain: bool = False,
        expiry_s: int | None = None,
        urgent: bool = False,
        on_no_subscriber: Callable[[], None] | None = None,
    ) -> None:
        """Send at QoS 1 without waiting for the broker's acknowledgement; ``urgent``: write it to the socket before
        this returns.

        ``on_no_subscriber`` is called later if the broker reports that nobody has subscribed to the topic (see
        ``Outbound``).

        Raises ``Unreachable`` while the link is down or the broker does not read or acknowledge. A message that is not
        acknowledged when the connection ends is not sent again: output values are sent again anyway, and actions time
        out. A message that the broker refuses, or that is larger than it accepts, is reported to ``on_refused``.
        """
        properties = b"" if expiry_s is None else expiry_property(expiry_s)
        self._there().publish(Outbound(topic, payload, properties, on_no_subscriber), 1, retain, urgent)

    def respond(self, request: Message, payload: bytes) -> bool:
        """Answer ``request`` on its MQTT 5 response topic. False if it has none. Raises ``Unreachable`` like
        ``publish``.
        """
        if request.response_topic is None:
            return False
        properties = b"" if request.correlation is None else correlation_property(request.correlation)
        self._there().publish(Outbound(request.response_topic, payload, properties))
        return True

    def _there(self) -> Talk:
        if self._connection is None:
            raise Unreachable(f"broker: {self._reason or 'not connected yet'}")
        return self._connection

    async def run(self) -> None:
        """Connect again and again, until cancelled."""
        backoff = Backoff(jitter=chance)
        try:
            while True:
                outcome = await self._live_once()
                pause_s = backoff.delay_s(outcome, clock.monotonic_s())
                await self.heartbeat.sleep(pause_s)
        finally:
            if self._up:
                self._changed(False, STOPPED)

    async def _live_once(self) -> ConnectionOutcome:
        """Make one connection, and serve it until it ends."""
        connection = self._connect(
            self.settings, self._received, self._publish_refused, self._unwanted, self._on_reading
        )
        self._connection = connection  # queued inputs, and commands they cause, may follow CONNACK at once
        try:
            try:
                self.heartbeat.expect(CONNACK_S)
                await connection.open()
                self.heartbeat.expect(SUBACK_S)
                await self._subscribe_all(connection)
            except (Unreachable, Refused) as error:
                self._changed(False, str(error))
                return ConnectionOutcome("broken" if connection.reached else "absent", 0.0)
            self._changed(True, "")
            loss = await self._watch(connection)
            lived_s = clock.monotonic_s() - connection.opened_s
            taken = self.taken = loss.kind == "taken" or self._rival
            rival = f"another client uses our id {self.settings.client_id!r}"
            self._changed(False, rival if taken else loss.reason)
            return ConnectionOutcome("taken" if taken else "broken", lived_s)
        finally:
            self._connection = None
            connection.close()

    async def _subscribe_all(self, connection: Talk) -> None:
        self._ping_sent_s = self._ping_seen_s = None
        self._rival = False
        self._lives += 1
        self._asked.clear()
        ping = self.settings.ping_topic
        self._refused_filters.clear()
        alone = [topic for topic in self._handlers if self._covering(topic) is None]
        filters = [*self._rest, *alone]
        refused = set(await connection.subscribe([(topic, 0 if topic == ping else 1) for topic in filters]))
        for topic in sorted(refused & self._rest.keys()):
            self._rest_refused(topic)
            refused.discard(topic)
        covered = [topic for topic in self._handlers if topic not in alone]
        uncovered = [topic for topic in covered if self._covering(topic) is None]
        self.heartbeat.expect(SUBACK_S)
        self._asked.difference_update(uncovered)
        if uncovered:
            refused |= set(await connection.subscribe([(topic, 1) for topic in uncovered]))
        elif connection.session_present and not self._tidy:  # left by a version that subscribed one by one
            await connection.unsubscribe(covered)
            self._tidy = True
        for topic in sorted(refused):
            self._subscription_refused(topic)
        for topic in sorted(self._refused - refused):
            self._refused.discard(topic)
            self._notify_refused(topic, "")

    async def _subscribe_more(self, connection: Talk) -> None:
        """Subscribe to the filters that were added since the connection began, in one packet for all devices of a
        reload.
        """
        asked = sorted(self._asked)
        self._asked.clear()
        self.heartbeat.expect(SUBACK_S)
        try:
            refused = await connection.subscribe([(topic, 1) for topic in asked])
        except Unreachable as error:  # the next connection subscribes to everything
            connection.fail("broken", str(error))
            return
        for topic in refused:
            (self._rest_refused if topic in self._rest else self._subscription_refused)(topic)
        if not self._rest.keys().isdisjoint(refused):  # then each by itself
            self._asked.update(topic for topic in self._handlers if self._covering(topic) is None)

    async def _watch(self, connection: Talk) -> ConnectionLoss:
        """Wait until the connection is lost or found dead; meanwhile send pings and new subscriptions."""
        tick_s = min(1.0, self.settings.keepalive_s / 5)
        stuck_since_s: float | None = None
        while True:
            self._ping(connection)
            while self._asked and not connection.lost.done():
                await self._subscribe_more(connection)
            self._woken = asyncio.get_running_loop().create_future()
            self.heartbeat.expect(tick_s)
            either: set[asyncio.Future[Any]] = {connection.lost, self._woken}
            await asyncio.wait(either, timeout=tick_s, return_when="FIRST_COMPLETED")
            if connection.lost.done():
                return connection.lost.result()
            connection.misc()
            now_s = clock.monotonic_s()
            if self._deaf(now_s):
                connection.fail("frozen", "broker is frozen: no echo of our own ping")
            if connection.unacked < connection.receive_maximum:
                stuck_since_s = None
            elif stuck_since_s is None:
                stuck_since_s = now_s
            elif now_s - stuck_since_s > UNACKED_LIMIT_S:
                connection.fail("broken", "inputs were received but not kept: asking for them again")

    # -- self-pings --

    def _ping(self, connection: Talk) -> None:
        if self._deaf_lives >= DEAF_LIVES or self._ping_sent_s is not None:
            return
        now_s = clock.monotonic_s()
        seen_s = self._ping_seen_s
        if seen_s is not None and now_s - seen_s < self.settings.keepalive_s * PING_SHARE:
            return
        with suppress(Unreachable):
            # QoS 0: it must not queue behind inputs that wait for the disk. The first one is retained, so that the
            # next client with our id finds it.
            ping = Outbound(self.settings.ping_topic, self._signature)
            connection.publish(ping, qos=0, retain=seen_s is None)
            self._ping_sent_s = now_s

    def _on_ping(self, message: Message) -> None:
        if message.retain:
            # Retained by the last connection with our id: at our first connection an earlier process of ours may
            # have sent it; later it must be from this process.
            self._rival = self._lives > 1 and message.payload != self._signature
            if self._rival:
                self._reject("client_id_in_use")
                if not self._rival_known:
                    name = self.settings.client_id
                    log.error(
                        "client-id-in-use",
                        client_id=name,
                        effect="each of two processes makes the broker end the other's connection, again and again",
                        remedy="give each process a client_id of its own",
                    )
            self._rival_known = self._rival
            return
        self._ping_sent_s = None
        self._ping_seen_s = clock.monotonic_s()
        self._deaf_lives = 0

    def _deaf(self, now_s: float) -> bool:
        sent_s = self._ping_sent_s
        if sent_s is None or now_s - sent_s < self.settings.keepalive_s:
            return False
        if self._ping_seen_s is None:
            self._deaf_lives += 1
            if self._deaf_lives == DEAF_LIVES:
                log.error(
                    "self-ping-not-received",
                    topic=self.settings.ping_topic,
                    effect="a broker that is frozen is not noticed",
                    remedy="allow this topic in the broker's ACL",
                )
        return True

    # -- receiving --

    def _received(self, message: Publish, ack: Ack | None) -> None:
        route = self._routes.get(message.topic) or self._route(message.topic)
        if ack is None:
            release: Callable[[], None] = _no_ack
        else:
            release = ack
            ack.left = len(route.handlers)
        if not route.handlers:
            self._reject(route.reason, route.topic)
            if ack is not None:
                ack.left = 1
                ack()
            return
        received = Message(
            route.topic,
            message.payload,
            message.retain,
            release,
            message.response_topic,
            message.correlation,
            message.again,
        )
        for handler in route.handlers:
            try:
                handler(received)
            except Exception as error:  # noqa: BLE001 - one poisonous message must not stop the others
                self._reject("handler_failed", f"{route.topic}: {type(error).__name__}")
                release()

    def _route(self, topic: bytes) -> Route:
        try:
            text, reason = topic.decode(), "no_subscriber"
        except UnicodeDecodeError:
            text, reason = "", "bad_topic"
        handlers = (
            tuple(handler for listed in self._matcher.iter_match(text) for handler in listed) if text else ()
        )
        if text and not handlers:
            handlers = tuple(handler for wide, handler in self._rest.items() if covers(wide, text))
        if len(self._routes) >= ROUTES_MAX:
            self._routes.clear()
        route = self._routes[topic] = Route(text, handlers, reason)
        return route

    # -- reporting --

    def _changed(self, up: bool, reason: str) -> None:
        """Call the ``on_state`` callbacks once per change; log each new reason once."""
        changed, other_reason = up != self._up, reason != self._reason
        self._up, self._reason = up, reason
        if changed and up:
            log.info("link-up", link="mqtt", broker=self._address())
        elif reason == STOPPED:
            effect = f"this process stops; until it runs again {self.settings.down_effect}"
            log.info("link-down", link="mqtt", broker=self._address(), reason=reason, effect=effect)
        elif not up and (changed or other_reason):
            log.warning(
                "link-down" if changed else "link-still-down",
                link="mqtt",
                broker=self._address(),
                reason=reason,
                effect=f"{self.settings.down_effect}; this process connects again by itself",
                remedy=DOWN_REMEDY,
            )
        if changed:
            for callback in list(self._watchers):
                callback(up, reason)

    def _address(self) -> str:
        return f"{self.settings.host}:{self.settings.port}"

    def _subscription_refused(self, topic_filter: str) -> None:
        if topic_filter not in self._refused:
            self._refused.add(topic_filter)
            log.error(
                "subscription-refused",
                topic=topic_filter,
                effect="nothing is received on this topic: messages of a device or the centre do not arrive",
                remedy="allow this topic in the broker's ACL",
            )
            self._reject("subscription_refused", topic_filter)
            self._notify_refused(topic_filter, "may not be listened to")

    def _rest_refused(self, topic_filter: str) -> None:
        """Log once that the broker refused the wide subscription of ``subscribe_rest``. Configured devices are received
        all the same, but devices that are not in hall.toml are not noticed.
        """
        if topic_filter not in self._refused_filters:
            self._refused_filters.add(topic_filter)
            log.warning(
                "subscription-refused",
                topic=topic_filter,
                effect="devices that are not in hall.toml are not noticed",
                remedy="allow this topic in the broker's ACL",
            )

    def _publish_refused(self, topic: str, why: str) -> None:
        if why and topic not in self._unwanted:
            remedy = "allow it in the broker's configuration (ACL, max_packet_size)"
            effect = "what was to be sent on this topic has not arrived"
            log.error("publish-refused", topic=topic, reason=why, effect=effect, remedy=remedy)
            self._reject("publish_refused", topic)
        (self._unwanted.add if why else self._unwanted.discard)(topic)
        self._notify_refused(topic, why)

    def _notify_refused(self, topic: str, why: str) -> None:
        for callback in list(self._refusal_watchers):
            callback(topic, why)


def _new_matcher() -> Any:
    return MQTTMatcher()  # type: ignore[no-untyped-call]


def _no_ack() -> None:
    """The ``ack`` of a QoS 0 message: no-op."""


def _unfollowed(_begins: bool) -> None:
    """The default of ``on_reading``: no-op."""
