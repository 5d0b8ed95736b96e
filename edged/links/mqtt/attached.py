"""A device's part of the hall's broker link: it hears its topics, and how the link does, while its driver runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the link loads the MQTT library, which `edged check` does without
    from edged.links.mqtt.link import Message


@contextmanager
def attached(
    mqtt: Any,
    heard: Iterable[tuple[str, Callable[[Message], None]]],
    changed: Callable[[bool, str], None],
    refused: Callable[[str, str], None] | None = None,
) -> Iterator[None]:
    """While the block runs, each message of a topic in ``heard`` goes to its handler; ``changed`` and ``refused`` are
    those of ``MqttLink.on_state`` and ``on_refused``. ``mqtt``: that link.
    """
    with ExitStack() as ends:
        ends.callback(mqtt.on_state(changed))
        if refused is not None:
            ends.callback(mqtt.on_refused(refused))
        for topic, handler in heard:
            mqtt.subscribe(topic, handler)
            ends.callback(mqtt.unsubscribe, topic, handler)
        yield
