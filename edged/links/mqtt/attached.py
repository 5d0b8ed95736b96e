"""A driver's part of the link to the hall's broker: its subscriptions and callbacks, which end with the driver."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the link loads the MQTT library, which `edged check` does without
    from edged.links.mqtt.link import Message


@contextmanager
def attached(
    mqtt: Any,
    handlers: Iterable[tuple[str, Callable[[Message], None]]],
    changed: Callable[[bool, str], None],
    refused: Callable[[str, str], None] | None = None,
) -> Iterator[None]:
    """While the ``with`` block runs: call the handler of each topic in ``handlers`` with its messages, and ``changed``
    and ``refused`` as ``MqttLink.on_state`` and ``on_refused`` say. ``mqtt``: the ``MqttLink``.
    """
    with ExitStack() as ends:
        ends.callback(mqtt.on_state(changed))
        if refused is not None:
            ends.callback(mqtt.on_refused(refused))
        for topic, handler in handlers:
            mqtt.subscribe(topic, handler)
            ends.callback(mqtt.unsubscribe, topic, handler)
        yield
