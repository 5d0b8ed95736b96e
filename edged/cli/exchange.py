"""One short conversation with a broker, for commands: connect, listen, perhaps say something, take what comes, leave.

Rules: every wait has a deadline; no session is left behind; no exception of the MQTT library leaves this file.
"""

from __future__ import annotations

import queue
import secrets
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, cast

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from edged import clock
from edged.cli.target import Target

CONNECT_S = 5.0  # a broker on the same network answers in milliseconds
ANSWERS_MAX = 8  # one for the connection, one for the subscription
HEARD_MAX = 10_000  # retained pictures of the largest hall, many times; then the newest are dropped


class NoAnswer(Exception):
    """The broker did not do its part; the text says what and where."""


class Heard(NamedTuple):
    """One received message."""

    topic: str
    payload: bytes
    retain: bool


class Conversation:
    """An open connection. Made by ``conversation``."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self._heard: queue.Queue[Heard] = queue.Queue(HEARD_MAX)
        self._answers: queue.Queue[str] = queue.Queue(ANSWERS_MAX)
        version = MQTTProtocolVersion.MQTTv5 if target.protocol == "5" else MQTTProtocolVersion.MQTTv311
        self._client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"edged-cli-{secrets.token_hex(6)}",
            protocol=version,
            reconnect_on_failure=False,
        )
        self.keeps = True  # retained messages: a broker of MQTT 5 says where it does not (§3.2.2.3.5)
        self._client.on_connect = lambda _c, _u, _f, code, told: self._connected(code, told)
        self._client.on_subscribe = lambda _c, _u, _m, codes, _p: self._answers.put(_failures(codes))
        self._client.on_message = self._take

    def _connected(self, code: ReasonCode, told: Any) -> None:
        self.keeps = getattr(told, "RetainAvailable", 1) != 0
        self._answers.put(_failure(code))

    def _take(self, _client: object, _userdata: object, message: paho.MQTTMessage) -> None:
        if not self._heard.full():
            self._heard.put(Heard(message.topic, bytes(message.payload), message.retain))

    def open(self, topics: Sequence[str]) -> None:
        """Connect and subscribe. Raises ``NoAnswer``."""
        target = self.target
        if target.username is not None:
            self._client.username_pw_set(target.username, target.password)
        if target.tls:
            self._client.tls_set_context(_tls(target))
        place = f"{target.host}:{target.port}"
        try:
            self._client.connect(target.host, target.port, keepalive=30)
        except ssl.SSLCertVerificationError as error:
            why = f"the certificate of the broker at {place} is not accepted: {error.verify_message}"
            raise NoAnswer(why) from None
        except ssl.SSLError as error:
            why = f"the broker at {place} does not speak TLS there: is that its port without TLS? ({error.reason})"
            raise NoAnswer(why) from None
        except (OSError, ValueError) as error:
            cut = isinstance(error, ConnectionError) and not isinstance(error, ConnectionRefusedError)
            plain = ": is that its port without TLS?" if cut and target.tls else ""
            raise NoAnswer(f"no broker at {place}: {error}{plain}") from None
        self._client.loop_start()
        self._answer("the connection")
        if topics:
            self._client.subscribe([(topic, 1) for topic in topics])
            self._answer(f"listening to {', '.join(topics)}")

    def _answer(self, what: str) -> None:
        try:
            failure = self._answers.get(timeout=CONNECT_S)
        except queue.Empty:
            tls = "" if self.target.tls else "; perhaps it wants TLS there ([mqtt.tls])"
            failure = f"no answer in {CONNECT_S:.0f} s{tls}"
        if failure:
            raise NoAnswer(f"the broker at {self.target.host}:{self.target.port} refused {what}: {failure}")

    def say(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Publish and wait for the broker's acknowledgement. Raises ``NoAnswer``."""
        self._deliver(topic, self._client.publish(topic, payload, qos=1, retain=retain))

    def _deliver(self, topic: str, told: paho.MQTTMessageInfo) -> None:
        try:
            told.wait_for_publish(CONNECT_S)
        except (RuntimeError, ValueError) as error:
            raise NoAnswer(f"the broker took nothing: {error}") from None
        if not told.is_published():
            raise NoAnswer(f"the broker did not confirm {topic} in {CONNECT_S:.0f} s")

    def ask(self, topic: str, payload: bytes, answer_topic: str) -> None:
        """``say`` with MQTT 5's request for an answer on ``answer_topic``, which must be one that is listened to."""
        properties = cast(Any, Properties)(PacketTypes.PUBLISH)
        properties.ResponseTopic = answer_topic
        properties.CorrelationData = secrets.token_bytes(8)
        self._deliver(topic, self._client.publish(topic, payload, qos=1, properties=properties))

    @property
    def answers_possible(self) -> bool:
        """MQTT 3.1.1 has no response topics."""
        return self.target.protocol == "5"

    def hear(self, timeout_s: float, quiet_s: float | None = None) -> Iterator[Heard]:
        """What comes until ``timeout_s`` from now, or until nothing came for ``quiet_s``."""
        deadline_s = clock.monotonic_s() + timeout_s
        while (left_s := deadline_s - clock.monotonic_s()) > 0:
            try:
                yield self._heard.get(timeout=left_s if quiet_s is None else min(left_s, quiet_s))
            except queue.Empty:
                return

    def close(self) -> None:
        """Say goodbye and stop the library's thread."""
        self._client.disconnect()
        self._client.loop_stop()


@contextmanager
def conversation(target: Target, topics: Sequence[str] = ()) -> Iterator[Conversation]:
    """A connection that listens to ``topics``. Raises ``NoAnswer``."""
    talk = Conversation(target)
    try:
        talk.open(topics)
        yield talk
    finally:
        talk.close()


def _failure(code: ReasonCode) -> str:
    return str(code) if code.is_failure else ""


def _failures(codes: Sequence[ReasonCode]) -> str:
    return ", ".join(str(code) for code in codes if code.is_failure)


def _tls(target: Target) -> ssl.SSLContext:
    """Raises ``NoAnswer`` for a file that cannot be used, by its name."""
    at = target.tls_ca
    try:
        context = ssl.create_default_context(cafile=at)
        if target.tls_cert is not None:
            at = target.tls_cert
            with (
                open(at, "rb"),
                open(target.tls_key or at, "rb"),
            ):  # which of the two is missing, ssl does not say
                context.load_cert_chain(at, target.tls_key)
    except ssl.SSLError as error:
        raise NoAnswer(f"{at} is no good PEM file: {error.reason or error}") from None
    except OSError as error:
        raise NoAnswer(f"{error.filename or at} cannot be read: {error.strerror or error}") from None
    return context
