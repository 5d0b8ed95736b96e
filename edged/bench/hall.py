"""The hall of a bench: one measured window per kind of line, and a busy area for background visitors.

Every area has a display and a "+1" window, so that each step does the same work as in a real hall: wait estimate,
choice of "+1" windows, displays, state messages for the city. There is no loudspeaker, because announcements are not
measured.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from edged.bench.children import Daemon, as_table
from edged.bench.plug import Address
from edged.sim.broker import free_port

DESK, BUSY = "desk", "busy"  # areas, and their services
BUSY_PANELS = 4  # windows of the busy area
LINE_PANELS = 8  # panels of the Candle bus: a panel takes ten presses a second
LINE_PAUSE_MS = 20  # between frames on the bus: the least that a site may configure
LINE_ADDRESS = 0x21
PAUSE_REASON = "rest"


@dataclass(frozen=True, slots=True)
class BenchWires:
    """The connections of the hall's devices outside MQTT; None: the hall has no such device. ``tcp_port``: port of a
    Modbus TCP module; ``rtu``: URL of a Modbus RTU line with ``rtu_units`` modules; ``line``: path of a Candle bus.
    """

    tcp_port: int | None = None
    rtu: str | None = None
    rtu_units: int = 1
    line: str | None = None


NO_WIRES = BenchWires()


class BenchHall:
    """A hall of the bench: writes its hall.toml into ``directory``; ``daemon`` runs with it."""

    def __init__(self, directory: Path, broker: Address, hall: str, wires: BenchWires = NO_WIRES) -> None:
        self.directory = directory
        self.broker = broker
        self.hall = hall
        self.wires = wires
        self.web_port = free_port()
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "hall.toml").write_text(self._toml(self.web_port), encoding="utf-8")
        self.daemon = Daemon(directory, self.web_port)

    def up(self, device: str, kind: str) -> str:
        """The topic on which a device publishes messages of ``kind``."""
        return f"hall/{self.hall}/dev/{device}/up/{kind}"

    def relay_windows(self) -> list[str]:
        """The windows whose lamps are on the RTU line, in order of the modules' addresses; empty without such a
        line.
        """
        return [f"r{unit}" for unit in range(1, self.wires.rtu_units + 1)] if self.wires.rtu else []

    def _toml(self, web_port: int) -> str:
        broker = self.broker
        mqtt = {"host": broker.host, "port": broker.port, "protocol": broker.protocol}
        if broker.username is not None:
            mqtt["username"] = broker.username
        if broker.password is not None:
            secret = self.directory / "password"
            secret.touch(mode=0o600)
            secret.write_text(broker.password, encoding="utf-8")
            mqtt["password_file"] = str(secret)
        tls = {"ca_file": broker.tls_ca, "cert_file": broker.tls_cert, "key_file": broker.tls_key}
        tables: list[tuple[str, dict[str, object]]] = [
            ("[hall]", {"id": self.hall, "name": "Bench"}),
            ("[mqtt]", {**mqtt}),
            ("[store]", {"path": "hall.db"}),
            ("[web]", {"port": web_port}),
        ]
        if broker.tls_ca is not None:
            tables.append(("[mqtt.tls]", {key: value for key, value in tls.items() if value is not None}))
        for area, prefix in ((DESK, "D"), (BUSY, "B")):
            names = {"name": area, "name_en": area}
            tables.append(("[[areas]]", {"id": area, **names, "displays": [f"screen-{area}"]}))
            tables.append(("[[services]]", {"id": area, "area": area, **names, "prefix": prefix}))
        tables += self._windows()
        for device, kind in self._json_devices():
            tables.append(("[[devices]]", {"id": device, "driver": "mqtt_json", "kind": kind}))
        tables += self._wired_devices()
        return "\n\n".join(f"{head}\n{as_table(values)}" for head, values in tables) + "\n"

    def _windows(self) -> list[tuple[str, dict[str, object]]]:
        desks: list[tuple[str, str, str | None]] = [("m1", "panel-m1", "lamp-m1")]
        desks += [("t1", "panel-t1", "relay-t1/0")] if self.wires.tcp_port else []
        desks += [(name, f"panel-{name}", f"relay-{name}/0") for name in self.relay_windows()]
        desks += [(name, f"line/{name}", None) for name in self._line_panels()]
        found: list[tuple[str, dict[str, object]]] = []
        for name, panel, lamp in desks:
            table: dict[str, object] = {"id": name, "number": name.upper(), "skills": [DESK], "panel": panel}
            found.append(("[[windows]]", table | ({"lamp": lamp} if lamp else {})))
        for n in range(1, BUSY_PANELS + 1):
            regular: dict[str, object] = {"id": f"b{n}", "number": f"B{n}", "skills": [BUSY]}
            found.append(("[[windows]]", regular | {"panel": f"panel-b{n}"}))
        for n, area in enumerate((DESK, BUSY), 1):
            tidal: dict[str, object] = {"id": f"x{n}", "number": f"X{n}", "skills": [area], "tidal": True}
            found.append(("[[windows]]", tidal | {"panel": f"panel-x{n}", "lamp": f"lamp-x{n}"}))
            staff: dict[str, object] = {"id": f"staff-{n}", "name": f"Staff {n}", "skills": [area]}
            found.append(("[[staff]]", staff | {"pager": f"pager-{n}"}))
        return found

    def _line_panels(self) -> list[str]:
        return [f"s{n}" for n in range(1, LINE_PANELS + 1)] if self.wires.line else []

    def _json_devices(self) -> list[tuple[str, str]]:
        panels = ["m1", *(["t1"] if self.wires.tcp_port else []), *self.relay_windows(), "x1", "x2"]
        panels += [f"b{n}" for n in range(1, BUSY_PANELS + 1)]
        return [
            ("dispenser-1", "dispenser"),
            ("dispenser-2", "dispenser"),
            *((f"panel-{name}", "panel") for name in panels),
            *((f"lamp-{name}", "lamp") for name in ("m1", "x1", "x2")),
            *((f"screen-{area}", "display") for area in (DESK, BUSY)),
            ("pager-1", "pager"),
            ("pager-2", "pager"),
        ]

    def _wired_devices(self) -> list[tuple[str, dict[str, object]]]:
        wires = self.wires
        found: list[tuple[str, dict[str, object]]] = []
        if wires.tcp_port is not None:
            found.append(("[[devices]]", _relay("relay-t1", f"tcp://127.0.0.1:{wires.tcp_port}", 1)))
        for unit, name in enumerate(self.relay_windows(), 1):
            assert wires.rtu is not None
            found.append(("[[devices]]", _relay(f"relay-{name}", wires.rtu, unit)))
        if wires.line is not None:
            line: dict[str, object] = {"id": "line", "driver": "candle485", "path": wires.line, "echo": False}
            found.append(("[[devices]]", line | {"bus_pause_ms": LINE_PAUSE_MS}))
            panels = {name: LINE_ADDRESS + n for n, name in enumerate(self._line_panels())}
            lines = "\n".join(f"{name} = {{ address = {address} }}" for name, address in panels.items())
            found.append((f"[devices.panels]\n{lines}", {}))
        return found


def _relay(device: str, url: str, unit: int) -> dict[str, object]:
    profile = {"profile": "plain", "unit": unit, "channels": 8}
    return {"id": device, "driver": "modbus_relay", "url": url, **profile}


def key(seq: int, name: str, arg: str | None = None) -> bytes:
    """Make the message of a panel on which the key ``name`` was pressed. ``seq``: number of the message; ``arg``: the
    key's argument.
    """
    return json.dumps({"seq": seq, "key": name} | ({} if arg is None else {"arg": arg})).encode()


def ticket(seq: int, number: str, service: str) -> bytes:
    """Make the message of a dispenser that printed the ticket ``number``. ``seq``: number of the message."""
    return json.dumps({"seq": seq, "number": number, "service": service}).encode()


class BenchPanel:
    """A window's panel whose keys switch the window's lamp, so that the lamp shows the effect of a press."""

    def __init__(self, hall: str, window: str, lamp: str) -> None:
        self.topic = f"hall/{hall}/dev/panel-{window}/up/key"
        self._lamp = lamp
        self._seq = 0
        self.paused = False

    def login(self) -> bytes:
        """Make the message of the key "login", which opens the window."""
        self._seq += 1
        return key(self._seq, "login")

    def toggle(self) -> tuple[bytes, str]:
        """Make the message of the next key ("pause" or "unpause"), and name the output that it must cause: ``lamp-…
        off`` or ``lamp-… on``.
        """
        self.paused = not self.paused
        self._seq += 1
        if self.paused:
            return key(self._seq, "pause", PAUSE_REASON), f"{self._lamp} off"
        return key(self._seq, "unpause"), f"{self._lamp} on"

    def again(self) -> bytes:
        """Make a new message of the last key, in case the daemon did not receive it."""
        self._seq += 1
        return key(self._seq, "pause", PAUSE_REASON) if self.paused else key(self._seq, "unpause")
