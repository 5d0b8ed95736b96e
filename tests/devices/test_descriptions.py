"""Every description of a device, shipped or of a site: its own examples come true, byte for byte."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

from devices import REGISTRY, place_of
from edged.config import ConfigErrors, load, options_of
from edged.daemon.devices import build
from edged.descriptions import Description, described, names, parsed, table
from edged.driver import DeviceContext
from tests.support.halls import GOOD

FAMILIES = [driver for driver in REGISTRY if options_of(driver).DESCRIBED]
FILES = [(family, name) for family in FAMILIES for name in names(family)]
EVERY = pytest.mark.parametrize(("family", "name"), FILES, ids=["/".join(one) for one in FILES])


def kind_of(family: str) -> type[Description]:
    kind = options_of(family).DESCRIPTION
    assert kind is not None
    return kind


@EVERY
def test_the_examples_in_every_device_description_hold(family: str, name: str) -> None:
    """This one test runs them all: what a device said becomes its event, a level becomes its bytes."""
    assert described(family, name, kind_of(family)).wrong_examples() == []


def spoiled(example: dict[str, Any]) -> None:
    if "sends" in example:
        example["sends"] = "00" + example["sends"][2:] if example["sends"] else "00"
    elif "inputs_on" in example:
        example["inputs_on"] = [*example["inputs_on"], 250]
    elif "counted" in example:
        example["counted"] = [number + 1 for number in example["counted"]]
    else:
        example["event"] = "nothing like it"


@EVERY
def test_an_example_of_a_description_that_does_not_hold_is_reported(family: str, name: str) -> None:
    """The runner really compares: every example of every file, spoiled, is told of."""
    fields = table(Path("devices") / family / f"{name}.toml")
    for example in fields["examples"]:
        spoiled(example)
    assert len(parsed(fields, kind_of(family)).wrong_examples()) == len(fields["examples"])


IMPOSSIBLE = [
    (
        "mqtt_map",
        "axis-people-counter",
        {"topic": "{topic}", "payload": '{"in": 12,', "event": "total 12 7"},
        "not_json",
    ),
    ("mqtt_map", "axis-people-counter", {"topic": "{topic}", "level": "on", "sends": "ON"}, "no lamps"),
    ("modbus_map", "contacts-8", {"sends": "05 00"}, "no display"),
    ("modbus_map", "contacts-8", {"answer": "04 04 00 00 00 07", "counted": [7]}, "no counters"),
    ("modbus_map", "armfly-led485-text", {"answer": "02 01 05", "inputs_on": [0, 2]}, "no contacts"),
    ("modbus_map", "armfly-led485-text", {"call": ["A1", "2"], "sends": "no hex"}, "hexadecimal"),
    ("modbus_map", "adam6050-counter", {"answer": "03 44 0002 0001", "counted": [7]}, "no answer"),
    ("modbus_map", "adam6050-counter", {"answer": "04 02 00 07", "counted": [7]}, "registers"),
]


@pytest.mark.parametrize(("family", "name", "example", "why"), IMPOSSIBLE)
def test_an_example_of_a_description_that_cannot_be_tried_is_reported_with_the_reason(
    family: str, name: str, example: dict[str, Any], why: str
) -> None:
    fields = table(Path("devices") / family / f"{name}.toml") | {"examples": [example]}
    (line,) = parsed(fields, kind_of(family)).wrong_examples()
    assert "refused: " in line
    assert why in line


BOARD = """
title = "Board of this site"
source = "its paper"
verified = "document"
channels = 4
on = 0x0100

[[examples]]
channel = 3
level = "on"
sends = "05 0003 0100"
"""


def site_hall(folder: Path, board: str) -> Path:
    own = folder / "descriptions" / "modbus_relay"
    own.mkdir(parents=True, exist_ok=True)
    (own / "ours.toml").write_text(board)
    text = GOOD.replace('id = "east"', 'id = "east"\ndescriptions = "descriptions"', 1)
    text = text.replace('driver = "modbus_relay"', 'driver = "modbus_relay"\nprofile = "ours"', 1)
    (folder / "hall.toml").write_text(text)
    return folder / "hall.toml"


def test_an_unlisted_board_is_added_by_a_file_of_the_site(tmp_path: Path) -> None:
    file = site_hall(tmp_path, BOARD)
    before = next(device for device in load(file).devices if device.driver == "modbus_relay")
    assert before.options.point_channels() == frozenset("0123")
    site_hall(tmp_path, BOARD.replace("channels = 4", "channels = 6"))
    after = next(device for device in load(file).devices if device.driver == "modbus_relay")
    assert after != before, "a reload sees that the description changed"


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("channels = 4", "chanels = 4", "chanels: unknown key"),
        ("channels = 4", 'channels = "4"', "channels: '4' does not fit"),
        ('title = "Board of this site"', "", "title: is required and missing"),
        ('sends = "05 0003 0100"', 'sends = "05 000"', "is no bytes in hex"),
        ("channels = 4", "channels = = 4", "ours.toml: TOML"),
    ],
)
def test_a_mistake_in_a_sites_description_is_reported_at_the_line_that_names_it(
    tmp_path: Path, old: str, new: str, says: str
) -> None:
    file = site_hall(tmp_path, BOARD.replace(old, new))
    with pytest.raises(ConfigErrors) as refused:
        load(file)
    assert [line for line in refused.value.lines if says in line and "relay.profile: " in line], (
        refused.value.lines
    )


def test_an_unknown_profile_is_refused_with_the_list_of_known_ones(tmp_path: Path) -> None:
    file = site_hall(tmp_path, BOARD)
    file.write_text(file.read_text().replace('profile = "ours"', 'profile = "../ours"'))
    with pytest.raises(ConfigErrors, match="juying-dam, konnad-c2000"):
        load(file)


SITE_DRIVER = '''
from devices.mqtt_json.driver import MqttJson
class OurGate(MqttJson):
    """A driver of this site."""
'''


def test_a_python_driver_of_the_site_is_found_by_its_entry_point(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "site_gate-1.0.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: site-gate\nVersion: 1.0\n")
    entries = (
        "[edged.drivers]\nour_gate = site_gate:OurGate\nmqtt_json = site_gate:OurGate\nbroken = nowhere:X\n"
    )
    (package / "entry_points.txt").write_text(entries)
    (tmp_path / "site_gate.py").write_text(SITE_DRIVER)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert place_of("our_gate") == "site_gate:OurGate"
    assert place_of("mqtt_json") == REGISTRY["mqtt_json"], "nobody takes the name of one of ours"
    file = tmp_path / "hall.toml"
    file.write_text(GOOD + '\n[[devices]]\nid = "gate"\ndriver = "our_gate"\nkind = "counter"\n')
    gate = load(file).devices[-1]
    assert gate.driver == "our_gate"
    context = DeviceContext(
        "gate", "east", lambda *_: True, lambda *_: None, asyncio.sleep, lambda: 0.0, None
    )
    assert type(build(gate, context)).__name__ == "OurGate"
    file.write_text(GOOD + '\n[[devices]]\nid = "gate"\ndriver = "broken"\n')
    with pytest.raises(ConfigErrors, match='the driver "broken" cannot be loaded'):
        load(file)


@pytest.mark.parametrize("page", ["README.md", "README.zh-CN.md"])
def test_the_device_pages_list_every_description_and_show_valid_device_tables(
    page: str, tmp_path: Path
) -> None:
    text = (Path("devices") / page).read_text()
    shown = "\n".join(re.findall(r"```toml\n(.*?)```", text, re.DOTALL))
    file = tmp_path / "hall.toml"
    file.write_text(f"{GOOD}\n{shown}")
    ids = [device.id for device in load(file).devices][-5:]
    assert ids == ["relay-1", "keys", "button-3", "kiosk", "thermal"]
    for driver in REGISTRY:
        assert f"| `{driver}` |" in text
    for family in FAMILIES:
        (keys,) = [line for line in text.splitlines() if line.startswith(f"| `{family}` |")][1:]
        for field in kind_of(family).__struct_fields__:
            assert field in keys + "title title_zh source verified wiring wiring_zh examples", (family, field)
