"""QoS 1 messages to the broker: those sent and not acknowledged yet (the window), and a queue behind them.

Rules: the window is never larger than the broker allows (MQTT 5 §4.9; mosquitto allows 20 and disconnects clients that
send more). In the queue a retained topic's newest value replaces an older one.
"""

from __future__ import annotations

from collections.abc import Callable

from edged.links.mqtt.packets import publish_packet

QUEUE_MAX = 10_000  # all levels of a thousand windows, three times over, after an outage: about 3 MiB
WINDOW_MAX = 100  # sent and not acknowledged; an MQTT 5 broker may allow less
QOS1, RETAIN = 0x02, 0x01
NoSubscriber = Callable[[], None] | None
Waiting = tuple[
    bytes, bytes, int, bytes | None, NoSubscriber
]  # topic, payload, head, properties, see ``Outbound``


class Outgoing:
    """The window (messages sent and not acknowledged yet) and the queue behind it. ``send`` writes a packet's bytes;
    ``new_mid`` returns packet identifiers.
    """

    def __init__(self, send: Callable[[bytes], object], new_mid: Callable[[], int]) -> None:
        self.window = WINDOW_MAX
        self._send = send
        self._new_mid = new_mid
        self._sent: dict[int, bytes] = {}  # topic by packet identifier
        self._on_no_subscriber: dict[int, Callable[[], None]] = {}  # of some of them
        self._queue: dict[bytes | int, Waiting] = {}
        self._queued = 0

    def __len__(self) -> int:
        return len(self._sent) + len(self._queue)

    def put(
        self,
        topic: bytes,
        payload: bytes,
        retain: bool,
        properties: bytes | None,
        on_no_subscriber: NoSubscriber = None,
    ) -> bool:
        """Send a message now, or queue it until the window has room. False if the queue is full."""
        head = QOS1 | RETAIN if retain else QOS1
        if not self._queue and len(self._sent) < self.window:
            self._go((topic, payload, head, properties, on_no_subscriber))
            return True
        self._queued += 1
        key = topic if retain else self._queued
        if key not in self._queue and len(self._queue) >= QUEUE_MAX:
            return False
        self._queue[key] = (topic, payload, head, properties, on_no_subscriber)
        return True

    def acknowledged(self, mid: int, no_subscriber: bool = False) -> bytes:
        """Remove from the window the message that the broker acknowledged or refused, and send the next one. Returns
        the topic of the removed message; b"" if ``mid`` is unknown.

        ``no_subscriber``: nobody had subscribed; the message's ``on_no_subscriber`` is called.
        """
        topic = self._sent.pop(mid, b"")
        callback = self._on_no_subscriber.pop(mid, None)
        if callback is not None and no_subscriber:
            callback()
        while self._queue and len(self._sent) < self.window:
            self._go(self._queue.pop(next(iter(self._queue))))
        return topic

    def _go(self, waiting: Waiting) -> None:
        topic, payload, head, properties, on_no_subscriber = waiting
        mid = self._new_mid()
        while mid in self._sent:  # 65,535 of them, and at most a window is out
            mid = self._new_mid()
        self._sent[mid] = topic
        if on_no_subscriber is not None:
            self._on_no_subscriber[mid] = on_no_subscriber
        self._send(publish_packet(topic, payload, head, mid, properties))
