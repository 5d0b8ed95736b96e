"""The inputs of the modules that publish page parts (the JSON messages from which web pages are filled): the MQTT
connection, and functions that return the hall's state.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from edged.config import HallConfig
from edged.core.model.state import State


class PageLink(Protocol):
    """What the modules that publish page parts need of the connection to the broker: to publish, and to report when a
    connection is made or lost. ``MqttLink`` does it in the daemon; a Protocol, so that a test needs no broker.
    """

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None: ...
    def on_state(self, callback: Callable[[bool, str], None]) -> object: ...


class PageSources(NamedTuple):
    """Functions that return what page parts are made from. ``at_ms``: hall time now; ``stamp`` converts it to RFC 3339;
    ``backlog``: how many events the centre has not confirmed yet; ``durable``: whether the journal can be written;
    ``clock``: whether the machine's clock can be believed.

    ``pushed``: the result of the newest pushed policy (``PolicyDesk.last_push``), with its time as ``at`` in RFC 3339.
    """

    state: Callable[[], State]
    config: Callable[[], HallConfig]
    at_ms: Callable[[], int]
    stamp: Callable[[int], str]
    backlog: Callable[[], int]
    durable: Callable[[], bool]
    clock: Callable[[], bool]
    pushed: Callable[[], dict[str, Any] | None]
