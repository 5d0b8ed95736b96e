"""Remarks on a hall.toml that is valid but in which a part of the hall may not work as wanted. Rules of this file:

* For a *grave* remark `edged check` exits with code 2, as for a mistake. The daemon starts nevertheless, logs it and
  serves without that part: a pager that is really a lamp is no reason to close a hall.
* Other remarks are hints.
* Like ``references.py`` it reads the raw document, but only one without mistakes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from edged.config.references import Raw, tables, used_points, words
from edged.core.model.point import Point, channel_of, device_of
from edged.driver import Options
from edged.shapes import Path

TLS_PORT, PLAIN_PORT = 8883, 1883  # registered for MQTT


class Remark(NamedTuple):
    """A remark on hall.toml. ``place``: the path of the key to change."""

    place: Path
    text: str
    grave: bool


def remarks(raw: Raw, options: Mapping[str, Options]) -> Iterator[Remark]:
    """All remarks on a document without mistakes; ``options`` by device id."""
    yield from _roles(raw, options)
    yield from _dispenser(raw, options)
    yield from _printers(raw, options)
    yield from _unused(raw, options)
    yield from _unshown(raw, options)
    yield from _broker_port(raw)


def _roles(raw: Raw, options: Mapping[str, Options]) -> Iterator[Remark]:
    for path, role, point in used_points(raw):
        known = options.get(device_of(Point(point)))
        roles = None if known is None else known.point_roles(channel_of(Point(point)))
        if roles is not None and role not in roles:
            can = " or ".join(sorted(roles)) or "nothing that shows or says anything"
            yield Remark(path, f'"{point}" cannot be a {role}: it is {can}; name a device that is one', True)


def _dispenser(raw: Raw, options: Mapping[str, Options]) -> Iterator[Remark]:
    hall = raw.get("hall", {})
    if hall.get("mode", "edge") == "edge" and not any(
        "dispenser" in one.reports() for one in options.values()
    ):
        text = (
            'no device gives numbers to visitors; add one under [[devices]], such as driver = "mqtt_json", '
            'kind = "dispenser"'
        )
        yield Remark(("hall",), text, True)


def _printers(raw: Raw, options: Mapping[str, Options]) -> Iterator[Remark]:
    for path, device in tables(raw, "devices"):
        known = options.get(str(device.get("id")))
        if "printer" in device and known is not None and "dispenser" not in known.reports():
            yield Remark((*path, "printer"), f'"{device["id"]}" gives no numbers; leave printer out', True)


def _unused(raw: Raw, options: Mapping[str, Options]) -> Iterator[Remark]:
    used = {device_of(Point(point)) for _, _, point in used_points(raw)} | {raw.get("hall", {}).get("queue")}
    for path, device in tables(raw, "devices"):
        known = options.get(str(device.get("id")))
        if known is not None and not known.reports() and device["id"] not in used:
            yield Remark((*path, "id"), f'nothing in this file uses "{device["id"]}"', False)


def _unshown(raw: Raw, options: Mapping[str, Options]) -> Iterator[Remark]:
    """Remark on names of areas and services with characters that the font of a board showing them lacks."""
    everywhere = [point for _, point in words(raw.get("hall", {}), "displays")]
    for path, area in tables(raw, "areas"):
        boards = [point for _, point in words(area, "displays")] + everywhere
        named = [((*path, "name"), area["name"])] + [
            ((*at, "name"), service["name"])
            for at, service in tables(raw, "services")
            if service.get("area") == area["id"]
        ]
        for at, name in named:
            for point in boards:
                missing = (
                    options[device_of(Point(point))].unshown(name)
                    if device_of(Point(point)) in options
                    else ""
                )
                if missing:
                    text = f'"{point}" cannot show "{missing}" and shows "?" there; find another spelling'
                    yield Remark(at, text, False)


def _broker_port(raw: Raw) -> Iterator[Remark]:
    mqtt = raw.get("mqtt", {})
    if mqtt.get("port") == TLS_PORT and "tls" not in mqtt:
        text = f"{TLS_PORT} is the port for TLS, and there is no [mqtt.tls]: add ca_file there, or use {PLAIN_PORT}"
        yield Remark(("mqtt", "port"), text, False)
    if mqtt.get("port", PLAIN_PORT) == PLAIN_PORT and "tls" in mqtt:
        text = f"{PLAIN_PORT} is the port without TLS; with [mqtt.tls] it is mostly {TLS_PORT}"
        yield Remark(("mqtt", "port") if "port" in mqtt else ("mqtt", "tls"), text, False)
