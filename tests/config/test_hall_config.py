"""hall.toml: what is right becomes the hall, what is wrong becomes one line each, with a line number and a remedy."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices import REGISTRY
from edged.config import FILE_BYTES_MAX, ConfigErrors, load
from edged.config.broker import link_settings, password
from edged.core.model.point import Point
from edged.core.model.site import Area, Service, Staff, Window
from edged.encoding import SAVE_AS
from tests.support.halls import GOOD, mistakes

HERE = Path(__file__).parent


@pytest.fixture
def write(tmp_path: Path) -> Any:
    def to_file(text: str | bytes) -> Path:
        file = tmp_path / "hall.toml"
        file.write_bytes(text.encode() if isinstance(text, str) else text)
        return file

    return to_file


def test_a_right_file_becomes_the_site_of_the_core(write: Any) -> None:
    file = write(GOOD)
    hall = load(file)
    assert hall.hall == hall.site.hall == "east"
    assert hall.timezone == "Asia/Shanghai"
    assert hall.site.areas == (Area("tax", "税务", "Taxes", voice=Point("voice"), lamps=(Point("relay/1"),)),)
    assert hall.site.services == (Service("tax-general", "tax", "综合税务", "General", "A", 900),)
    assert hall.site.windows[1] == Window("w2", "2", ("tax-general",), tidal=True, lamp=Point("relay/0"))
    assert hall.site.staff == (Staff("chen", "陈敏", ("tax",), Point("pager")),)
    assert hall.site.duty_pager == "pager-duty"
    assert [(device.id, device.driver) for device in hall.devices][:2] == [
        ("relay", "modbus_relay"),
        ("panel", "mqtt_json"),
    ]
    assert hall.devices[0].options.url == "tcp://10.0.0.9"  # type: ignore[attr-defined]
    assert (hall.mqtt.port, hall.mqtt.keepalive_s, hall.web.host, hall.web.port) == (
        1883,
        5,
        "127.0.0.1",
        9464,
    )
    assert hall.store.path == "/var/lib/edged/hall.db"


def test_displays_come_with_the_room_that_their_devices_know_of() -> None:
    site = load(HERE.parents[1] / "configs/hall-example.toml").site
    assert site.displays == ("screen-hall",)
    assert site.duty_displays == ("screen-duty",)
    assert {board.point: (board.rows, board.columns, board.scrolls) for board in site.boards} == {
        "led-tax": (4, 32, True),
        "led-social": (2, 24, True),
        "screen-hall": (6, 60, False),
    }


@pytest.mark.parametrize("given", ["rows = 2", "columns = 20"])
def test_half_a_size_of_a_display_is_a_mistake(write: Any, given: str) -> None:
    device = f"""[[devices]]
id = "screen"
driver = "mqtt_json"
kind = "display"
{given}
"""
    (line,) = mistakes(write(f"{GOOD}\n{device}"))
    assert "rows and columns come together" in line


def test_shifts_are_minutes_of_the_day() -> None:
    site = load(HERE.parents[1] / "configs/hall-example.toml").site
    assert {member.id: member.shifts for member in site.staff if member.shifts} == {
        "chen": ((510, 720), (780, 1050))
    }


@pytest.mark.parametrize(
    ("given", "expected"),
    [("25:00-26:00", "shifts[0]"), ("8:30-12:00", "shifts[0]"), ("08:30-08:30", "no time at all")],
)
def test_a_shift_that_is_none_is_a_mistake(write: Any, given: str, expected: str) -> None:
    member = f"""[[staff]]\nid = "wu"\nname = "吴"\nskills = ["tax"]\nshifts = ["{given}"]\n"""
    (line,) = mistakes(write(f"{GOOD}\n{member}"))
    assert expected in line


def test_every_mistake_of_a_bad_day_is_told_at_once() -> None:
    """Regenerate: edged check tests/config/broken.toml 2> tests/config/broken.golden (and read the difference).

    The list of drivers stands there as ``{drivers}``: it grows with every family.
    """
    known = ", ".join(sorted(REGISTRY))
    golden = (HERE / "broken.golden").read_text("utf-8").replace("{drivers}", known).splitlines()
    found = mistakes(HERE / "broken.toml")
    assert found == [line.removeprefix("tests/config/") for line in golden[:-1]]
    assert len(found) >= 30
    for line in found:
        assert re.match(r"broken\.toml:\d+: [A-Za-z0-9_.\[\]-]+: .{10,}", line)


def test_relative_paths_start_at_the_file(write: Any) -> None:
    text = GOOD + '[store]\npath = "data/hall.db"\n[policy]\nkeys = "/etc/keys.json"\n'
    file = write(text)
    assert load(file).store.path == str(file.parent / "data/hall.db")
    assert load(file).policy.keys == "/etc/keys.json"


def test_settings_of_the_link_come_from_the_file_and_the_password_from_its_own(write: Any) -> None:
    file = write(
        GOOD
        + '[mqtt]\nhost = "broker"\nusername = "edged"\npassword_file = "secret"\n[mqtt.tls]\nca_file = "ca"\n'
    )
    (file.parent / "secret").write_text("pass word\n")
    made = link_settings(load(file), will=("t", b"x"))
    secret = str(file.parent / "secret")
    assert (made.client_id, made.host, made.username, made.password_file) == (
        "edged-east",
        "broker",
        "edged",
        secret,
    )
    assert (made.password, password(load(file))) == (None, "pass word")
    assert made.ping_topic == "hall/east/edged/ping/edged-east"
    assert (made.tls_ca, made.tls_cert, made.will_topic) == (str(file.parent / "ca"), None, "t")
    (file.parent / "secret").unlink()
    assert link_settings(load(file)).password_file == secret, "the link waits for it"
    with pytest.raises(ConfigErrors, match=r"mqtt\.password_file: .*secret cannot be read"):
        password(load(file))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[hall\n", "hall.toml:1: TOML: Expected ']' at the end of a table declaration (column 6)"),
        ('[hall]\nid = "a\n', "hall.toml:2: TOML: Illegal character '\\n' (column 8)"),
        ('[hall]\nid = "a"\nid = "b"\n', "hall.toml:3: TOML: Cannot overwrite a value (column 9)"),
        ("a = [1,\n2", "hall.toml:2: TOML: Unclosed array (at the end of the file)"),
        (b"[hall]\nid = '\xff'\n", f"hall.toml:2: byte 0xFF is not UTF-8 text (column 7); {SAVE_AS}"),
        (
            '[hall]\nname = "政务服务大厅"\n'.encode("gbk"),
            f'hall.toml:2: GBK text, not UTF-8 (column 9 "政务服务大厅"); {SAVE_AS}',
        ),
        (
            "[hall]\n".encode("utf-16"),
            f"hall.toml:1: UTF-16 text, not UTF-8 (column 1); {SAVE_AS}",
        ),
        (
            b"#" * (FILE_BYTES_MAX + 1),
            f"hall.toml: larger than {FILE_BYTES_MAX} bytes: not a hall's configuration",
        ),
        ("a = " + "[" * 5000 + "]" * 5000, "hall.toml:1: nested too deeply to be a hall's configuration"),
    ],
)
def test_a_file_that_is_not_toml_says_where(write: Any, text: str | bytes, line: str) -> None:
    assert mistakes(write(text)) == [line]


def test_a_missing_file_is_a_mistake_too(tmp_path: Path) -> None:
    assert mistakes(tmp_path / "none.toml") == ["none.toml: cannot be read: No such file or directory"]
    assert mistakes(tmp_path)[0].endswith("cannot be read: Is a directory")


def test_an_empty_file_lists_what_a_hall_needs(write: Any) -> None:
    assert mistakes(write("")) == [
        f"hall.toml:1: {kind}: the table {form} is required and missing"
        for kind, form in (
            ("areas", "[[areas]]"),
            ("hall", "[hall]"),
            ("services", "[[services]]"),
            ("windows", "[[windows]]"),
        )
    ]


def test_too_many_mistakes_do_not_fill_the_screen(write: Any) -> None:
    found = mistakes(write("".join(f"k{n} = 1\n" for n in range(500))))
    assert len(found) == 201
    assert found[-1] == "hall.toml: and 304 more mistakes"


VALUES = st.one_of(
    st.none(),
    st.integers(),
    st.booleans(),
    st.floats(),
    st.text(max_size=5),
    st.lists(st.text(max_size=3), max_size=2),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)


def toml_value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return (
            '"'
            + "".join(
                c if c.isalnum() else f"\\U{ord(c):08x}" for c in value if not "\ud800" <= c <= "\udfff"
            )
            + '"'
        )
    if isinstance(value, list):
        return "[" + ", ".join(map(toml_value, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{toml_value(k)} = {toml_value(v)}" for k, v in value.items()) + "}"
    return str(value)


@settings(max_examples=300, deadline=None, print_blob=True)
@given(data=st.data())
def test_any_value_anywhere_loads_or_is_a_mistake(data: st.DataObject, tmp_path_factory: Any) -> None:
    lines = GOOD.splitlines()
    position = data.draw(st.sampled_from([n for n, line in enumerate(lines) if "=" in line]))
    key = lines[position].partition("=")[0]
    value = data.draw(VALUES)
    lines[position] = f"{key}= {toml_value(value)}" if value is not None else ""
    file = tmp_path_factory.getbasetemp() / "any.toml"
    file.write_text("\n".join(lines), "utf-8", newline="\n")
    try:
        load(file)
    except ConfigErrors as errors:
        found = errors.lines
    else:
        return
    assert found
    for line in found:
        place = re.match(r".*any\.toml:(\d+): ", line)
        assert place is not None
        assert 1 <= int(place[1]) <= len(lines)


@settings(max_examples=200, deadline=None, print_blob=True)
@given(data=st.binary(max_size=60) | st.text("[]=\"'{}.,#\n abhall_s1", max_size=40).map(str.encode))
def test_arbitrary_bytes_are_mistakes_and_nothing_worse(data: bytes, tmp_path_factory: Any) -> None:
    file = tmp_path_factory.getbasetemp() / "bytes.toml"
    file.write_bytes(data)
    assert mistakes(file)
