"""A people counter that reports over HTTP. The separate process `edged counters` talks to it; the daemon receives the
counts through the broker.

Rules: a count is acknowledged to the broker (PUBACK) when its event is on disk; retained counts are outdated and
ignored. The counter counts as present from its first report on. It counts as lost after ``silent_s`` of silence, when
it does not answer a poll, and while `edged counters` is not running. Of the numbers in a report only the kind that the
option ``counts`` selects is used, because two kinds would count people twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from msgspec import Meta

from devices.http_counter.codec import MESSAGE_MAX_BYTES, Kind, LineReport, Vendor
from edged.core.model.events import CountRead, HealthRead
from edged.core.model.losses import OUR_LINK, known
from edged.driver import CounterDriver, DeviceContext, Garbled, Options, Presence, line_name
from edged.links.losses import WIRE_LOSSES
from edged.links.mqtt.attached import attached
from edged.personal import names_a_person
from edged.shapes import Rule
from edged.strict_json import NotStrictJson, parse

if TYPE_CHECKING:  # the link loads the MQTT library, which `edged check` does without
    from edged.links.mqtt.link import Message

SPEAKER = "edged-counters"  # the name of `edged counters` at the broker
SILENT_S = 3600.0  # hall seconds; a window of an hour is the longest that any sends
USUAL: dict[Vendor, Kind] = {
    "hikvision": "total",
    "dahua": "total",
    "xovis": "window",
    "axis": "window",
    "terabee": "total",
}


def _url(text: str) -> str:
    from edged.links.http.questions import address

    return address(text)


class HttpCounterOptions(Options, frozen=True):
    """Options of one counter. ``secret_file``: its first line is the token or password; ``username``: the user name
    that belongs to it (default: the device id).

    ``counts``: the kind of numbers to use, because a device may report several. ``lines``: count only these counting
    lines, by the device's own ids (empty: all). ``url``: poll the device there every ``every_s`` real seconds, instead
    of waiting for its reports. ``silent_s``: after so many hall seconds of silence the device counts as lost. ``swap``:
    it is mounted the wrong way round, so that entering and leaving are exchanged.
    """

    vendor: Vendor
    secret_file: Annotated[str, Meta(min_length=1, max_length=4096)]
    username: Annotated[str, Meta(max_length=64, pattern=r'^[^:"\\\x00-\x1f]*$')] = ""
    counts: Literal["total", "window", "crossing"] | None = None
    lines: Annotated[tuple[Annotated[str, Meta(max_length=32)], ...], Meta(max_length=64)] = ()
    url: Annotated[str, Meta(max_length=500), Rule(_url)] | None = None
    every_s: Annotated[float, Meta(ge=2.0, le=3600.0)] = 15.0
    silent_s: Annotated[float, Meta(ge=10.0, le=86_400.0)] = SILENT_S
    swap: bool = False

    @property
    def kind(self) -> Kind:
        """The kind of numbers to use: ``counts`` if given, otherwise the kind that this vendor's devices usually send.
        A Dahua, and an AXIS that is polled, only have totals.
        """
        if self.counts is None and self.vendor == "axis" and self.url is not None:
            return "total"
        return self.counts or USUAL[self.vendor]

    def topics(self, hall: str, device: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The topics on which `edged counters` publishes this counter's counts and state and its own; it subscribes to
        none.
        """
        return (people_topic(hall, device), presence_topic(hall, device), process_topic(hall)), ()

    def speaker(self, device: str) -> str:
        """The broker's user name for this counter's messages: that of `edged counters`, which publishes for the
        counter.
        """
        return SPEAKER

    def point_channels(self) -> frozenset[str]:
        """An empty set: no other part of hall.toml names a counter, because it only reports."""
        return frozenset()

    def reports(self) -> frozenset[str]:
        """The role in which the device sends events by itself: counter."""
        return frozenset({"counter"})


def people_topic(hall: str, device: str) -> str:
    """The topic on which a counter's counts are published."""
    return f"hall/{hall}/dev/{device}/up/people"


def presence_topic(hall: str, device: str) -> str:
    """Return the topic of the retained message with a counter's state: ``{"up": true}`` or ``{"up": false, "word": …,
    "detail": …}``; with the key "fault" if the counter has a fault.
    """
    return f"hall/{hall}/dev/{device}/up/standing"


def process_topic(hall: str) -> str:
    """The retained topic that says whether `edged counters` is running: "online" or "offline"."""
    return f"hall/{hall}/counters/status"


class HttpCounter(CounterDriver):
    """Driver of one people counter. It only reports: nothing can be shown on it."""

    OPTIONS: ClassVar[type[Options]] = HttpCounterOptions
    LOSSES: ClassVar[frozenset[str]] = WIRE_LOSSES | {
        OUR_LINK,
        "silent",
        "no-process",
        "bad-answer",
        "access-refused",
    }

    def __init__(self, context: DeviceContext, options: HttpCounterOptions) -> None:
        self._context = context
        self._options = options
        self._presence = Presence(context)
        self._process_away = False  # the retained states of counters that it published are outdated then
        self._was_there = False  # when it went
        self._fault: str | None = "?"  # unknown: an earlier process may have reported a fault

    async def run(self) -> None:
        """Receive messages until cancelled; report the counter as lost after ``silent_s`` of silence."""
        mqtt, hall, device = self._context.mqtt, self._context.hall, self._context.device
        self._presence.forget()

        def changed(up: bool, _reason: str) -> None:
            if up:
                self._presence.received()
                self._presence.unknown()
            else:
                self._gone(OUR_LINK)

        handlers = (
            (people_topic(hall, device), self._counted),
            (presence_topic(hall, device), self._presence_received),
            (process_topic(hall), self._process),
        )
        with attached(mqtt, handlers, changed):
            if not mqtt.connected:
                self._presence.lost(OUR_LINK)
            await self._presence.watch_silence(self._options.silent_s)

    def _there(self) -> None:
        self._presence.received()
        self._presence.back()

    def _counted(self, message: Message) -> None:
        try:
            if message.retain:
                raise Garbled("retained")
            report = LineReport.of(message.payload)
        except Garbled as error:
            self._context.reject(str(error), self._context.device)
            message.ack()
            return
        self._there()
        entered, left = report.entered, report.left
        if self._options.swap:
            entered, left = left, entered
        line = line_name(report.line) if report.line and report.kind == "total" else None
        point, again = self._context.point(), message.again
        reading = CountRead(
            point, report.kind, entered, left, seq=report.seq, again=again, boot=report.boot, line=line
        )
        self._context.emit(reading, message.ack)

    def _presence_received(self, message: Message) -> None:
        message.ack()
        try:
            presence = parse(message.payload, MESSAGE_MAX_BYTES, None)
        except NotStrictJson as error:
            self._context.reject(error.reason, self._context.device)
            return
        if names_a_person(presence):
            self._context.reject("personal_data", self._context.device)
            return
        detail = str(presence.get("detail", ""))[:200]
        if self._process_away:
            return
        if presence.get("up") is True:
            self._there()
        elif presence.get("up") is False:
            word = known(str(presence.get("word")))
            self._presence.lost(word if word in self.LOSSES else "bad-answer", detail)
        fault = str(presence["fault"])[:200] if presence.get("fault") else None
        if fault != self._fault:
            self._fault = fault
            self._context.emit(HealthRead(self._context.point(), fault=fault))

    def _process(self, message: Message) -> None:
        message.ack()
        away = message.payload == b"offline"
        if away:
            self._gone("no-process", "edged counters")
        elif self._process_away:
            self._process_away = False
            if self._was_there:
                self._there()

    def _gone(self, word: str, detail: str = "") -> None:
        """Report the counter as lost, because the broker or `edged counters` cannot be reached. Record whether the
        counter was present until then, to report it as present again when that connection is back.
        """
        if not self._process_away:
            self._process_away, self._was_there = True, bool(self._presence.there)
        self._presence.lost(word, detail)
