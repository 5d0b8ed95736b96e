"""What each codec makes of captured reports in which one value is another one or missing, as written in ``changed/``.

Bounds, required fields and forbidden types of every report stand there, each as a line.

Rewrite the files, then read the diff: ``TRANSCRIPTS_UPDATE=1 pytest tests/devices/test_changed_reports.py``.
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from devices.http_counter import codec as http_counter
from devices.milesight_mqtt import codec as milesight
from devices.mqtt_json import codec as mqtt_json
from devices.mqtt_map.codec import PLACE, MqttModel, findings
from edged.core.model.point import Point
from edged.driver import Garbled
from edged.shapes import read
from tests.support.differences import difference

CHANGED = Path(__file__).parent / "changed"
VECTORS = Path(__file__).parents[1] / "vectors"
MAPS = Path(__file__).parents[2] / "devices" / "mqtt_map"
MOST = 2**32 - 1  # people, in every counter
MISSING: Any = object()
OTHERS: tuple[Any, ...] = (
    *(MISSING, None, True, [], {}, "", "x", "7", "7.0", "y" * 80),
    *(-1, 0, 1, 5, 6, 7.0, 7.5, MOST, MOST + 1, 2**53, 10**16),
)
NUMBERS = ("", "x", "-1", "0", "7.0", str(MOST), str(MOST + 1), "٣", "0" * 12)


class Report(NamedTuple):
    """``read``: returns how the codec reads a payload, as text."""

    payload: bytes
    read: Callable[[bytes], str]


def message(kind: str) -> Callable[[bytes], str]:
    def made(payload: bytes) -> str:
        body, unknown = mqtt_json.decode(kind, payload)
        parts = mqtt_json.by_parts(kind, payload)
        assert parts == (body, unknown), "both ways to read it agree"
        event = body if kind == "status" else mqtt_json.to_event(Point("d"), body)
        return f"{event}{' unknown ' * bool(unknown)}{' '.join(unknown)}"

    return made


def counted(vendor: http_counter.Vendor) -> Callable[[bytes], str]:
    return lambda payload: " ".join(map(str, http_counter.decode(vendor, payload)))


def mapped(model: MqttModel, topic: str) -> Callable[[bytes], str]:
    return lambda payload: "; ".join(
        f"{one.words} {one.text} {one.line}".strip() for one in findings(model, topic, payload, PLACE)
    )


MESSAGES: dict[str, tuple[str, dict[str, Any]]] = {
    "status": ("status", {"state": "online", "fw": "1.2"}),
    "ticket": (
        "ticket",
        {"seq": 7, "boot": "b", "number": "A012", "service": "tax", "priority": "elderly", "reason": "card"}
        | {"appointment": "b-7"},
    ),
    "request": (
        "request",
        {"seq": 7, "boot": "b", "service": "tax", "priority": "elderly", "appointment": "b-8"}
        | {"reason": "card-shown", "returning": "Ａ 012"},
    ),
    "key": ("key", {"seq": 7, "boot": "b", "key": "finish", "arg": "told-once"}),
    "call": ("call", {"seq": 7, "number": "A1", "window": "w1", "service": "tax"}),
    "end": ("end", {"seq": 7, "window": "w1", "number": "A1", "outcome": "parked"}),
    "queue": ("queue", {"seq": 7, "service": "tax", "waiting": ["A1", "A2"]}),
    "window": ("window", {"seq": 7, "window": "w1", "staffed": False}),
    "rating": ("rating", {"seq": 7, "level": 4}),
    "total": ("count", {"seq": 7, "boot": "b", "in_total": 9, "out_total": 8}),
    "window count": ("count", {"seq": 7, "in": 2, "out": 3, "from": "a", "to": "b"}),
    "occupancy": ("count", {"seq": 7, "occupancy": -4}),
    "health": ("health", {"paper": "low", "fault": "jam", "seq": 7, "boot": "b"}),
    "done": ("done", {"id": "x-1", "ok": False, "error": "no paper"}),
}


def vectors(family: str) -> Iterator[dict[str, Any]]:
    yield from json.loads((VECTORS / f"{family}_frames.json").read_text("utf-8"))["frames"]


def reports() -> dict[str, dict[str, Report]]:
    """Return the reports by file, then by name."""
    found: dict[str, dict[str, Report]] = {
        "mqtt_json": {
            name: Report(json.dumps(fields).encode(), message(kind))
            for name, (kind, fields) in MESSAGES.items()
        },
        "milesight": {
            one["id"]: Report(
                json.dumps(one["json"]).encode(),
                lambda payload: " ".join(map(str, milesight.decode(payload))),
            )
            for one in vectors("milesight")
        },
        "http_counter": {
            one["id"]: Report(one["payload"].encode(), counted(one["vendor"]))
            for one in vectors("http_counter")
        },
        "mqtt_map": {},
    }
    for file in sorted(MAPS.glob("*.toml")):
        model = read(MqttModel, tomllib.loads(file.read_text("utf-8")))
        for number, example in enumerate(model.examples):
            if example.payload.startswith("{") and example.event and len(example.payload) < 400:
                report = Report(example.payload.encode(), mapped(model, example.topic))
                found["mqtt_map"][f"{file.stem} {number}"] = report
                break
    return found


def places(document: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Every value in a document, the outer before the inner."""
    if path:
        yield path
    inner = dict(enumerate(document)) if isinstance(document, list) else document
    for key, value in inner.items() if isinstance(inner, dict) else ():
        yield from places(value, (*path, key))


def changed(text: str, path: tuple[str | int, ...], other: Any) -> bytes:
    document = json.loads(text)
    around = document
    for key in path[:-1]:
        around = around[key]
    if other is MISSING:
        del around[path[-1]]
    else:
        around[path[-1]] = other
    return json.dumps(document).encode()


def made(report: Report, payload: bytes) -> str:
    try:
        return report.read(payload)
    except (Garbled, mqtt_json.Unfit) as error:
        return f"refused: {' '.join(map(str, error.args))} {getattr(error, 'detail', '')}".rstrip()


def variants(report: Report) -> Iterator[tuple[str, str, bytes]]:
    """Return each changed payload: (the place, what stands there instead, payload)."""
    text = report.payload.decode()
    if text.startswith("{"):
        for path in places(json.loads(text)):
            for other in OTHERS:
                word = "nothing" if other is MISSING else json.dumps(other)[:40]
                yield "/".join(map(str, path)), word, changed(text, path, other)
        return
    for found in re.finditer(r"(?<=[>=])[^<>=\n]+(?=[<\r\n]|$)", text):
        for number in NUMBERS:
            yield (
                found[0],
                number or "nothing",
                (text[: found.start()] + number + text[found.end() :]).encode(),
            )


def lines(name: str, report: Report) -> Iterator[str]:
    usual = made(report, report.payload)
    yield f"{name}: {usual}"
    alike: dict[tuple[str, str], list[str]] = {}
    for place, other, payload in variants(report):
        found = made(report, payload)
        if found != usual:
            alike.setdefault((place, difference(usual, found)), []).append(other)
    for (place, found), others in alike.items():
        yield f"  {place} {', '.join(others)}: {found}"


@pytest.mark.parametrize("name", ["http_counter", "milesight", "mqtt_json", "mqtt_map"])
def test_the_meaning_of_every_changed_report_is_as_written(name: str) -> None:
    file = CHANGED / f"{name}.txt"
    found = "".join(f"{line}\n" for one, report in reports()[name].items() for line in lines(one, report))
    if os.environ.get("TRANSCRIPTS_UPDATE"):
        file.write_text(found, "utf-8")
    assert found.splitlines() == file.read_text("utf-8").splitlines()
