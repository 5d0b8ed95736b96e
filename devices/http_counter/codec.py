"""Decodes the reports of people counters into counts per line, and encodes these for the hall's broker. No I/O.

There are three kinds of numbers: a ``total`` grows until the device is reset; a ``window`` counts the people between
two times; a ``crossing`` is one person. hall.toml selects one of them, because mixing them would count people twice.
The times in a report only serve to tell one window from another, because a device's clock may be wrong. Sources are
named in each vendor's function.
"""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator
from typing import Any, Literal, NamedTuple

from edged.driver import Garbled
from edged.strict_json import NotStrictJson, parse

SIZE_MAX_BYTES = 64 * 1024
MESSAGE_MAX_BYTES = 1024  # of what goes through the broker
COUNT_MAX = 2**32 - 1
LINE_CHARS_MAX = 32  # of the name that a device gives to a line
LINES_MAX = 200  # readings in one report: an hour of minutes for three lines
ALERTS_MAX = 50  # in one post: what a camera kept while nobody listened
TAGS_MAX = 2000  # of an XML document; a report has 30
Kind = Literal["total", "window", "crossing"]
Vendor = Literal["hikvision", "dahua", "xovis", "axis", "terabee"]


class Counted(NamedTuple):
    """The counts of one counting line (an entrance, say) in a report: how many people ``entered`` and ``left``.
    ``mark``: identifies a window or crossing, so that a repetition is recognised; "" for totals.
    """

    kind: Kind
    line: str
    entered: int
    left: int
    mark: str = ""


def decode(vendor: Vendor, data: bytes) -> list[Counted]:
    """Decode all counts in a report; empty if it has none. Raises ``Garbled`` if the report cannot be read. The error's
    text is a single fixed word for the log ("too_large", "no_counts"), so that nothing of the report is logged.
    """
    if len(data) > SIZE_MAX_BYTES:
        raise Garbled("too_large")
    found = list(_READERS[vendor](data))
    if len(found) > LINES_MAX:
        raise Garbled("too_many_lines")
    return found


def _hikvision(data: bytes) -> Iterator[Counted]:
    """Yield the counts in Hikvision's ISAPI EventNotificationAlerts, alone or as parts of multipart/form-data. Source:
    ISAPI 2.0, PeopleCounting; test data of three public decoders. realTime is cumulative; timeRange and signalTrigger
    count a window. The XML namespace depends on the firmware, so it is ignored. Each alert is cut out of the text, so
    the XML parser sees no DTD and no entities.
    """
    text = data.decode("utf-8", "replace")
    alerts = _ALERT.findall(text) if text.count("<EventNotificationAlert") <= ALERTS_MAX else []
    if not alerts or any(alert.count("<") > TAGS_MAX for alert in alerts):
        raise Garbled("no_alert")
    for alert in alerts:
        yield from _alert(alert)


_ALERT = re.compile(r"<EventNotificationAlert\b.*?</EventNotificationAlert>", re.DOTALL)


def _alert(text: str) -> Iterator[Counted]:
    """Yield the counts in one alert; none if the alert is not about people counting. Raises ``Garbled`` if it is no XML
    or has no counts.
    """
    try:
        root = ElementTree.fromstring(text)  # noqa: S314 - see above
    except ElementTree.ParseError:
        raise Garbled("not_xml") from None
    found = {one.tag.rpartition("}")[2]: one for one in root}
    if _text(found.get("eventType")).lower() != "peoplecounting":
        return
    counting = found.get("peopleCounting")
    if counting is None:
        raise Garbled("no_counts")
    inner = {one.tag.rpartition("}")[2]: one for one in counting}
    # two small numbers; a line's name has LINE_CHARS_MAX on its way through the broker
    line = f"{_text(found.get('channelID'))[:15]}-{_text(inner.get('regionsID'))[:16]}"
    entered, left = _digits(_text(inner.get("enter"))), _digits(_text(inner.get("exit")))
    if _text(inner.get("statisticalMethods")) == "realTime":
        yield Counted("total", line, entered, left)
        return
    span = inner.get("TimeRange")
    times = [] if span is None else [_text(one) for one in span]
    yield Counted("window", line, entered, left, f"{line} {' '.join(times) or _text(found.get('dateTime'))}")


def _dahua(data: bytes) -> Iterator[Counted]:
    """Yield the totals in the answer to videoStatServer.cgi?action=getSummary (Dahua HTTP API, video statistics). It
    has one value per line, such as ``summary.EnteredSubtotal.Total=1``; with several counting rules, ``summary[0]…``.
    """
    text = data.decode("utf-8", "replace")
    totals: dict[str, dict[str, int]] = {}
    for name, side, number in _SUMMARY.findall(text):
        totals.setdefault(name, {})[side] = _digits(number)
    if not totals:
        raise Garbled("no_counts")
    channels = dict(_CHANNEL.findall(text))
    for name, sides in totals.items():
        line = f"{channels.get(name, '0')}{name.removeprefix('summary')}"
        yield Counted("total", line, sides.get("Entered", 0), sides.get("Exited", 0))


_SUMMARY = re.compile(
    r"^(summary(?:\[\d{1,3}\])?)\.(Entered|Exited)Subtotal\.Total=(\d{1,11})\s*$", re.MULTILINE
)
_CHANNEL = re.compile(r"^(summary(?:\[\d{1,3}\])?)\.Channel=(\d{1,4})\s*$", re.MULTILINE)


def _xovis(data: bytes) -> Iterator[Counted]:
    """Yield the counts in a Xovis "data push 5.0" of the PC2S. Its logics are windows with the counts "fw" (entered)
    and "bw" (left); its live events are crossings. GROUP events are ignored, because they repeat the persons of the
    group. Source: test data and decoder of akenza-io/device-type-library, types/xovis/PC2SV5.
    """
    document = _object(data)
    live, logics = document.get("live_data"), document.get("logics_data")
    if isinstance(logics, dict):
        for logic in _dicts(logics.get("logics")):
            yield from _logic(logic)
    if isinstance(live, dict):
        for frame in _dicts(live.get("frames")):
            yield from _crossings(frame)
    if not isinstance(live, dict) and not isinstance(logics, dict):
        raise Garbled("no_counts")


def _logic(logic: dict[str, Any]) -> Iterator[Counted]:
    line = str(logic.get("id", ""))[:LINE_CHARS_MAX]
    for record in _dicts(logic.get("records")):
        counts = {str(one.get("name")): one.get("value") for one in _dicts(record.get("counts"))}
        if counts.get("fw") is not None and counts.get("bw") is not None:  # null: not counted
            mark = f"{line} {record.get('from')} {record.get('to')}"[:96]
            yield Counted("window", line, _people(counts["fw"]), _people(counts["bw"]), mark)


def _crossings(frame: dict[str, Any]) -> Iterator[Counted]:
    objects = _dicts(frame.get("tracked_objects"))
    groups = {str(one.get("track_id")) for one in objects if one.get("type") == "GROUP"}
    for event in _dicts(frame.get("events")):
        about, word = event.get("attributes"), event.get("type")
        if word not in ("LINE_CROSS_FORWARD", "LINE_CROSS_BACKWARD") or not isinstance(about, dict):
            continue
        track, line = str(about.get("track_id"))[:32], str(about.get("geometry_id"))[:LINE_CHARS_MAX]
        if track not in groups:
            forward = word == "LINE_CROSS_FORWARD"
            mark = f"{line} {track} {str(about.get('sequence_number'))[:16]} {str(frame.get('time'))[:20]}"
            yield Counted("crossing", line, int(forward), int(not forward), mark)


def _axis(data: bytes) -> Iterator[Counted]:
    """Yield the counts in one of two AXIS formats. "Axis Retail Data" of the 3D People Counter counts a window (source:
    test data and decoder of akenza's types/axis/peopleCounter). live-sum.json of the AXIS People Counter is the day's
    total (source: developer.axis.com, people counter API).
    """
    document = _object(data)
    about = document.get("data")
    if document.get("apiName") == "Axis Retail Data" and isinstance(about, dict):
        for measured in _dicts(about.get("measurements")):
            if measured.get("kind") == "people-counts":
                sides = {str(one.get("direction")): one.get("count") for one in _dicts(measured.get("items"))}
                mark = f"{str(measured.get('utcFrom'))[:32]} {str(measured.get('utcTo'))[:32]}"
                yield Counted("window", "", _people(sides.get("in", 0)), _people(sides.get("out", 0)), mark)
    elif "in" in document and "out" in document:
        yield Counted("total", "", _people(document["in"]), _people(document["out"]))
    else:
        raise Garbled("no_counts")


def _terabee(data: bytes) -> Iterator[Counted]:
    """Yield the cumulative totals in a report of a Terabee People Counting L-XL. Source: test data and decoder of
    akenza's types/terabee/peopleCountingXL.
    """
    document = _object(data)
    if "count_in" not in document or "count_out" not in document:
        raise Garbled("no_counts")
    yield Counted("total", "", _people(document["count_in"]), _people(document["count_out"]))


_READERS: dict[Vendor, Callable[[bytes], Iterator[Counted]]] = {
    "hikvision": _hikvision,
    "dahua": _dahua,
    "xovis": _xovis,
    "axis": _axis,
    "terabee": _terabee,
}


def describe(data: bytes) -> list[str]:
    """Describe a captured report in words, for a technician: one line per count, for each vendor whose format the
    report fits; empty if it fits none.
    """
    found = []
    for vendor in _READERS:
        try:
            found += [f"{vendor}: {_words(one)}" for one in decode(vendor, data)]
        except Garbled:
            continue
    return found


def _words(one: Counted) -> str:
    line = f" line {one.line}" if one.line else ""
    return f"{one.kind} in {one.entered} out {one.left}{line}"


class LineReport(NamedTuple):
    """The counts of one counting line, as `edged counters` publishes them at the hall's broker; a crossing is published
    as a ``window`` with one person. ``boot`` is different after each start of that process; ``seq`` increases while it
    runs.
    """

    seq: int
    boot: str
    kind: Literal["total", "window"]
    entered: int
    left: int
    line: str = ""

    def to_bytes(self) -> bytes:
        """The JSON payload."""
        names = {"entered": "in", "left": "out"}
        return json.dumps({names.get(name, name): value for name, value in self._asdict().items()}).encode()

    @staticmethod
    def of(data: bytes) -> LineReport:
        """Parse a payload. Raises ``Garbled`` if it is not JSON or a key is missing or invalid."""
        fields = _object(data, MESSAGE_MAX_BYTES)
        kind, seq = fields.get("kind"), fields.get("seq")
        boot, line = (str(fields.get(name, ""))[:LINE_CHARS_MAX] for name in ("boot", "line"))
        if kind not in ("total", "window") or type(seq) is not int or not 0 <= seq < 2**53 or not boot:
            raise Garbled("invalid")
        return LineReport(seq, boot, kind, _people(fields.get("in")), _people(fields.get("out")), line)


def _object(data: bytes, bytes_max: int = SIZE_MAX_BYTES) -> dict[str, Any]:
    try:
        return parse(data, bytes_max, 20)
    except NotStrictJson as error:
        raise Garbled(error.reason) from None


def _dicts(value: Any) -> list[dict[str, Any]]:
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise Garbled("invalid")
    return value


def _people(value: Any) -> int:
    """Check and return a number of people, given as a number or as text (AXIS writes "7"). Raises ``Garbled`` unless it
    is whole and in range.
    """
    if isinstance(value, str):
        return _digits(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= COUNT_MAX:
        raise Garbled("invalid")
    return value


def _digits(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 11):
        raise Garbled("invalid")
    return _people(int(text))


def _text(one: ElementTree.Element | None) -> str:
    return "" if one is None or one.text is None else one.text.strip()[:64]
