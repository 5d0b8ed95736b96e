"""The interface of a connection to the broker: implemented by the real ``Connection`` and by the simulator's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Set
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

from edged.links.mqtt.packets import Publish
from edged.links.mqtt.settings import MqttSettings

LossKind = Literal["closed", "frozen", "taken", "broken"]


@dataclass(frozen=True, slots=True)
class ConnectionLoss:
    """Why a connection ended. ``kind`` ``taken``: another client connected with the same id."""

    kind: LossKind
    reason: str


class Outbound(NamedTuple):
    """A message to publish. ``properties``: encoded MQTT 5 properties, dropped for 3.1.1.

    ``on_no_subscriber`` is called if the broker reports that nobody has subscribed to the topic (MQTT 5 §3.4.2.1,
    reason code 0x10 of PUBACK). Brokers need not report that, and 3.1.1 cannot.
    """

    topic: str
    payload: bytes
    properties: bytes = b""
    on_no_subscriber: Callable[[], None] | None = None


class Releasing(Protocol):
    """What an ``Ack`` needs of its connection: to send the PUBACKs that are due. A Protocol, so that this module does
    not import the connection, which imports it.
    """

    def release(self) -> None: ...


class Ack:
    """Acknowledges one received message: its PUBACK is due once every handler has called this."""

    __slots__ = ("_connection", "left", "mid")

    def __init__(self, connection: Releasing, mid: int) -> None:
        self._connection = connection
        self.mid = mid
        self.left = 1  # handlers that have not asked yet

    def __call__(self) -> None:
        self.left -= 1
        if self.left == 0:
            self._connection.release()


class Talk(Releasing, Protocol):
    """What ``MqttLink`` needs of one connection to the broker. A Protocol, because there are two: ``Connection`` over
    TCP, and one in memory for the simulator.
    """

    lost: asyncio.Future[ConnectionLoss]
    opened_s: float
    receive_maximum: int
    session_present: bool  # the broker kept our subscriptions of before

    @property
    def reached(self) -> bool: ...
    @property
    def unacked(self) -> int: ...
    async def open(self) -> None: ...
    async def subscribe(self, filters: Iterable[tuple[str, int]]) -> list[str]: ...
    async def unsubscribe(self, filters: Iterable[str]) -> None: ...
    def publish(
        self, message: Outbound, qos: int = 1, retain: bool = False, urgent: bool = False
    ) -> None: ...
    def misc(self) -> None: ...
    def fail(self, kind: LossKind, reason: str) -> None: ...
    def close(self) -> None: ...


class Connect(Protocol):
    """A function that makes one connection.

    ``on_message`` gets each received PUBLISH and, at QoS 1, its ``Ack``. ``on_refused(topic, reason)`` is called when
    the broker refuses a published message. ``unwanted``: the topics refused so far, kept by the caller; when the broker
    accepts a message on one of them again, ``on_refused`` is called with reason "". ``on_reading`` is called with True
    before the messages of one read go to ``on_message``, and with False after them.
    """

    def __call__(
        self,
        settings: MqttSettings,
        on_message: Callable[[Publish, Ack | None], None],
        on_refused: Callable[[str, str], None],
        unwanted: Set[str],
        on_reading: Callable[[bool], None],
    ) -> Talk: ...
