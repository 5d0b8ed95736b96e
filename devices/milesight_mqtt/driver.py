"""A Milesight people counter on the hall's broker.

Rules: a report may contain totals since the reset, single people who cross the line ("crossings"), and counts of a time
window. Totals are used if the device sends them, because after a lost report the next one has all people. Otherwise
crossings are used; windows only until the first crossing, because both contain the same people. A window with the same
start time as an earlier one is a repetition, and not counted, if it comes within ``AT_ONCE_S`` or with the broker's DUP
flag. Otherwise it counts as another window, because device clocks freeze.

The total of each line is reported under a name made from its uuid, by which the core remembers it across restarts. The
uuid itself stays in this driver.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from msgspec import Meta

from devices.milesight_mqtt.codec import CountedLine, decode
from edged.core.model.events import CountRead, HealthRead
from edged.core.model.losses import OUR_LINK
from edged.driver import CounterDriver, DeviceContext, Garbled, Options, Presence, line_name
from edged.links.mqtt.attached import attached
from edged.links.mqtt.names import filter_fault
from edged.shapes import Rule

if TYPE_CHECKING:  # the link loads the MQTT library, which `edged check` does without
    from edged.links.mqtt.link import Message

WINDOWS_MAX = 64  # windows remembered per device to know a repetition: an hour of one-minute windows
AT_ONCE_S = (
    10.0  # hall seconds: a window comes once a minute at most; sooner, the same start is the same window
)
ECHOES_MAX = 3  # of them in a row: no radio says a thing four times
TOTALS_MAX = 64  # lines of one topic: the core keeps no more of them
SILENT_MIN_S, SILENT_MAX_S = (
    10.0,
    86_400.0,
)  # a report a second is the most, one a day the least that any sends
SILENT_S = 600.0  # hall seconds without any report: periodic ones come every minute to every ten


def _topic(text: str) -> str:
    fault = filter_fault(text)
    if fault:
        raise ValueError(f'"{text}" {fault}; write the topic as it is typed into the device')
    return text


class MilesightMqttOptions(Options, frozen=True):
    """Options of one counter. ``topic``: the topic on which the device publishes, as configured in it; wildcards are
    allowed. ``silent_s``: after so many hall seconds of silence the counter counts as lost.

    ``lines``: count only these counting lines, by uuid (one camera may watch two doors); empty: all. ``swap``: the
    counter is mounted the wrong way round, so that entering and leaving are exchanged.
    """

    topic: Annotated[str, Meta(min_length=1, max_length=256), Rule(_topic)]
    swap: bool = False
    lines: tuple[str, ...] = ()
    silent_s: Annotated[float, Meta(ge=SILENT_MIN_S, le=SILENT_MAX_S)] = SILENT_S

    def topics(self, hall: str, device: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The topic configured in the device, on which it publishes; it subscribes to none."""
        return (self.topic,), ()

    def point_channels(self) -> frozenset[str]:
        """An empty set: no other part of hall.toml names a counter, because it only reports."""
        return frozenset()

    def reports(self) -> frozenset[str]:
        """The role in which the device sends events by itself: counter."""
        return frozenset({"counter"})


class MilesightMqtt(CounterDriver):
    """Driver of one people counter. It only reports: nothing can be shown on it."""

    OPTIONS: ClassVar[type[Options]] = MilesightMqttOptions
    LOSSES: ClassVar[frozenset[str]] = frozenset({OUR_LINK, "silent"})

    def __init__(self, context: DeviceContext, options: MilesightMqttOptions) -> None:
        self._context = context
        self._options = options
        self._presence = Presence(context)
        self._crossings_seen = False
        self._totals: set[str] = set()  # lines that have sent totals
        self._windows: OrderedDict[tuple[str, str], float] = (
            OrderedDict()
        )  # (line uuid, start) -> when it was received
        self._echoes = 0  # windows in a row that came twice at once, without the broker's mark

    async def run(self) -> None:
        """Receive messages until cancelled; report the counter as lost after ``silent_s`` of silence."""
        mqtt = self._context.mqtt

        def changed(up: bool, _reason: str) -> None:
            if not up:
                self._presence.lost(OUR_LINK)

        with attached(mqtt, ((self._options.topic, self._received),), changed):
            if not mqtt.connected:
                self._presence.lost(OUR_LINK)
            await self._presence.watch_silence(self._options.silent_s)

    def _received(self, message: Message) -> None:
        try:
            if message.retain:
                raise Garbled("retained")
            lines = decode(message.payload)
        except Garbled as error:
            self._context.reject(str(error), self._context.device)
            message.ack()
            return
        self._presence.received()
        self._presence.back()
        readings = self._count([line for line in lines if self._wanted(line)], message.again)
        for reading in readings[:-1]:  # they are kept in order: the last one's acknowledgement is that of all
            self._context.emit(reading)
        if readings:
            self._context.emit(readings[-1], message.ack)
        else:
            message.ack()

    def _wanted(self, line: CountedLine) -> bool:
        return not self._options.lines or line.uuid in self._options.lines

    def _count(self, lines: list[CountedLine], again: bool) -> list[CountRead]:
        """Return the events for the counting lines of a report; empty if nothing in it is to be counted. ``again``: the
        broker marked the message as sent before (DUP).
        """
        totals = [line for line in lines if line.kind == "total"]
        if totals:
            return self._total(totals)
        if self._totals:
            return []  # the next report's totals contain these
        crossings = [(line.entered, line.left) for line in lines if line.kind == "crossing"]
        if crossings:
            self._crossings_seen = True
            return [self._reading("window", crossings)]
        windows = [line for line in lines if line.kind == "window" and self._is_new(line, again)]
        if not windows or self._crossings_seen:
            return []
        return [self._reading("window", [(line.entered, line.left) for line in windows])]

    def _total(self, lines: list[CountedLine]) -> list[CountRead]:
        found = []
        for line in lines:
            if line.uuid not in self._totals and len(self._totals) >= TOTALS_MAX:
                self._context.reject("too_many_lines", self._context.device)
                continue
            self._totals.add(line.uuid)
            reading = self._reading("total", [(line.entered, line.left)])
            found.append(replace(reading, line=line_name(line.uuid)))
        return found

    def _echo(self, again: bool) -> None:
        """Count a window that was received twice. After ``ECHOES_MAX`` in a row without the broker's DUP mark
        (``again``), report that the device's clock stands still.
        """
        self._echoes = 0 if again else self._echoes + 1
        if self._echoes == ECHOES_MAX:
            self._context.emit(
                HealthRead(self._context.point(), fault="its clock stands still, people are missed")
            )

    def _is_new(self, window: CountedLine, again: bool) -> bool:
        key = (window.uuid, window.start)
        if not window.start:
            return True  # nothing to recognise it by
        now_s, last_s = self._context.now_s(), self._windows.get(key)
        if last_s is not None and (again or now_s - last_s < AT_ONCE_S):
            self._context.reject("repeated_window", self._context.device)
            self._echo(again)
            return False
        self._echoes = 0
        self._windows[key] = now_s
        self._windows.move_to_end(key)
        if len(self._windows) > WINDOWS_MAX:
            self._windows.popitem(last=False)
        return True

    def _reading(self, semantics: Literal["total", "window"], counts: list[tuple[int, int]]) -> CountRead:
        entered, left = (sum(column) for column in zip(*counts, strict=True))
        if self._options.swap:
            entered, left = left, entered
        return CountRead(self._context.point(), semantics, entered, left)
