"""A short MQTT conversation for commands: connect, subscribe, perhaps publish, receive, disconnect.

Rules: every wait has a deadline; no session is left at the broker; no exception of the MQTT library leaves this file.
aiomqtt runs in an event loop of the conversation's own, which only runs while a command waits for the broker, so that
commands stay plain functions. Not to be used inside a running event loop.
"""

from __future__ import annotations

import asyncio
import logging
import math
import secrets
import ssl
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple, TypeVar, cast

import aiomqtt
from aiomqtt.exceptions import MqttCodeError
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from edged import clock
from edged.cli.json_object import json_object
from edged.cli.target import Target

CONNECT_S = 5.0  # a broker on the same network answers in milliseconds
RECEIVED_MAX = (
    10_000  # many times the retained messages of the largest hall; beyond that the newest are dropped
)
T = TypeVar("T")


class NoAnswer(Exception):
    """The broker did not do what was asked; the text says what is missing and names the broker."""


class ReceivedMessage(NamedTuple):
    """One message received in a conversation."""

    topic: str
    payload: bytes
    retain: bool

    @property
    def body(self) -> dict[str, Any]:
        """The JSON object that the message holds; {} if it holds none."""
        return json_object(self.payload)


class Conversation:
    """A command's connection to a broker, made by ``conversation``."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.keeps = (
            True  # whether the broker retains messages: MQTT 5 tells in CONNACK if it does not (§3.2.2.3.5)
        )
        self._runner = asyncio.Runner()
        self._client: aiomqtt.Client | None = None

    def open(self, topics: Sequence[str]) -> None:
        """Connect to the broker and subscribe to ``topics``. Raises ``NoAnswer`` if it cannot be reached or refuses."""
        self._runner.run(self._open(topics))

    async def _open(self, topics: Sequence[str]) -> None:
        # no log of our own on stderr: errors are raised as ``NoAnswer``
        asyncio.get_running_loop().set_exception_handler(lambda _loop, _context: None)
        target = self.target
        five = target.protocol == "5"
        client = aiomqtt.Client(
            target.host,
            target.port,
            identifier=f"edged-cli-{secrets.token_hex(6)}",
            protocol=aiomqtt.ProtocolVersion.V5 if five else aiomqtt.ProtocolVersion.V311,
            username=target.username,
            password=target.password,
            tls_context=_tls(target) if target.tls else None,
            keepalive=30,
            max_queued_incoming_messages=RECEIVED_MAX,
            timeout=math.inf,  # ours are below
            logger=logging.Logger("aiomqtt", logging.CRITICAL + 1),
        )
        client._client.on_connect = self._acknowledged(client)
        try:
            await self._in_time(client.__aenter__(), "the connection")
        except aiomqtt.MqttError as error:
            raise NoAnswer(self._why(error)) from None
        self._client = client
        if topics:
            what = f"listening to {', '.join(topics)}"
            try:
                codes = await self._in_time(client.subscribe([(topic, 1) for topic in topics]), what)
            except aiomqtt.MqttError as error:
                raise NoAnswer(self._refused(what, str(error))) from None
            if failures := [str(code) for code in cast("Sequence[Any]", codes) if code.is_failure]:
                raise NoAnswer(self._refused(what, ", ".join(failures)))

    def _acknowledged(self, client: aiomqtt.Client) -> Any:
        """A callback for paho's ``on_connect`` that reads from CONNACK whether the broker retains messages; aiomqtt
        does not expose this.
        """

        def connected(paho: Any, userdata: Any, flags: Any, code: Any, properties: Any) -> None:
            self.keeps = getattr(properties, "RetainAvailable", 1) != 0
            client._on_connect(paho, userdata, flags, code, properties)

        return connected

    async def _in_time(self, asked: Coroutine[Any, Any, T], what: str) -> T:
        try:
            async with asyncio.timeout(CONNECT_S):
                return await asked
        except TimeoutError:
            tls = "" if self.target.tls else "; perhaps it wants TLS there ([mqtt.tls])"
            raise NoAnswer(self._refused(what, f"no answer in {CONNECT_S:.0f} s{tls}")) from None
        except (OSError, ValueError) as error:
            raise NoAnswer(f"no broker at {self._place}: {error}") from None

    @property
    def _place(self) -> str:
        return f"{self.target.host}:{self.target.port}"

    def _refused(self, what: str, failure: str) -> str:
        return f"the broker at {self._place} refused {what}: {failure}"

    def _why(self, error: aiomqtt.MqttError) -> str:
        """Describe a failed connection: aiomqtt's error has only a text, its cause is in ``__context__``."""
        met = error.__context__
        if isinstance(error, MqttCodeError):
            return self._refused("the connection", str(error.rc))
        if isinstance(met, ssl.SSLCertVerificationError):
            return f"the certificate of the broker at {self._place} is not accepted: {met.verify_message}"
        if isinstance(met, ssl.SSLError):
            return f"the broker at {self._place} does not speak TLS there: is that its port without TLS? ({met.reason})"
        cut = isinstance(met, ConnectionError) and not isinstance(met, ConnectionRefusedError)
        plain = ": is that its port without TLS?" if cut and self.target.tls else ""
        return f"no broker at {self._place}: {met or error}{plain}"

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Publish and wait for the broker's acknowledgement. Raises ``NoAnswer`` if none comes within ``CONNECT_S``
        seconds or the broker refuses the message.
        """
        self._runner.run(self._deliver(topic, payload, retain, None))

    async def _deliver(self, topic: str, payload: bytes, retain: bool, properties: Properties | None) -> None:
        assert self._client is not None
        try:
            async with asyncio.timeout(CONNECT_S):
                await self._client.publish(topic, payload, qos=1, retain=retain, properties=properties)
        except TimeoutError:
            raise NoAnswer(f"the broker did not confirm {topic} in {CONNECT_S:.0f} s") from None
        except (aiomqtt.MqttError, ValueError) as error:
            raise NoAnswer(f"the broker took nothing: {error}") from None

    def request(self, topic: str, payload: bytes, answer_topic: str) -> None:
        """``publish`` with a response topic (MQTT 5); ``answer_topic`` must be among the subscribed topics."""
        properties = cast(Any, Properties)(PacketTypes.PUBLISH)
        properties.ResponseTopic = answer_topic
        properties.CorrelationData = secrets.token_bytes(8)
        self._runner.run(self._deliver(topic, payload, False, properties))

    @property
    def answers_possible(self) -> bool:
        """Whether the broker can carry answers: MQTT 3.1.1 has no response topics."""
        return self.target.protocol == "5"

    def receive(self, timeout_s: float, quiet_s: float | None = None) -> Iterator[ReceivedMessage]:
        """Yield messages as they arrive. Ends ``timeout_s`` after the call, when none arrived for ``quiet_s`` seconds
        (None: no such limit), or when the connection ends.
        """
        deadline_s = clock.monotonic_s() + timeout_s
        while (left_s := deadline_s - clock.monotonic_s()) > 0:
            message = self._runner.run(self._next(left_s if quiet_s is None else min(left_s, quiet_s)))
            if message is None:
                return
            yield message

    async def _next(self, within_s: float) -> ReceivedMessage | None:
        """The next message; ``None`` if none arrives in time or the connection ended."""
        assert self._client is not None
        with suppress(TimeoutError, aiomqtt.MqttError):
            async with asyncio.timeout(within_s):
                message = await anext(aiter(self._client.messages))
                return ReceivedMessage(str(message.topic), message.payload, message.retain)
        return None

    def close(self) -> None:
        """Disconnect, if connected, and close the event loop."""
        with suppress(aiomqtt.MqttError, TimeoutError):
            self._runner.run(self._leave())
        self._runner.close()

    async def _leave(self) -> None:
        if self._client is not None:
            async with asyncio.timeout(CONNECT_S):
                await self._client.__aexit__(None, None, None)


@contextmanager
def conversation(target: Target, topics: Sequence[str] = ()) -> Iterator[Conversation]:
    """Open a conversation that is subscribed to ``topics``. Raises ``NoAnswer`` if the broker cannot be reached or
    refuses.
    """
    talk = Conversation(target)
    try:
        talk.open(topics)
        yield talk
    finally:
        talk.close()


def _tls(target: Target) -> ssl.SSLContext:
    """The TLS settings. Raises ``NoAnswer`` if a file cannot be used, and names it."""
    at = target.tls_ca
    try:
        context = ssl.create_default_context(cafile=at)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        # as the daemon's link: an authority without key identifiers stays good on Python 3.13
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        if target.tls_cert is not None:
            at = target.tls_cert
            with (
                open(at, "rb"),
                open(target.tls_key or at, "rb"),
            ):  # ssl does not say which of the two files is missing
                context.load_cert_chain(at, target.tls_key)
    except ssl.SSLError as error:
        raise NoAnswer(f"{at} is no good PEM file: {error.reason or error}") from None
    except OSError as error:
        raise NoAnswer(f"{error.filename or at} cannot be read: {error.strerror or error}") from None
    return context
