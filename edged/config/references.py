"""Finds mistakes between tables of hall.toml: names that do not exist, a device output used twice. Rules of this file:

* It reads the raw document, so that a mistake inside one table hides none in another.
* A value of the wrong type is ``shape.py``'s to report: here it is skipped.
* Every mistake names the place to change and what is allowed there.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

from edged.config.wording import Mistake, did_you_mean, unknown
from edged.core.model.point import Point, device_of, parts_of
from edged.driver import Options, SharedWire
from edged.shapes import Path

Raw = dict[str, Any]
LOCAL = frozenset({"127.0.0.1", "localhost", "::1", "0.0.0.0"})  # noqa: S104 - names of this machine
MQTT_PORT = 1883
WEB_PORT = 9464
WINDOW_POINTS = ("panel", "lamp", "display", "evaluator")


def check(raw: Raw) -> Iterator[Mistake]:
    """Every mistake that shows only when several tables of hall.toml are compared."""
    yield from _duplicates(raw)
    yield from _https(raw)
    yield from _places(raw)
    yield from _names(raw)
    yield from _points(raw)
    yield from _shared_points(raw)
    yield from _serial_ports(raw)
    yield from _windows_ports(raw)
    yield from _coverage(raw)
    yield from _tidal_windows(raw)
    yield from _case_windows(raw)
    yield from _certificates(raw)
    yield from _queue_system(raw)
    yield from _web_port(raw)


def check_options(raw: Raw, options: Mapping[str, Options]) -> Iterator[Mistake]:
    """Mistakes in what devices' options (by device id) refer to: channels that a device lacks, unknown services,
    conflicts on a shared wire.
    """
    for path, _, point in used_points(raw):
        device, channel = parts_of(Point(point))
        channels = options[device].point_channels() if device in options else None
        if channels is not None and channel not in channels:
            yield Mistake(path, _no_channel(device, channel, channels))
    yield from _shared_wires(raw, options)
    services = ids(raw, "services")
    for path, entry in tables(raw, "devices"):
        known = options.get(str(entry.get("id")))
        for service in sorted(known.service_ids() - services) if known is not None else ():
            yield Mistake(_place_of(entry, path, service) or path, unknown("service", service, services))


def _shared_wires(raw: Raw, options: Mapping[str, Options]) -> Iterator[Mistake]:
    """Devices on one wire must agree on its settings and use different units."""
    first: dict[str, tuple[str, SharedWire]] = {}
    units: dict[tuple[str, int, Any], str] = {}
    for path, entry in tables(raw, "devices"):
        known = options.get(str(entry.get("id")))
        wire = None if known is None else known.shared_wire()
        if wire is None:
            continue
        owner, theirs = first.setdefault(_port(wire.address), (entry["id"], wire))
        if theirs.settings != wire.settings:
            yield Mistake(
                (*path, "url"),
                f'device "{owner}" uses this wire as {theirs.settings}, this one as {wire.settings}; '
                "a wire has one setting: write the same url at both",
            )
        unit = units.setdefault((_port(wire.address), wire.unit, entry.get("driver")), entry["id"])
        if unit != entry["id"]:
            yield Mistake((*path, "unit" if "unit" in entry else "url"), _same_unit(unit))


def _same_unit(owner: str) -> str:
    return f'device "{owner}" is already this unit on this wire; give each module its own unit'


def _queue_system(raw: Raw) -> Iterator[Mistake]:
    """In follow mode, ``[hall] queue`` must name the device of the queue system that calls the visitors; otherwise it
    must be absent.
    """
    hall = raw.get("hall")
    if not isinstance(hall, dict):
        return
    mode, queue = hall.get("mode", "edge"), hall.get("queue")
    if mode == "follow" and queue is None:
        yield Mistake(("hall", "mode"), 'mode "follow" needs queue: the id of the device that reports calls')
    if mode == "edge" and queue is not None:
        yield Mistake(("hall", "queue"), 'only a hall with mode = "follow" has a queue system; leave it out')
    named = (entry for _, entry in tables(raw, "devices") if isinstance(entry.get("id"), str))
    kinds = {entry["id"]: entry.get("kind") for entry in named}
    if isinstance(queue, str) and kinds.get(queue) != "queue":
        if queue in kinds:
            text = f'"{queue}" is no queue system; it needs driver = "mqtt_json" and kind = "queue"'
            yield Mistake(("hall", "queue"), text)
        else:
            yield Mistake(("hall", "queue"), unknown("device", queue, ids(raw, "devices")))


def _no_channel(device: str, channel: str, channels: frozenset[str]) -> str:
    if not channels:
        return f'"{device}" shows nothing: it only reports'
    if channels == {""}:
        return f'"{device}" has no channels; write "{device}"'
    shown = ", ".join(f"{device}/{name}" for name in sorted(channels, key=lambda name: (len(name), name)))
    wrong = f'"{device}" has no channel "{channel}"' if channel else f'"{device}" needs a channel'
    return f"{wrong}; allowed: {shown}{did_you_mean(channel, channels)}"


def _place_of(node: Any, path: Path, word: str) -> Path | None:
    """The path of the value ``word`` below ``path``, also inside nested tables; None if it is not found."""
    for key, child in node.items() if isinstance(node, dict) else ():
        found = (*path, key) if child == word else _place_of(child, (*path, key), word)
        if found is not None:
            return found
    return None


def tables(raw: Raw, kind: str) -> Iterator[tuple[Path, Raw]]:
    """Each entry of the array of tables ``[[kind]]`` with its key path, such as ("devices", 0); entries that are not
    tables are skipped.
    """
    entries = raw.get(kind)
    for position, entry in enumerate(entries if isinstance(entries, list) else ()):
        if isinstance(entry, dict):
            yield (kind, position), entry


def words(entry: Raw, key: str) -> Iterator[tuple[Path, str]]:
    """The text or the texts under ``key``, each with its key path relative to the entry."""
    value = entry.get(key)
    if isinstance(value, str):
        yield (key,), value
    for position, element in enumerate(value if isinstance(value, list) else ()):
        if isinstance(element, str):
            yield (key, position), element


def ids(raw: Raw, kind: str) -> set[str]:
    """The ids of all tables of one kind."""
    return {entry["id"] for _, entry in tables(raw, kind) if isinstance(entry.get("id"), str)}


def _duplicates(raw: Raw) -> Iterator[Mistake]:
    for kind, key, noun in (
        ("areas", "id", "area"),
        ("services", "id", "service"),
        ("services", "prefix", "service"),
        ("windows", "id", "window"),
        ("windows", "number", "window"),
        ("staff", "id", "member of staff"),
        ("devices", "id", "device"),
    ):
        first: dict[str, str] = {}
        for path, entry in tables(raw, kind):
            value = entry.get(key)
            if not isinstance(value, str):
                continue
            if value in first:
                owner = f' ("{first[value]}")' if key != "id" else ""
                yield Mistake(
                    (*path, key), f'"{value}" is already the {key} of another {noun}{owner}; choose another'
                )
            first.setdefault(value, str(entry.get("id", "")))


def _https(raw: Raw) -> Iterator[Mistake]:
    """A certificate of the pages needs its key, and a key its certificate."""
    pages = raw.get("pages")
    names = ("tls_cert_file", "tls_key_file")
    given = [name for name in names if isinstance(pages, dict) and name in pages]
    if len(given) == 1:
        other = names[1 - names.index(given[0])]
        yield Mistake(("pages", given[0]), f"needs {other} beside it; HTTPS takes both, or leave both out")


def _places(raw: Raw) -> Iterator[Mistake]:
    """No two windows may have the same place on the plan."""
    first: dict[tuple[Any, ...], str] = {}
    for path, entry in tables(raw, "windows"):
        place = entry.get("position")
        if not isinstance(place, list) or not all(isinstance(one, int) for one in place):
            continue
        owner = first.setdefault(tuple(place), str(entry.get("id", "")))
        if owner != entry.get("id", ""):
            yield Mistake((*path, "position"), f'window "{owner}" stands there already; choose another place')


def _names(raw: Raw) -> Iterator[Mistake]:
    """Areas and services that other tables refer to must exist, and no list names one twice."""
    for kind, key, target, noun in (
        ("services", "area", "areas", "area"),
        ("windows", "skills", "services", "service"),
        ("staff", "skills", "areas", "area"),
    ):
        known = ids(raw, target)
        for path, entry in tables(raw, kind):
            seen: set[str] = set()
            for below, word in words(entry, key):
                if word not in known:
                    yield Mistake((*path, *below), unknown(noun, word, known))
                elif word in seen:
                    yield Mistake((*path, *below), f'"{word}" is listed twice; write it once')
                seen.add(word)


def used_points(raw: Raw) -> Iterator[tuple[Path, str, str]]:
    """Yield every point (device or device/channel) in use: its path, its role (lamp, display …) and the point."""
    for path, area in tables(raw, "areas"):
        for key, role in (("displays", "display"), ("voice", "voice"), ("lamps", "lamp")):
            for below, point in words(area, key):
                yield (*path, *below), role, point
    for path, window in tables(raw, "windows"):
        for key in WINDOW_POINTS:
            for below, point in words(window, key):
                yield (*path, *below), key, point
    for path, member in tables(raw, "staff"):
        for below, point in words(member, "pager"):
            yield (*path, *below), "pager", point
    for path, device in tables(raw, "devices"):
        for below, point in words(device, "printer"):
            yield (*path, *below), "printer", point
    for table, key, role in (
        ("hall", "displays", "display"),
        ("cases", "lamps", "lamp"),
        ("cases", "displays", "display"),
        ("duty", "pager", "pager"),
        ("duty", "panel", "panel"),
        ("duty", "displays", "display"),
    ):
        entry = raw.get(table)
        for below, point in words(entry if isinstance(entry, dict) else {}, key):
            yield (table, *below), role, point


def displays(raw: Raw) -> list[Point]:
    """The device channels that hall.toml uses as displays, in any of its tables."""
    return [Point(point) for _, role, point in used_points(raw) if role == "display"]


def _points(raw: Raw) -> Iterator[Mistake]:
    known = ids(raw, "devices")
    for path, _, point in used_points(raw):
        device = device_of(Point(point))
        if device not in known:
            yield Mistake(path, unknown("device", device, known) + " (add it under [[devices]])")


def _shared_points(raw: Raw) -> Iterator[Mistake]:
    """A lamp, display, panel or pager belongs to one owner; loudspeakers and printers may serve several, because they
    queue.
    """
    first: dict[tuple[str, str], Path] = {}
    for path, role, point in used_points(raw):
        if role in ("voice", "printer"):
            continue
        if (role, point) in first:
            owner = path_text(first[role, point], raw)
            yield Mistake(path, f'"{point}" is already the {role} at {owner}; give each its own {role}')
        first.setdefault((role, point), path)


def _serial_ports(raw: Raw) -> Iterator[Mistake]:
    """A serial port belongs to one device; Modbus modules may share it with equal ``url`` and different ``unit``."""
    first: dict[str, Raw] = {}
    units: dict[tuple[str, str, str], Raw] = {}
    for path, device in tables(raw, "devices"):
        found = _wire(device)
        if found is None:
            continue
        key, wire = found
        owner = first.setdefault(_port(wire), device)
        shared = key == "url" and owner.get("url") == device["url"]
        if owner is not device and not shared:
            yield Mistake(
                (*path, key),
                f'serial port "{wire}" already belongs to device "{owner.get("id", "?")}"; a port has one owner: '
                "give this device another port, or merge the two into one device",
            )
        # As text: whatever stands there, a list for example, is judged elsewhere and must not end the check.
        place = (_port(wire), repr(device.get("unit")), repr(device.get("driver")))
        unit = units.setdefault(place, device)
        if shared and unit is not device:
            yield Mistake((*path, "unit" if "unit" in device else key), _same_unit(unit.get("id", "?")))


def _windows_ports(raw: Raw) -> Iterator[Mistake]:
    """Names of serial ports on Windows (COM3) are mistakes here."""
    for path, device in tables(raw, "devices"):
        for key in ("path", "url"):
            named = re.fullmatch(r"(?:rtu:/*)?(COM\d+)(?:\?.*)?", str(device.get(key, "")), re.IGNORECASE)
            if named is not None:
                yield Mistake(
                    (*path, key),
                    f'"{named[1]}" is a name of Windows; here a port is /dev/serial/by-path/… '
                    "(ls -l /dev/serial/by-path shows those that are plugged in)",
                )


def _port(wire: str) -> str:
    """The resolved path of a serial port: names under by-path, by-id and ttyUSB0 may be the same port."""
    return os.path.realpath(wire) if wire.startswith("/") else wire


def _wire(device: Raw) -> tuple[str, str] | None:
    """The key that names a device's wire, and the wire: a serial port, or the host and port of a Modbus gateway; None
    without one.
    """
    path, url = device.get("path"), device.get("url")
    if isinstance(path, str):
        return "path", path
    if isinstance(url, str):
        scheme, _, rest = url.partition("://")
        return "url", rest.partition("?")[0] if scheme == "rtu" else url
    return None


def _coverage(raw: Raw) -> Iterator[Mistake]:
    """Each area needs a service, and each service a window that is not tidal."""
    regular: set[str] = set()
    tidal: set[str] = set()
    for _, window in tables(raw, "windows"):
        (tidal if window.get("tidal") is True else regular).update(
            word for _, word in words(window, "skills")
        )
    services: dict[str, list[tuple[Path, str]]] = {}
    for path, service in tables(raw, "services"):
        if isinstance(service.get("area"), str) and isinstance(service.get("id"), str):
            services.setdefault(service["area"], []).append((path, service["id"]))
    for path, area in tables(raw, "areas"):
        if not isinstance(area.get("id"), str):
            continue
        own = services.get(area["id"], [])
        if not own:
            yield Mistake(
                (*path, "id"),
                "no service belongs to this area; add one under [[services]] or remove the area",
            )
        elif not any(name in regular for _, name in own):
            yield Mistake((*path, "id"), _unserved("area", any(name in tidal for _, name in own)))
        else:
            for at, name in own:
                if name not in regular:
                    yield Mistake((*at, "id"), _unserved("service", name in tidal))


def _unserved(noun: str, tidal_only: bool) -> str:
    if tidal_only:
        return (
            f"only tidal windows serve this {noun}, and at rest they serve nobody; "
            "add it to the skills of a window without tidal = true"
        )
    return f"no window serves this {noun}; add its services to the skills of a window"


def _tidal_windows(raw: Raw) -> Iterator[Mistake]:
    for path, window in tables(raw, "windows"):
        if window.get("tidal") is not True:
            continue
        if "lamp" not in window and "panel" not in window:
            yield Mistake(
                (*path, "tidal"),
                "a tidal window needs a lamp (so that visitors see it open) or a panel (so that its clerk can "
                "answer); it has neither",
            )


def _case_windows(raw: Raw) -> Iterator[Mistake]:
    """Cases (办不成事) take no part in the tide: they need an area of their own with windows of their own, none of them
    tidal.
    """
    case: dict[str, bool] = {}
    area_of: dict[str, set[str]] = {}
    for _, service in tables(raw, "services"):
        if isinstance(service.get("id"), str):
            case[service["id"]] = service.get("case") is True
            area_of.setdefault(str(service.get("area")), set()).add(service["id"])
    for path, service in tables(raw, "services"):
        others = sorted(s for s in area_of.get(str(service.get("area")), ()) if not case[s])
        if service.get("case") is True and others:
            yield Mistake(
                (*path, "case"),
                f'area "{service.get("area")}" also has "{others[0]}"; cases need an area of their own, '
                "or they would open tidal windows",
            )
    for path, window in tables(raw, "windows"):
        skills = [word for _, word in words(window, "skills") if word in case]
        if not any(case[word] for word in skills):
            continue
        if window.get("tidal") is True:
            yield Mistake((*path, "tidal"), "a window for cases is never tidal; remove tidal = true")
        if not all(case[word] for word in skills):
            yield Mistake(
                (*path, "skills"), "a window for cases serves nothing else; move the other skills away"
            )


def _certificates(raw: Raw) -> Iterator[Mistake]:
    mqtt = raw.get("mqtt")
    tls = mqtt.get("tls") if isinstance(mqtt, dict) else None
    if isinstance(tls, dict) and ("cert_file" in tls) != ("key_file" in tls):
        missing = "key_file" if "cert_file" in tls else "cert_file"
        yield Mistake(("mqtt", "tls"), f"cert_file and key_file come together; {missing} is missing")
    commands = mqtt.get("commands") if isinstance(mqtt, dict) else None
    for path, client in ((("mqtt", "commands"), commands), (("pages",), raw.get("pages"))):
        if isinstance(client, dict) and ("cert_file" in client) != ("key_file" in client):
            missing = "key_file" if "cert_file" in client else "cert_file"
            yield Mistake(path, f"cert_file and key_file come together; {missing} is missing")
        if isinstance(client, dict) and "password_file" in client and "username" not in client:
            yield Mistake((*path, "password_file"), "a password needs a username; add username")
    if isinstance(mqtt, dict) and "password_file" in mqtt and "username" not in mqtt:
        yield Mistake(("mqtt", "password_file"), "a password needs a username; add username under [mqtt]")


def _web_port(raw: Raw) -> Iterator[Mistake]:
    """The web ports must differ from each other and from a broker's port on this machine."""
    mqtt, web, pages = raw.get("mqtt", {}), raw.get("web", {}), raw.get("pages", {})
    if not isinstance(mqtt, dict) or not isinstance(web, dict) or not isinstance(pages, dict):
        return
    local = mqtt.get("host", "127.0.0.1") in LOCAL
    if pages.get("port") and pages["port"] == web.get("port", WEB_PORT):
        yield Mistake(
            ("pages", "port"), f"{pages['port']} is the daemon's port ([web] port); give the pages another"
        )
    if pages.get("port") and local and pages["port"] == mqtt.get("port", MQTT_PORT):
        yield Mistake(
            ("pages", "port"), f"{pages['port']} is the broker's port ([mqtt] port); give the pages another"
        )
    if local and web.get("port") == mqtt.get("port", MQTT_PORT):
        yield Mistake(
            ("web", "port"), f"{web['port']} is the broker's port ([mqtt] port); give the daemon another"
        )


def path_text(path: Path, raw: Raw) -> str:
    """Format a path for reading: ``windows.w4.skills[1]``; a table is named by its id if it has one."""
    text = ""
    node: Any = raw
    for depth, part in enumerate(path):
        child: Any = None
        if isinstance(node, dict):
            child = node.get(part) if isinstance(part, str) else None
        elif isinstance(node, list) and isinstance(part, int) and part < len(node):
            child = node[part]
        if isinstance(part, str):
            text += f".{part}" if text else part
        elif (
            depth == 1
            and isinstance(child, dict)
            and isinstance(child.get("id"), str)
            and len(child["id"]) <= 32
        ):
            text += f".{child['id']}"
        else:
            text += f"[{part}]"
        node = child
    return text
