"""Each kind of mistake in an otherwise right hall.toml: its line, its place, its remedy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edged.config import load
from tests.support.halls import GOOD, mistakes


@pytest.fixture
def write(tmp_path: Path) -> Any:
    def to_file(text: str | bytes) -> Path:
        file = tmp_path / "hall.toml"
        file.write_bytes(text.encode() if isinstance(text, str) else text)
        return file

    return to_file


def changed(old: str, new: str) -> str:
    assert GOOD.count(old) >= 1, old
    return GOOD.replace(old, new, 1)


INVOICE = (
    '[[services]]\nid = "tax-invoice"\narea = "tax"\nname = "发票"\nname_en = "Invoices"\nprefix = "B"\n'
)
RELAY_B = '[[devices]]\nid = "relay-b"\ndriver = "modbus_relay"\n'
BUS = '[[devices]]\nid = "bus"\ndriver = "candle485"\npath = "bus"\nboards = { board = { address = 0x31 } }\n'
CASE_AREA = '[[areas]]\nid = "c"\nname = "案"\nname_en = "Cases"\n'
CASE = '[[services]]\nid = "unsolved"\narea = "c"\nname = "案"\nname_en = "Cases"\nprefix = "U"\ncase = true # 案\n'
CASE_WINDOW = '[[windows]]\nid = "w5"\nnumber = "5"\npanel = "bus/p5"\nskills = ["unsolved"] # 5\n'
DOOR = '[[devices]]\nid = "door"\ndriver = "milesight_mqtt"\ntopic = "door"\n'
RTU = "rtu:///dev/ttyS0"
LAST = 'id = "pager-duty"\ndriver = "mqtt_json"\n'  # additions go here


@pytest.mark.parametrize(
    ("old", "new", "where", "message"),
    [
        (
            "[[areas]]",
            "[pages]\nport = 9464 # theirs\n\n[[areas]]",
            "# theirs",
            "pages.port: 9464 is the daemon's port ([web] port); give the pages another",
        ),
        (
            "[[areas]]",
            "[pages]\nport = 1883 # theirs\n\n[[areas]]",
            "# theirs",
            "pages.port: 1883 is the broker's port ([mqtt] port); give the pages another",
        ),
        (
            "[[areas]]",
            '[pages]\npassword_file = "x" # whose\n\n[[areas]]',
            "# whose",
            "pages.password_file: a password needs a username; add username",
        ),
        (
            "[[areas]]",
            '[pages] # half\ncert_file = "x"\n\n[[areas]]',
            "# half",
            "pages: cert_file and key_file come together; key_file is missing",
        ),
        (
            'id = "east"\n',
            'id = "east"\nmode = "follow" # theirs\n',
            "# theirs",
            'hall.mode: mode "follow" needs queue: the id of the device that reports calls',
        ),
        (
            'id = "east"\n',
            'id = "east"\nmode = "follow"\nqueue = "panell" # whose\n',
            "# whose",
            'hall.queue: "panell" is not a known device; allowed: bus, door',
        ),
        (
            'id = "east"\n',
            'id = "east"\nmode = "follow"\nqueue = "voice" # whose\n',
            "# whose",
            'hall.queue: "voice" is no queue system; it needs driver = "mqtt_json" and kind = "queue"',
        ),
        (
            LAST,
            LAST + CASE_AREA + CASE + CASE_WINDOW + "tidal = true # never\n",
            "tidal = true # never",
            "windows.w5.tidal: a window for cases is never tidal; remove tidal = true",
        ),
        (
            LAST,
            LAST + CASE.replace('"c"', '"tax"') + CASE_WINDOW,
            "case = true",
            'services.unsolved.case: area "tax" also has "tax-general"; cases need an area of their own',
        ),
        (
            LAST,
            LAST + CASE_AREA + CASE + CASE_WINDOW.replace('"unsolved"]', '"unsolved", "tax-general"]'),
            'skills = ["unsolved"',
            "windows.w5.skills: a window for cases serves nothing else; move the other skills away",
        ),
        (
            LAST,
            LAST + '[cases]\nlamps = ["relay/0"]\n',
            'lamps = ["relay/0"]',
            'cases.lamps[0]: "relay/0" is already the lamp at windows.w2.lamp; give each its own lamp',
        ),
        ("[[areas]]", "[areas]", "[areas]", "areas: must be a list of tables, each written [[areas]]"),
        (LAST, LAST + "[[web]]\n", "[[web]]", "web: must be one table, written [web]"),
        (
            'voice = "voice"',
            'voice = "voice one"',
            "voice one",
            'areas.tax.voice: "voice one" is not a point: "device" or "device/channel"',
        ),
        (
            'lamp = "relay/0"',
            'lamp = "relay/1"',
            'lamp = "relay/1"',
            'windows.w2.lamp: "relay/1" is already the lamp at areas.tax.lamps[0]; give each its own lamp',
        ),
        ('lamp = "relay/0"\n', "", "tidal =", "windows.w2.tidal: a tidal window needs a lamp"),
        (
            'skills = ["tax-general"]\npanel',
            'skills = ["tax-general"]\ntidal = true\npanel',
            'id = "tax"',
            "areas.tax.id: only tidal windows serve this area",
        ),
        (
            'prefix = "A"',
            'prefix = "a"',
            "prefix",
            'services.tax-general.prefix: "a" is not a ticket prefix: one or two capital letters',
        ),
        (
            'prefix = "A"',
            'prefix = "A"\nmean_s = 900.5',
            "mean_s",
            "services.tax-general.mean_s: must be a whole number, not 900.5",
        ),
        (
            'number = "2"',
            'number = "1" # twice',
            "# twice",
            'windows.w2.number: "1" is already the number of another window ("w1"); choose another',
        ),
        (
            'pager = "pager"',
            'pager = "pager-duty"',
            "[duty]\n",
            'duty.pager: "pager-duty" is already the pager at staff.chen.pager; give each its own pager',
        ),
        ("tcp://10", "http://10", "http", "devices.relay.url: 'http://10.0.0.9': want tcp://host:port"),
        (
            'url = "tcp://10.0.0.9"',
            "",
            "[[devices]]\n",
            "devices.relay.url: this key is required and missing",
        ),
        (
            "tidal = true",
            'tidal = "yes"',
            "tidal =",
            'windows.w2.tidal: must be true or false, not "yes"',
        ),
        ("[duty]\npager", "duty = 1\n[x]\npager", "[x]", "x: unknown table"),
        (LAST, LAST + '[store]\npath = ""\n', "path =", "store.path: must not be empty"),
        (
            LAST,
            LAST + RELAY_B + 'url = "tcp://10.0.0.9" # again',
            "# again",
            'devices.relay-b.url: device "relay" is already this unit on this wire; give each module its own unit',
        ),
        (
            LAST,
            LAST
            + RELAY_B
            + f'url = "{RTU}"\n'
            + RELAY_B.replace("-b", "-c")
            + f'url = "{RTU}?parity=E" # other',
            "# other",
            'devices.relay-c.url: serial port "/dev/ttyS0" already belongs to device "relay-b"',
        ),
        (
            LAST,
            LAST + RELAY_B + 'url = "tcp://10.0.0.9:502" # by default',
            "# by default",
            'devices.relay-b.url: device "relay" is already this unit on this wire; give each module its own unit',
        ),
        (
            LAST,
            LAST + RELAY_B + 'unit = 2\nurl = "rtu+tcp://10.0.0.9" # framed',
            "# framed",
            'devices.relay-b.url: device "relay" uses this wire as tcp, this one as rtu+tcp; a wire has one setting',
        ),
        (
            'voice = "voice"',
            'voice = "voice/1"',
            "voice/1",
            'areas.tax.voice: "voice" has no channels; write "voice"',
        ),
        (
            'lamp = "relay/0"',
            'lamp = "relay/8"',
            "relay/8",
            'windows.w2.lamp: "relay" has no channel "8"; allowed: relay/0, relay/1, relay/2,',
        ),
        (
            'lamp = "relay/0"',
            'lamp = "relay" # which',
            "# which",
            'windows.w2.lamp: "relay" needs a channel; allowed: relay/0, relay/1,',
        ),
        (
            'voice = "voice"',
            'voice = "door"',
            '"door"',
            'areas.tax.voice: "door" shows nothing: it only reports',
        ),
        (
            'voice = "voice"',
            'voice = "bus/bord"',
            "bus/bord",
            'areas.tax.voice: "bus" has no channel "bord"; allowed: bus/board; did you mean "board"?',
        ),
        (
            LAST,
            LAST + BUS + '[devices.buttons]\n2 = "tax-genral"\n',
            "tax-genral",
            'devices.bus.buttons.2: "tax-genral" is not a known service; allowed: tax-general; did you mean',
        ),
        (
            LAST,
            LAST + INVOICE,
            'id = "tax-invoice"',
            "services.tax-invoice.id: no window serves this service; add its services to the skills of a window",
        ),
    ],
)
def test_one_mistake_one_line(write: Any, old: str, new: str, where: str, message: str) -> None:
    text = changed(old, new) + "\n" + DOOR + (BUS if BUS not in new else "")
    line = text[: text.index(where)].count("\n") + 1 + where.count("\n") * (where == "[duty]\n")
    found = mistakes(write(text))
    assert any(one.startswith(f"hall.toml:{line}: {message}") for one in found), found


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (LAST, LAST + RELAY_B + 'unit = 2\nurl = "tcp://10.0.0.9"\n'),
        (
            LAST,
            LAST
            + INVOICE.replace("tax-invoice", "other")
            + '[[windows]]\nid = "w3"\nnumber = "3"\nskills = ["other"]',
        ),
        ('lamp = "relay/0"', 'panel = "relay/0"'),
    ],
)
def test_unusual_values_that_are_right_are_accepted(write: Any, old: str, new: str) -> None:
    assert load(write(changed(old, new))).hall == "east"
