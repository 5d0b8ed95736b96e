"""Points: built and taken apart in one place, and the same text everywhere."""

from __future__ import annotations

import msgspec
import pytest

from edged.core.model.events import KeyPressed
from edged.core.model.point import Point, channel_of, device_of, parts_of, point_of


@pytest.mark.parametrize(
    ("text", "device", "channel"),
    [
        ("panel-w3", "panel-w3", ""),
        ("relay-1/3", "relay-1", "3"),
        ("bus-east/w8/extra", "bus-east", "w8/extra"),
    ],
)
def test_a_point_is_its_device_and_its_channel(text: str, device: str, channel: str) -> None:
    point = Point(text)
    assert (device_of(point), channel_of(point)) == parts_of(point) == (device, channel)
    assert point_of(device, channel) == text


def test_a_point_is_written_to_json_as_one_text_of_device_and_channel() -> None:
    written = msgspec.json.encode(KeyPressed(point_of("bus-east", "w8"), "next"))
    assert written.startswith(b'{"point":"bus-east/w8",')
