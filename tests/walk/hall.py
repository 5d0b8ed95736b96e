"""The hall of the walk and the hands that touch it: raw JSON, raw bytes on a pty, a Modbus slave of others."""

from __future__ import annotations

import asyncio
import json
import math
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import aiomqtt
from pymodbus.client import AsyncModbusTcpClient

from edged.central.envelope import public_entry
from edged.clock import Warp, wall_ms
from edged.sim.broker import free_port
from tests.support.brokers import Mosquitto, real_mosquitto
from tests.support.centres import Centre, Operator, centre_at, operator_at
from tests.support.daemons import Daemon, Hall
from tests.support.modbus_peers import RawLine, pymodbus_tcp, sim_device
from tests.support.policies import KEY, envelope

SPEED = 20.0  # hall seconds in a real one: a minute of the policy takes three
OPENS = datetime(2026, 11, 23, 10, 0, tzinfo=ZoneInfo("Asia/Shanghai"))  # a Monday
ANSWER_S = 30.0  # real seconds for anything that must happen, on a busy machine

AREAS = (
    ("tax", "税务综合", "Taxes", "A", "tax-general"),
    ("biz", "企业开办", "Business", "B", "biz-open"),
    ("estate", "不动产登记", "Real estate", "C", "estate-general"),
    ("fund", "公积金", "Housing fund", "D", "fund-general"),
    ("social", "社保", "Social insurance", "E", "social-general"),
    ("unsolved", "办不成事反映", "Unresolved", "U", "unsolved-report"),
)
WINDOWS = (
    # id, number, skills, panel, more
    ("w1", "1", ("tax-general",), "panel-w1", 'evaluator = "stars-w1"\nconfirms_arrival = true\n'),
    ("w2", "2", ("biz-open", "tax-general"), "bus/w2", "confirms_arrival = true\n"),
    ("w3", "3", ("estate-general",), "panel-w3", "confirms_arrival = true\n"),
    ("w4", "4", ("fund-general",), "panel-w4", "confirms_arrival = true\n"),
    ("w5", "5", ("social-general",), "panel-w5", "confirms_arrival = true\n"),
    ("w8", "8", ("unsolved-report",), "panel-w8", 'evaluator = "stars-w8"\n'),
    (
        "w11",
        "11",
        ("tax-general", "social-general"),
        "panel-w11",
        'tidal = true\nlamp = "relay/0"\ndisplay = "board-w11"\n',
    ),
    ("w12", "12", ("tax-general", "fund-general"), "panel-w12", 'tidal = true\nlamp = "lamp-w12"\n'),
)
STAFF = (
    ("liu", "刘洋", ("tax", "fund"), '["standby"]'),
    ("chen", "陈敏", ("tax", "social", "fund"), '["standby"]'),
    ("sun", "孙莉", ("tax", "social", "fund"), '["commissioner"]'),
)
JSON_DEVICES = {
    "dispenser": "dispenser",
    **{f"panel-w{n}": "panel" for n in (1, 3, 4, 5, 8, 11, 12)},
    "panel-duty": "panel",
    "stars-w1": "evaluator",
    "stars-w8": "evaluator",
    "lamp-w12": "lamp",
    "board-w11": "display",
    "screen-hall": "display",
    "screen-tax": "display",
    "screen-duty": "display",
    "voice": "voice",
    "pager-duty": "pager",
    **{f"pager-{name}": "pager" for name in ("liu", "chen", "sun")},
    "counter": "counter",
}


def hall_toml(broker_port: int, web_port: int, relay_url: str, bus: str) -> str:
    """The whole file, as a technician would write it."""
    parts = [
        '[hall]\nid = "walk"\nname = "漫步大厅"\ndisplays = ["screen-hall"]\n',
        f'[mqtt]\nport = {broker_port}\nprotocol = "5"\nusername = "edged"\nkeepalive_s = 3\n',
        '[store]\npath = "hall.db"\n',
        f"[web]\nport = {web_port}\n",
        '[policy]\nkeys = "city.pub.json"\n',
        '[duty]\npager = "pager-duty"\npanel = "panel-duty"\ndisplays = ["screen-duty"]\n',
    ]
    for area, name, english, prefix, service in AREAS:
        more = 'displays = ["screen-tax"]\nlamps = ["relay/2"]\n' if area == "tax" else ""
        voice = "" if area == "unsolved" else 'voice = "voice"\n'
        parts.append(f'[[areas]]\nid = "{area}"\nname = "{name}"\nname_en = "{english}"\n{voice}{more}')
        case = "case = true\n" if area == "unsolved" else ""
        parts.append(
            f'[[services]]\nid = "{service}"\narea = "{area}"\nname = "{name}"\nname_en = "{english}"\n'
            f'prefix = "{prefix}"\nmean_s = 300\n{case}'
        )
    for window, number, skills, panel, more in WINDOWS:
        listed = json.dumps(list(skills))
        parts.append(
            f'[[windows]]\nid = "{window}"\nnumber = "{number}"\nskills = {listed}\npanel = "{panel}"\n{more}'
        )
    for staff, name, areas, roles in STAFF:
        parts.append(
            f'[[staff]]\nid = "{staff}"\nname = "{name}"\nskills = {json.dumps(list(areas))}\npager = "pager-{staff}"\n'
            f"roles = {roles}\n"
        )
    parts += [
        f'[[devices]]\nid = "{device}"\ndriver = "mqtt_json"\nkind = "{kind}"\n'
        for device, kind in JSON_DEVICES.items()
    ]
    parts.append(
        f'[[devices]]\nid = "relay"\ndriver = "modbus_relay"\nurl = "{relay_url}"\nprofile = "plain"\n'
    )
    parts.append(
        f'[[devices]]\nid = "bus"\ndriver = "candle485"\npath = "{bus}"\n[devices.panels]\nw2 = {{ address = 0x22 }}\n'
    )
    return "\n".join(parts)


class Walk:
    """What a stranger can do in the hall, and what they can see."""

    def __init__(self, files: Hall, daemon: Daemon, broker: Mosquitto) -> None:
        self.files, self.daemon, self.broker = files, daemon, broker
        self.client: aiomqtt.Client
        self.centre: Centre
        self.operator: Operator
        self.relay_port = 0
        self.line: RawLine
        self.shown: dict[str, dict[str, Any]] = {}  # by "device/kind"
        self.texts: dict[str, list[str]] = defaultdict(list)  # every text that stood at "device/kind"
        self.actions: list[tuple[str, str, dict[str, Any]]] = []  # device, kind, fields
        self.retained: dict[str, Any] = {}
        self.tide_window = ""  # which "+1" window the tide asked for
        self._seq: dict[str, int] = defaultdict(int)
        self._version = 1

    # -- hands --

    async def send(self, device: str, kind: str, **fields: Any) -> None:
        """One raw message of a device."""
        self._seq[device] += 1
        body = {"seq": self._seq[device], **fields}
        await self.client.publish(f"hall/walk/dev/{device}/up/{kind}", json.dumps(body), qos=1)

    async def press(self, window: str, key: str, arg: str | None = None) -> None:
        """Press a key on the JSON panel of a window, on ``panel-duty`` or on a pager (``pager-…``)."""
        device = f"panel-{window}" if window.startswith("w") else window
        await self.send(device, "key", key=key, **({} if arg is None else {"arg": arg}))

    def press_bus(self, code: int) -> None:
        """A key of the RS-485 panel at window 2, as its bytes."""
        self.line.send(bytes((0x01, 0x22, code, 0x07)))

    async def take(self, service: str, **fields: Any) -> dict[str, Any]:
        """A visitor asks for a number and gets paper; the printed fields."""
        actions_before = len(self.actions)
        await self.send("dispenser", "request", service=service, **fields)
        paper: dict[str, Any] = await self.until(
            lambda: self.printed(actions_before), f"a number for {service}"
        )
        return paper

    def printed(self, since: int) -> dict[str, Any] | None:
        """Return the fields of the first paper printed after mark ``since``; None if there is none."""
        return next((f for d, kind, f in self.actions[since:] if d == "dispenser" and kind == "print"), None)

    async def queue(self, service: str, count: int) -> list[str]:
        """Let ``count`` visitors take numbers for a service."""
        return [(await self.take(service))["number"] for _ in range(count)]

    async def order(self, operation: str, **body: Any) -> dict[str, Any]:
        """An order of the centre, good for the hall's own day."""
        dates = {"not_before": OPENS.isoformat(), "expires": (OPENS + timedelta(hours=20)).isoformat()}
        return await self.operator.order(operation, body, **dates)

    # -- eyes --

    def panel(self, window: str) -> dict[str, Any]:
        """What the JSON panel of a window shows."""
        return self.shown.get(f"panel-{window}/panel", {})

    def lines(self, device: str) -> str:
        """What a display shows, as one text."""
        return "\n".join(self.shown.get(f"{device}/display", {}).get("lines", []))

    def since(self, mark: int, device: str, kind: str) -> list[dict[str, Any]]:
        """Actions of one kind that a device got since then."""
        return [fields for d, k, fields in self.actions[mark:] if (d, k) == (device, kind)]

    async def coil(self, number: int) -> bool:
        """Read a lamp's coil from the Modbus module itself."""
        client = AsyncModbusTcpClient("127.0.0.1", port=self.relay_port)
        await client.connect()
        try:
            answer = await client.read_coils(number, count=1, device_id=1)
            return bool(answer.bits[0])
        finally:
            client.close()

    def events(self, kind: str) -> list[dict[str, Any]]:
        """What the centre heard of one type."""
        return [one for one in self.centre.events.values() if one["type"] == f"edged.{kind}"]

    async def until(self, found: Callable[[], Any], what: str, within_s: float = ANSWER_S) -> Any:
        """Wait until ``found`` gives something; say what was waited for."""
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + within_s
        while not (value := found()):
            if loop.time() > deadline_s:
                raise AssertionError(f"waited {within_s:.0f} s for: {what}")
            await asyncio.sleep(0.02)
        return value

    async def lit(self, number: int, wanted: bool, what: str) -> None:
        """Wait until a lamp of the Modbus module is on (``wanted``) or off."""
        async with asyncio.timeout(ANSWER_S):
            while await self.coil(number) is not wanted:
                await asyncio.sleep(0.05)
        assert what

    async def policy(self, **body: Any) -> None:
        """Push a signed policy from the city and wait until the hall reports it in force."""
        self._version += 1
        document = {
            "type": "policy",
            "halls": ["walk"],
            "version": self._version,
            "not_before": "2026-01-01T00:00:00+08:00",
            "expires": "2030-01-01T00:00:00+08:00",
            "body": body,
        }
        await self.client.publish("hall/walk/policy/push", envelope(document), qos=1, retain=True)
        report = "hall/walk/policy/report"
        await self.until(
            lambda: self.retained.get(report, {}).get("applied", {}).get("version") == self._version,
            f"the policy in force: {self.retained.get(report)}",
        )

    # -- life --

    async def listen(self) -> None:
        """Collect everything that the hall publishes, and answer actions as devices do."""
        async for message in self.client.messages:
            topic, payload = str(message.topic), message.payload
            assert isinstance(payload, bytes)
            if not payload:
                continue
            fields = json.loads(payload)
            parts = topic.split("/")
            if parts[2] != "dev":
                self.retained[topic] = fields
                continue
            device, kind = parts[3], parts[5]
            if "id" not in fields:
                self.shown[f"{device}/{kind}"] = fields
                self.texts[f"{device}/{kind}"].append(json.dumps(fields, ensure_ascii=False))
                continue
            self.actions.append((device, kind, fields))
            body = json.dumps({"id": fields["id"], "ok": True})
            await self.client.publish(f"hall/walk/dev/{device}/up/done", body, qos=1)

    async def announce(self) -> None:
        """Every JSON device says that it is there."""
        for device in JSON_DEVICES:
            await self.client.publish(
                f"hall/walk/dev/{device}/up/status", json.dumps({"state": "online"}), qos=1, retain=True
            )


@asynccontextmanager
async def walk_in(directory: Path) -> AsyncIterator[Walk]:
    """The hall, open, with its devices and its centre."""
    line = RawLine()
    async with real_mosquitto() as broker, pymodbus_tcp(sim_device(1)) as url:
        files = Hall(directory, broker.port, "5", url)
        files.web_port = free_port()
        files.file.write_text(hall_toml(broker.port, files.web_port, url, line.path))
        entry = public_entry(KEY.public_key(), "city")
        (directory / "city.pub.json").write_text(json.dumps({"keys": [entry]}))
        daemon = Daemon(files, watchdog_s=10.0)
        warp = Warp(SPEED, wall_ms(), int(OPENS.timestamp() * 1000))
        daemon.arguments = ("--warp", str(warp))
        walk = Walk(files, daemon, broker)
        walk.relay_port, walk.line = int(url.rpartition(":")[2]), line
        async with (
            aiomqtt.Client("127.0.0.1", broker.port, identifier="stranger", timeout=math.inf) as client,
            centre_at(broker, "walk") as walk.centre,
            operator_at(broker, "walk") as walk.operator,
        ):
            walk.client = client
            await client.subscribe("hall/walk/dev/+/down/+", qos=1)
            await client.subscribe("hall/walk/state/#", qos=1)
            await client.subscribe("hall/walk/policy/report", qos=1)
            listening = asyncio.get_running_loop().create_task(walk.listen())
            try:
                await walk.announce()
                await daemon.start()
                yield walk
            finally:
                listening.cancel()
                with suppress(asyncio.CancelledError, aiomqtt.MqttError):
                    await listening
                await daemon.kill()
                daemon.close()
