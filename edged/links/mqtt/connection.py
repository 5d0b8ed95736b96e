"""One connection to the broker: one socket, one paho client, never used again after it was lost.

Rules: there is no task per message and no queue of received ones. What one turn of the event loop sends leaves in one
write; an ``urgent`` message leaves before ``publish`` returns, after everything sent before it. Every failure sets
``lost`` and never hangs.

aiomqtt connects (executor thread, TLS, waiting for CONNACK). The socket callbacks of paho 2 are implemented here,
because aiomqtt's add a queue and several system calls per message, and hang if a broker closes right after CONNACK.
paho handles connecting, subscribing, pings and disconnecting. PUBLISH and PUBACK do not pass through it, because it
spends more time on one of them than the whole core does (decision 0014).
"""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Set
from contextlib import suppress
from functools import lru_cache
from typing import Any

import aiomqtt
from aiomqtt.exceptions import MqttConnectError
from paho.mqtt.subscribeoptions import SubscribeOptions

from edged import clock
from edged.driver import Refused, Unreachable
from edged.links.mqtt.names import topic_fault
from edged.links.mqtt.outgoing import Outgoing
from edged.links.mqtt.packets import (
    PUBACK,
    PUBLISH,
    Publish,
    puback_packet,
    publish_packet,
    read_puback,
    read_publish,
)
from edged.links.mqtt.settings import (
    INCOMING_LIMIT_BYTES,
    RECEIVE_MAXIMUM,
    MqttSettings,
    new_client,
)
from edged.links.mqtt.talk import Ack, ConnectionLoss, LossKind, Outbound
from edged.links.mqtt.wire import MqttWire

CONNACK_S = 5.0  # a broker on the hall's LAN answers in milliseconds; longer than this it is broken
SUBACK_S = 5.0  # as CONNACK: a broker on the hall's LAN answers in milliseconds
READ_PACKETS = 64  # packets handled per turn of the loop
WRITE_LIMIT_BYTES = (
    1 << 20
)  # a broker that lets this much stand does not read: publishing fails, memory stays
UNACKED_MAX = 65_535  # as many packet identifiers as there are (MQTT 5 §2.2.1)
BROKER_QUEUE_MAX = 1000  # mosquitto's max_queued_messages: what may come at once where nothing else bounds it
BY_THE_CLOCK = {  # X509_V_ERR_CERT_NOT_YET_VALID and X509_V_ERR_CERT_HAS_EXPIRED of OpenSSL
    9: "is not valid yet by this machine's clock",
    10: "has ended",
}
PACKET_MAX_BYTES = 268_435_460  # §1.5.5: what a length can say, where the broker names no limit (§3.2.2.3.6)
OVERHEAD_BYTES = 16  # fixed header, two lengths, packet identifier
TOPICS_KEPT = (
    4096  # names that were checked and encoded: those of a thousand windows' lamps, panels and displays
)
NO_SUBSCRIBER = 0x10  # §3.4.2.1: No matching subscribers
REFUSED = 0x80  # §2.4: from here on a reason code is a failure
REASONS = {
    0x80: "unspecified error",
    0x83: "implementation specific error",
    0x87: "not authorized",
    0x90: "topic name invalid",
    0x91: "packet identifier in use",
    0x97: "quota exceeded",
    0x99: "payload format invalid",
}  # §3.4.2.1
SERVER_MOVED_IN = 0x8E  # MQTT 5 §3.14.2.1: Session taken over


class Connection:
    """One connection: ``open`` once, use until ``lost`` is done, always ``close``. For the event loop's thread only."""

    def __init__(
        self,
        settings: MqttSettings,
        on_message: Callable[[Publish, Ack | None], None],
        on_refused: Callable[[str, str], None],
        unwanted: Set[str],
        on_reading: Callable[[bool], None],
    ) -> None:
        """For the parameters see ``talk.Connect``."""
        self._settings = settings
        self._on_message, self._on_reading = on_message, on_reading
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self.lost: asyncio.Future[ConnectionLoss] = self._loop.create_future()
        self.wire: MqttWire | None = None
        self.ready = False  # CONNACK said yes
        self.session_present = False
        # 3.1.1 has no such window; the broker's own queue length is the nearest thing
        self._five = settings.protocol == "5"
        self.receive_maximum = RECEIVE_MAXIMUM if self._five else BROKER_QUEUE_MAX
        self.opened_s = 0.0
        self._on_refused, self._unwanted = on_refused, unwanted
        self._packet_max = PACKET_MAX_BYTES  # what the broker takes
        self._retains = True
        self._flushing = False
        self._writing = False
        self._unacked: deque[Ack] = deque()  # at most receive_maximum; PUBACKs leave in order (MQTT 5 §4.6)
        self._client = new_client(settings)
        self._paho = self._client._client
        self._outgoing = Outgoing(self._send, self._paho._mid_generate)
        self._hook()

    def _hook(self) -> None:
        """Replace aiomqtt's callbacks in paho by our own."""
        paho = self._paho
        paho.disable_logger()  # several calls per packet; what goes wrong reaches ``lost`` anyway
        paho.connect_timeout = CONNACK_S
        connect = paho._create_socket
        paho._create_socket = lambda: self._wrap(connect())  # type: ignore[method-assign]
        paho.on_socket_open = self._socket_opened
        paho.on_socket_close = self._socket_closed
        paho.on_socket_register_write = self._write_wanted
        paho.on_socket_unregister_write = None
        paho.on_message = paho.on_publish = None  # no such packet ever reaches it
        paho.on_connect = self._connected
        paho.on_disconnect = self._disconnected

    async def open(self) -> None:
        """Connect and wait for CONNACK. Raises ``Unreachable`` (no connection) or ``Refused`` (the broker refused
        it).
        """
        try:
            await self._take_secrets()
            async with asyncio.timeout(CONNACK_S):
                await self._client.__aenter__()
        except RuntimeError as error:  # no thread can be started: memory or TasksMax
            raise Unreachable(str(error)) from None
        except TimeoutError:
            raise Unreachable(f"no CONNACK within {CONNACK_S:g} s") from None
        except MqttConnectError as error:
            raise Refused(f"broker refused: {error}") from None
        except (aiomqtt.MqttError, OSError, ValueError) as error:
            raise Unreachable(self._why(error)) from None
        if self.lost.done() or not self._paho.is_connected():
            # Closed right after CONNACK: aiomqtt has replaced its finished future by now and would wait for ever.
            self.fail("closed", "closed right after CONNACK")
            raise Unreachable(self.lost.result().reason)
        self.opened_s = clock.monotonic_s()
        if self.wire is not None:
            self._settings.held.peer_end_ms = self.wire.peer_end_ms()

    def _why(self, error: BaseException) -> str:
        """The reason of a failed connection as text. For TLS it says which side refused whose certificate, where paho
        only reports a closed socket.
        """
        fault = None if self.wire is None else self.wire.fault
        first = error.__context__  # aiomqtt keeps only its text
        if isinstance(first, ssl.SSLCertVerificationError):
            other = f"is not accepted here: {first.verify_message}"
            return f"the broker's certificate {BY_THE_CLOCK.get(first.verify_code, other)}"
        if isinstance(fault, ssl.SSLError):
            reason = (fault.reason or "").lower().replace("_", " ")
            return f"the broker refuses our certificate: {reason or fault}"
        return str(error) or type(error).__name__

    async def _take_secrets(self) -> None:
        """Load password and certificates from their files; if those cannot be used, from their last good content.
        Raises ``Unreachable`` if there never was any.
        """
        settings = self._settings
        file = settings.password_file
        try:
            if file is not None:
                password = await asyncio.to_thread(settings.held.password, file)
                self._paho.username_pw_set(settings.username, password)
        except (OSError, ValueError) as error:
            raise Unreachable(f"password file {file} cannot be read: {error}") from None
        try:
            if settings.tls_ca is not None:
                self._paho.tls_set_context(await asyncio.to_thread(settings.held.context, settings))
        except (OSError, ValueError) as error:
            files = ", ".join(name for name in (settings.tls_ca, settings.tls_cert, settings.tls_key) if name)
            raise Unreachable(f"certificates cannot be used ({files}): {error}") from None

    @property
    def reached(self) -> bool:
        """Whether a TCP (and TLS) connection was made, even if it ended since."""
        return self.wire is not None

    @property
    def unacked(self) -> int:
        """Number of received QoS 1 messages that this client has not acknowledged yet."""
        return len(self._unacked)

    async def subscribe(self, filters: Iterable[tuple[str, int]]) -> list[str]:
        """Subscribe to (filter, QoS) pairs and wait for SUBACK. Returns the filters that the broker refused.

        Raises ``Unreachable`` if the connection ends or no SUBACK comes in time.
        """
        wanted = list(filters)
        topics: list[Any] = list(wanted)
        if self._five:
            topics = [(topic, SubscribeOptions(qos=qos)) for topic, qos in wanted]
        codes = await self._answered(self._client.subscribe(topics), "SUBACK")
        return [topic for (topic, _), code in zip(wanted, codes, strict=False) if code.value >= REFUSED]

    async def unsubscribe(self, filters: Iterable[str]) -> None:
        """Remove subscriptions, and wait for UNSUBACK. Raises ``Unreachable`` like ``subscribe``."""
        names = list(filters)
        if names:
            await self._answered(self._client.unsubscribe(names), "UNSUBACK")

    async def _answered(self, call: Awaitable[Any], what: str) -> Any:
        """Wait for the broker's answer to ``call``; ``what`` names the answer in errors. aiomqtt alone would wait
        beyond the end of the connection.
        """

        def ended(_lost: object) -> None:
            with suppress(RuntimeError):  # the wait is over already
                limit.reschedule(0.0)

        try:
            async with asyncio.timeout(SUBACK_S) as limit:
                self.lost.add_done_callback(ended)
                try:
                    return await call
                finally:
                    self.lost.remove_done_callback(ended)
        except TimeoutError:
            raise Unreachable(self.lost.result().reason if self.lost.done() else f"no {what}") from None
        except (aiomqtt.MqttError, ValueError) as error:  # the link looks at each filter before
            raise Unreachable(f"cannot subscribe: {error}") from None

    def publish(self, message: Outbound, qos: int = 1, retain: bool = False, urgent: bool = False) -> None:
        """Buffer one message for sending; ``urgent``: write it to the socket before this returns.

        A message above the broker's limit is refused as by the broker itself, through ``on_refused``: sending it would
        end the connection. Raises ``Unreachable`` if the connection is down or the broker does not read or acknowledge,
        and ``Refused`` for an invalid topic.
        """
        wire = self.wire
        if wire is None or not self.ready or self.lost.done():
            raise Unreachable("broker connection is down")
        if wire.backlog_bytes > WRITE_LIMIT_BYTES:
            raise Unreachable("broker does not read")
        topic = _checked(message.topic)
        if len(topic) + len(message.payload) + len(message.properties) + OVERHEAD_BYTES > self._packet_max:
            # without its own size: the list of alarms grows by the alarm about its size
            self._on_refused(message.topic, f"larger than the broker takes ({self._packet_max} bytes)")
            return
        retain = retain and self._retains
        properties = message.properties if self._five else None
        if qos == 0:
            self._send(publish_packet(topic, message.payload, int(retain), 0, properties))
        elif not self._outgoing.put(topic, message.payload, retain, properties, message.on_no_subscriber):
            raise Unreachable("broker does not acknowledge")
        if urgent:
            self._flush()

    def received(self, mid: int) -> Ack:
        """Register a received QoS 1 message. Calling the returned ``Ack`` makes its PUBACK due."""
        ack = Ack(self, mid)
        if len(self._unacked) >= UNACKED_MAX:
            self.fail("broken", "the broker has more messages under way than there are packet identifiers")
        else:
            self._unacked.append(ack)
        return ack

    def release(self) -> None:
        """Send the PUBACKs that are due (see ``Ack``), in order of arrival (MQTT 5 §4.6): one that is not due yet holds
        back those after it.
        """
        if self.lost.done():
            return
        while self._unacked and self._unacked[0].left <= 0:
            self._send(puback_packet(self._unacked.popleft().mid))

    def _send(self, packet: bytes) -> None:
        """Buffer ``packet`` for the next flush."""
        assert self.wire is not None
        self.wire.send(packet)
        if not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._flush)

    def misc(self) -> None:
        """Let paho do its keepalive; to be called about once a second."""
        with suppress(Exception):  # whatever it meets, on_disconnect or the self-ping reports it
            self._paho.loop_misc()

    def fail(self, kind: LossKind, reason: str) -> None:
        """End the connection now, without DISCONNECT, so that the broker keeps the session and sends the will."""
        if not self.lost.done():
            self.lost.set_result(ConnectionLoss(kind, reason))
        self._no_connack(reason)
        self._paho._sock_close()

    def _no_connack(self, reason: str) -> None:
        """Fail the call that still waits for CONNACK, if there is one."""
        if not (asked := self._client._connected).done():
            asked.set_exception(aiomqtt.MqttError(reason))
            asked.exception()  # mark as retrieved: the waiter may be gone

    def close(self) -> None:
        """Send DISCONNECT if the connection is up, and close the socket in any case."""
        with suppress(Exception):  # errors of a connection that is being closed do not matter
            if not self.lost.done():
                self._paho.disconnect()
                self._paho.loop_write()
        self.fail("closed", "closed here")

    # -- paho's hooks; the first two may run in the executor thread that connects --

    def _wrap(self, raw: Any) -> MqttWire:
        if self.lost.done():  # abandoned while the executor was still connecting
            raw.close()
            raise ConnectionAbortedError("abandoned")
        self.wire = MqttWire(raw, INCOMING_LIMIT_BYTES)
        return self.wire

    def _socket_opened(self, _client: Any, _userdata: Any, sock: Any) -> None:
        self._loop.call_soon_threadsafe(self._listen, sock)

    def _listen(self, sock: Any) -> None:
        if self.lost.done():
            sock.close()
        elif sock.fileno() >= 0:
            self._loop.add_reader(sock.fileno(), self._readable)

    def _socket_closed(self, _client: Any, _userdata: Any, sock: Any) -> None:
        descriptor = sock.fileno()
        if descriptor >= 0:
            self._loop.remove_reader(descriptor)
            self._loop.remove_writer(descriptor)

    def _write_wanted(self, _client: Any, _userdata: Any, _sock: Any) -> None:
        if threading.get_ident() != self._thread:
            self._loop.call_soon_threadsafe(self._flush)
        elif not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._flush)

    def _readable(self) -> None:
        wire = self.wire
        if wire is None or self.lost.done():
            return
        self._on_reading(True)
        try:
            more = self._read(wire)
        except Exception as error:  # noqa: BLE001 - a broker's garbage must not end the process
            more = False
            self.fail("broken", f"unreadable: {type(error).__name__}")
        self._on_reading(False)
        wire.acknowledge()
        if more:
            self._loop.call_soon(self._readable)  # after other callbacks of the event loop

    def _read(self, wire: MqttWire) -> bool:
        """Handle what has arrived, at most ``READ_PACKETS`` packets; True if there may be more."""
        for _ in range(READ_PACKETS):
            packet = wire.take()
            if packet is not None:
                self._packet(wire, *packet)
            elif not wire.fill():
                return False
            elif wire.ended:
                self._paho.loop_read()
            if self.lost.done():
                return False
        return True

    def _packet(self, wire: MqttWire, head: int, body: bytes) -> None:
        kind = head & 0xF0
        if kind == PUBLISH:
            message = read_publish(head, body, self._five)
            self._on_message(message, self.received(message.mid) if message.qos else None)
        elif kind == PUBACK:
            mid, code = read_puback(body)
            topic = self._outgoing.acknowledged(mid, code == NO_SUBSCRIBER)
            if code >= REFUSED or self._unwanted:
                self._judged(topic.decode(), code)
        else:
            wire.lend()
            self._paho.loop_read()

    def _judged(self, topic: str, code: int) -> None:
        """Handle the reason code of a PUBACK: report that the broker refused a message on ``topic``, or that it accepts
        messages on this topic again after a refusal.
        """
        if code >= REFUSED:
            self._on_refused(topic, REASONS.get(code, f"reason code {code:#04x}"))
        elif topic in self._unwanted:
            self._on_refused(topic, "")

    def _flush(self) -> None:
        self._flushing = False
        wire = self.wire
        if wire is None or self.lost.done():
            return
        try:
            if self._paho.want_write():
                self._paho.loop_write()
            drained = wire.flush()
        except Exception as error:  # noqa: BLE001 - any error here means the connection is gone
            self._loop.call_soon(self._last_words, f"write failed: {type(error).__name__}")
            return
        if drained is self._writing and wire.fileno() >= 0:
            self._writing = not drained
            if drained:
                self._loop.remove_writer(wire.fileno())
            else:
                self._loop.add_writer(wire.fileno(), self._flush)

    def _last_words(self, why: str) -> None:
        """End the connection after a failed write. The reason is ``why``, unless the broker sent a more exact one
        before it closed the connection (a TLS alert or a DISCONNECT).
        """
        if not self.lost.done():
            self._readable()
        self.fail("closed", why)

    def _connected(self, client: Any, userdata: Any, flags: Any, code: Any, properties: Any) -> None:
        self.ready = self._paho.is_connected()
        self.session_present = flags.session_present
        self._packet_max = getattr(properties, "MaximumPacketSize", PACKET_MAX_BYTES)
        self._retains = (
            getattr(properties, "RetainAvailable", 1) != 0
        )  # the broker disconnects a client that sends RETAIN nevertheless
        limit = getattr(properties, "ReceiveMaximum", None)
        if limit is not None:
            self._outgoing.window = min(self._outgoing.window, limit)
        self._client._on_connect(client, userdata, flags, code, properties)

    def _disconnected(self, _client: Any, _userdata: Any, flags: Any, code: Any, _properties: Any) -> None:
        self._no_connack("closed before CONNACK")
        if self.lost.done():
            return
        if flags.is_disconnect_packet_from_server:
            kind: LossKind = "taken" if code.value == SERVER_MOVED_IN else "closed"
            self.lost.set_result(ConnectionLoss(kind, f"broker said: {code}"))
        else:
            self.lost.set_result(ConnectionLoss("closed", "connection closed by the broker"))


@lru_cache(TOPICS_KEPT)
def _checked(topic: str) -> bytes:
    """``topic`` encoded as UTF-8. Raises ``Refused`` if it is no valid topic to publish on."""
    fault = topic_fault(topic)
    if fault:
        raise Refused(f"not a topic to publish on: {topic[:80]!r} {fault}")
    return topic.encode()
