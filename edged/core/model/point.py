"""A point: one channel of one device, as text that is the same in configuration, MQTT, journal and state.

``"relay-1/3"`` is coil 3 of relay-1; ``"panel-w3"`` is a device that has a single channel. Only this file builds and
splits that text.
"""

from __future__ import annotations

from typing import NewType

Point = NewType("Point", str)


def point_of(device: str, channel: str = "") -> Point:
    """The point of ``channel`` of ``device``; ``channel`` "": the device has only one."""
    return Point(f"{device}/{channel}" if channel else device)


def parts_of(point: Point) -> tuple[str, str]:
    """The device and channel of ``point``, as given to ``point_of``."""
    device, _, channel = point.partition("/")
    return device, channel


def device_of(point: Point) -> str:
    """The id of the device that ``point`` belongs to."""
    return point.partition("/")[0]


def channel_of(point: Point) -> str:
    """The channel of ``point``; "" if its device has only one."""
    return point.partition("/")[2]
