"""Finds devices that send on the hall's broker but are not in hall.toml: new ones, or those whose id has a typing
error.

Each is reported once in the log, and by an alarm that ends when hall.toml names the device or it was silent for
``GONE_S``. Retained messages count, too: a board that only receives commands sends nothing but its online status.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from edged.clock import monotonic_s
from edged.config.nearest import nearest
from edged.daemon.concerns import Concerns
from edged.driver import Reject
from edged.links.mqtt.link import Message
from edged.personal import names_a_person
from edged.strict_json import NotStrictJson, parse
from edged.texts import cleaned

NAMED_MAX = 50  # more unknown devices have one common cause; further ones are only counted
NAME_CHARS_MAX = 40
GONE_S = 3600.0  # real seconds of silence after which a device was corrected or removed
STATUS_BYTES_MAX = 4096  # of a status message
UNREADABLE = "?"  # shown instead of a name that cannot be repeated


class UnknownDevices:
    """Devices that send messages and are not in hall.toml. ``known`` returns the device ids of hall.toml; ``concerns``
    raises an alarm for each that is not among them, with the topic it uses.
    """

    def __init__(
        self, hall: str, known: Callable[[], Collection[str]], concerns: Concerns, reject: Reject
    ) -> None:
        self.topic_filter = f"hall/{hall}/dev/+/up/#"
        self._known = known
        self._concerns = concerns
        self._reject = reject
        self._seen: dict[str, tuple[str, float]] = {}  # name -> text of the alarm, time of the last message

    def received(self, message: Message) -> None:
        """Handle a message that no configured device subscribes to; its topic matches ``topic_filter``."""
        message.ack()
        name, what = message.topic.split("/")[3], message.topic.split("/up/", 1)[-1]
        name = UNREADABLE if names_a_person(name) else cleaned(name)[:NAME_CHARS_MAX] or UNREADABLE
        if name in self._known():
            self._reject("unknown_topic", f"{name} {cleaned(what)[:NAME_CHARS_MAX]}")
            return
        if _gone(message):
            if self._seen.pop(name, None) is not None:
                self._report_all()
            return
        self._reject("unknown_device", name)
        new = name not in self._seen
        if new and len(self._seen) >= NAMED_MAX:
            return
        self._seen[name] = (self._where(name) if new else self._seen[name][0], monotonic_s())
        if new:
            self._report_all()

    def check(self) -> None:
        """Forget devices that hall.toml names now, and devices silent for ``GONE_S``. To be called once a second."""
        known, since_s = self._known(), monotonic_s() - GONE_S
        over = [name for name, (_, seen_s) in self._seen.items() if name in known or seen_s < since_s]
        for name in over:
            del self._seen[name]
        if over:
            self._report_all()

    def _where(self, name: str) -> str:
        close = nearest(name, self._known())
        meant = f"; {close} is" if close is not None else ""
        return f"speaks under {self.topic_filter.replace('+', name)} and is not in hall.toml{meant}"

    def _report_all(self) -> None:
        self._concerns.report("device-unknown", {name: text for name, (text, _) in self._seen.items()})


def _gone(message: Message) -> bool:
    """Whether the message is a status which says that a device has left: "offline" (often its MQTT will) or empty."""
    if not message.topic.endswith("/up/status"):
        return False
    if not message.payload:
        return True
    try:
        return parse(message.payload, STATUS_BYTES_MAX, None).get("state") == "offline"
    except NotStrictJson:
        return False
