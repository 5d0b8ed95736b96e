"""What the publishers of page parts get: the link, and functions that return the hall's state."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from edged.config import HallConfig
from edged.core.model.state import State


class PageLink(Protocol):
    """What is needed of ``edged.links.mqtt.link.MqttLink``."""

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None: ...
    def on_state(self, callback: Callable[[bool, str], None]) -> None: ...


class PageSources(NamedTuple):
    """What the page parts are made of. ``at_ms`` is hall time now, ``stamp`` makes RFC 3339 of it.

    ``pushed``: what became of the newest policy (``PolicyDesk.last_push``), its time as ``at`` in RFC 3339.
    """

    state: Callable[[], State]
    config: Callable[[], HallConfig]
    at_ms: Callable[[], int]
    stamp: Callable[[int], str]
    backlog: Callable[[], int]
    durable: Callable[[], bool]
    clock: Callable[[], bool]
    pushed: Callable[[], dict[str, Any] | None]
