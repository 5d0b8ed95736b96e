"""Whatever makes `run` fail, or leaves a part of the hall dark, `check` or `doctor` says, for the right reason."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import get_args, get_type_hints

import pytest
from msgspec import Meta, Struct

from devices import REGISTRY
from edged.cli.doctor_checks import check_broker, check_parts
from edged.config import load, options_of, wording
from edged.config.nearest import nearest
from edged.config.shape import REPEATED, SINGLE
from edged.shapes import faults
from tests.support.authorities import Authority
from tests.support.brokers import Mosquitto, real_mosquitto, until
from tests.support.daemons import Daemon, Hall, Machines, edged
from tests.support.halls import GOOD

ONBON = '\n[[devices]]\nid = "bar"\ndriver = "onbon_bx"\nhost = "10.0.0.2"\n{}\n'
SCREEN = '\n[[devices]]\nid = "screen"\ndriver = "mqtt_json"\nkind = "{}"\n'
AREA = 'name = "税务"'


def checked(folder: Path, text: str) -> tuple[int, str]:
    file = folder / "hall.toml"
    file.write_text(text)
    done = edged("check", str(file))
    return done.returncode, done.stdout + done.stderr


# Hosts as they are copied from other programs' settings: URLs of MQTT clients, host and port in one.
HOSTS = {
    "mqtt://127.0.0.1": 'write host = "127.0.0.1"',
    "127.0.0.1:1883": 'write host = "127.0.0.1" and port = 1883',
    "tcp://broker.local:1884/": 'write host = "broker.local" and port = 1884',
    "mqtts://u:p@broker.local": 'write host = "broker.local"',
    "[::1]:1883": 'write host = "::1" and port = 1883',
    "broker.local ": "has a space",
}


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("table", ["mqtt", "web"])
def test_check_refuses_a_host_that_is_not_a_host_name_or_address(
    tmp_path: Path, host: str, table: str
) -> None:
    code, output = checked(tmp_path, f'{GOOD}\n[{table}]\nhost = "{host}"\n')
    assert code == 2
    assert re.search(rf"hall.toml:\d+: {table}.host: .*{re.escape(HOSTS[host])}", output), output
    code, output = checked(tmp_path, GOOD + ONBON.replace("10.0.0.2", host).format(""))
    assert code == 2
    assert HOSTS[host] in output


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "broker", "broker.hall.local", "fe80::1%eth0"])
def test_check_accepts_a_valid_host(tmp_path: Path, host: str) -> None:
    assert checked(tmp_path, f'{GOOD}\n[mqtt]\nhost = "{host}"\n')[0] == 0


ZONES = [
    "Asia/Beijing",
    "Beijing",
    "CST",
    "UTC+8",
    "GMT+8",
    "UTC+08:00",
    "+08:00",
    "China Standard Time",
    "北京时间",
]


@pytest.mark.parametrize("zone", ZONES)
def test_check_suggests_asia_shanghai_for_other_names_of_chinese_time(tmp_path: Path, zone: str) -> None:
    code, output = checked(tmp_path, GOOD.replace('id = "east"', f'id = "east"\ntimezone = "{zone}"'))
    assert code == 2
    assert 'write "Asia/Shanghai"' in output
    assert "did you mean" not in output


def test_a_suggested_spelling_is_never_the_word_that_was_written() -> None:
    assert nearest("lamp", ["lamp", "lamps"]) == "lamps"
    assert nearest("lamp", ["lamp"]) is None


DARK = {
    "a coil as panel": (('panel = "panel"', 'panel = "relay/3"'), '"relay/3" cannot be a panel: it is lamp'),
    "a pager as lamp": (('lamp = "relay/0"', 'lamp = "screen"'), '"screen" cannot be a lamp'),
    "a coil as voice": (('voice = "voice"', 'voice = "relay/2"'), '"relay/2" cannot be a voice'),
    "a lamp as pager": (('pager = "pager-duty"', 'pager = "relay/4"'), '"relay/4" cannot be a pager'),
    "a bar without its module as voice": (('voice = "voice"', 'voice = "bar"'), '"bar" cannot be a voice'),
}


@pytest.mark.parametrize("case", DARK)
def test_check_refuses_a_device_point_in_a_role_it_cannot_play(tmp_path: Path, case: str) -> None:
    (before, after), expected = DARK[case]
    assert before in GOOD
    text = GOOD.replace(before, after) + SCREEN.format("pager") + ONBON.format("")
    code, output = checked(tmp_path, text)
    assert code == 2
    assert expected in output
    assert f"{tmp_path}/hall.toml: a part of this hall would stay dark" in output


def test_check_reports_a_missing_dispenser_and_remarks_on_unused_devices(tmp_path: Path) -> None:
    kinds = {"panel": "panel", "voice": "voice", "pager": "pager", "pager-duty": "pager"}
    text = GOOD
    for device, kind in kinds.items():
        text = text.replace(
            f'id = "{device}"\ndriver = "mqtt_json"',
            f'id = "{device}"\ndriver = "mqtt_json"\nkind = "{kind}"',
        )
    code, output = checked(tmp_path, text)
    assert code == 2
    assert "no device gives numbers to visitors" in output
    code, output = checked(tmp_path, text + SCREEN.format("dispenser"))
    assert (code, "remark" in output) == (0, False), output
    code, output = checked(
        tmp_path, text + SCREEN.format("dispenser") + SCREEN.format("display").replace("screen", "wall")
    )
    assert code == 0
    assert 'nothing in this file uses "wall" (a remark)' in output
    assert check_parts(load(tmp_path / "hall.toml")).state == "well"


# Characters of place names that fonts of LED cards lack: extension A, extension B, and what only GBK has.
NAMES = {
    "㙦塘税务": ("gbk", "㙦"),
    "𡐓埠大厅": ("gbk", "𡐓"),
    "镕基税务": ("gb2312", "镕"),
    "税务😀": ("gbk", "😀"),
}


@pytest.mark.parametrize("name", NAMES)
def test_check_names_the_character_of_a_name_that_a_bar_cannot_show(tmp_path: Path, name: str) -> None:
    font, char = NAMES[name]
    shown = GOOD.replace(AREA, f'name = "{name}"\ndisplays = ["bar"]')
    code, output = checked(tmp_path, shown + ONBON.format(f'font = "{font}"'))
    assert code == 0
    assert re.search(rf'hall.toml:\d+: areas.tax.name: "bar" cannot show "{char}"', output), output
    code, output = checked(tmp_path, GOOD.replace(AREA, f'{AREA}\ndisplays = ["bar"]') + ONBON.format(""))
    assert "cannot show" not in output


def test_policy_check_names_a_character_that_a_bar_cannot_show(tmp_path: Path) -> None:
    text = GOOD.replace('voice = "voice"', 'displays = ["bar"]\nvoice = "voice"', 1)
    file, policy = tmp_path / "hall.toml", tmp_path / "policy.json"
    policy.write_text(
        '{"type":"policy","halls":["east"],"version":2,"body":{"signage":{"templates":{"paused":"㙦停"}}}}'
    )
    for font, lacking in (("gb2312", True), ("gbk", True), ("", False)):
        more = f'font = "{font}"' if font else ""
        file.write_text(text + ONBON.format(more) if font else GOOD)
        done = edged("policy", "check", str(policy), "--config", str(file))
        assert done.returncode == 0, done.stdout + done.stderr
        assert ("将显示为“?”的字：㙦" in done.stdout) is lacking, done.stdout


REFUSED = {
    "COM3": (ONBON.replace('host = "10.0.0.2"', 'path = "COM3"').format(""), '"COM3" is a name of Windows'),
    "rtu COM12": (
        GOOD[:0] + '\n[[devices]]\nid = "r2"\ndriver = "modbus_relay"\nurl = "rtu://COM12"\n',
        '"COM12" is a name',
    ),
    "one port for both": ("\n[mqtt]\nport = 9464\n\n[web]\nport = 9464\n", "9464 is the broker's port"),
    "the broker's port for the pages": ("\n[web]\nport = 1883\n", "1883 is the broker's port"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_check_refuses_settings_that_cannot_work(tmp_path: Path, case: str) -> None:
    added, expected = REFUSED[case]
    code, output = checked(tmp_path, GOOD + added)
    assert code == 2
    assert expected in output


def test_check_remarks_on_the_tls_port_without_tls_and_the_other_way_round(tmp_path: Path) -> None:
    assert "8883 is the port for TLS" in checked(tmp_path, GOOD + "\n[mqtt]\nport = 8883\n")[1]
    tls = '\n[mqtt]\ntls = { ca_file = "ca.pem" }\n'
    assert "1883 is the port without TLS" in checked(tmp_path, GOOD + tls)[1]


def test_check_refuses_a_window_number_of_other_than_digits_and_capitals(tmp_path: Path) -> None:
    code, output = checked(tmp_path, GOOD.replace('number = "1"', 'number = "综3"'))
    assert code == 2
    assert '"综3" is not a window number: up to four digits or capital letters' in output
    assert 'write "3"' in checked(tmp_path, GOOD.replace('number = "1"', 'number = "３"'))[1]


async def test_the_daemon_logs_a_grave_remark_of_check_and_serves(
    hall: tuple[Hall, Daemon, Machines],
) -> None:
    files, daemon, machines = hall
    files.edit('lamp = "relay/0"', 'lamp = "voice"')
    await daemon.start()
    remarks = daemon.logged("configuration-remark")
    assert any('"voice" cannot be a lamp' in line["remark"] and line["grave"] for line in remarks)
    machines.dispenser.ticket("A001", "tax-general")
    await until(lambda: len(files.tickets()) == 1)
    assert await daemon.stop() == 0


def doctor_on_broker(folder: Path, broker: Mosquitto, settings: str) -> str:
    """Return what the doctor prints about the broker with these settings."""
    file = folder / "hall.toml"
    file.write_text(f"{GOOD}\n[mqtt]\nport = {broker.port}\n{settings}\n")
    found = check_broker(load(file))
    assert found.state == "ill"
    return found.english


async def test_the_doctor_command_names_what_is_wrong_with_the_broker(
    tmp_path: Path, broker: Mosquitto
) -> None:
    async def answer_with(settings: str, at: Mosquitto = broker) -> str:
        return await asyncio.to_thread(doctor_on_broker, tmp_path, at, settings)

    assert "ca.pem cannot be read: No such file" in await answer_with('tls = { ca_file = "ca.pem" }')
    (tmp_path / "ca.pem").write_text("not a certificate")
    assert "ca.pem is no good PEM file" in await answer_with('tls = { ca_file = "ca.pem" }')
    authority = Authority(tmp_path)
    ca = f'ca_file = "{authority.file}"'
    assert "is that its port without TLS?" in await answer_with(f"tls = {{ {ca} }}")
    missing = f'tls = {{ {ca}, cert_file = "c.pem", key_file = "k.pem" }}'
    assert "c.pem cannot be read" in await answer_with(missing)
    async with real_mosquitto("retain_available false") as forgetful:
        assert "keeps no retained messages" in await answer_with("", forgetful)
    cert, key = authority.issue("broker")
    lines = (f"cafile {authority.file}", f"certfile {cert}", f"keyfile {key}")
    async with real_mosquitto(*lines) as secure:
        output = await answer_with("", secure)
        assert "TLS" in output, output


def test_messages_about_wrong_values_show_no_regular_expression_or_python_tuple() -> None:
    """Every form of every table and option is said in words; so is every wrong value."""
    models: list[type[Struct]] = [*SINGLE.values(), *(model for model, _ in REPEATED.values())]
    models += [options_of(driver) for driver in REGISTRY]
    seen = 0
    for model in models:
        for name, hint in get_type_hints(model, include_extras=True).items():
            if not any(isinstance(meta, Meta) and meta.pattern for meta in _metas(hint)):
                continue
            wrong = ("!" * 70,) if "tuple" in str(hint) else "!" * 70
            for fault in faults(model, {name: wrong}):
                if fault.path[0] == name:
                    seen += 1
                    sentence = wording.sentence(fault)
                    assert not re.search(r"\^|\(\?|\\|\[A-Z|\[0-9|\{\d", sentence), sentence
                    assert "of the form that" not in sentence, (model, name)
    assert seen > 15
    assert wording.show(("a", 1)) == '["a", 1]'
    assert wording.show({"a": ["b"]}) == '{ a = ["b"] }'


def _metas(hint: object) -> list[object]:
    found = list(getattr(hint, "__metadata__", ()))
    for arg in get_args(hint):
        found += _metas(arg)
    return found
