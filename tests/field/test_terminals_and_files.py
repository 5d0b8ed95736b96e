"""The terminals and the files of this country: GBK, byte order marks, full-width characters, characters nobody sees."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from edged.cli import COMMANDS
from edged.cli.terminal import STANDS_FOR
from edged.config import ConfigErrors, load
from edged.links.mqtt.link import MqttLink
from edged.links.mqtt.settings import first_line
from tests.support.brokers import Rejections, real_mosquitto, running, settings_for
from tests.support.halls import GOOD

CONFIGS = Path(__file__).parents[2] / "configs"
ROOT = Path(__file__).parents[2]


def run_on_terminal(encoding: str, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    """Run `edged` with these arguments as on a terminal of this encoding."""
    return subprocess.run(
        [sys.executable, "-m", "edged", *arguments],
        capture_output=True,
        timeout=60,
        env=os.environ | {"PYTHONIOENCODING": encoding, "PYTHONPATH": str(ROOT), "PYTHONUTF8": "0"},
        check=False,
    )


@pytest.mark.parametrize("encoding", ["gbk", "gb2312", "latin-1"])
def test_the_doctor_command_reports_on_a_terminal_of_any_encoding(tmp_path: Path, encoding: str) -> None:
    file = tmp_path / "hall.toml"
    file.write_text(GOOD.replace("[[areas]]", f'[store]\npath = "{tmp_path}/hall.db"\n\n[[areas]]', 1))
    for more in ((), ("--commission",), ("--json",)):
        done = run_on_terminal(encoding, "doctor", "--config", str(file), *more)
        assert b"Traceback" not in done.stderr, done.stderr.decode(encoding, "replace")
        assert done.returncode in (0, 1)
        assert len(done.stdout.decode(encoding)) > 500
    plain = run_on_terminal(encoding, "doctor", "--config", str(file)).stdout.decode(encoding)
    good_sign, bad_sign = (
        ("√", "×") if encoding.startswith("gb") else ("v", "×" if encoding == "latin-1" else "x")
    )
    headlines = [
        line for line in plain.splitlines() if not line.startswith(" ")
    ]  # a remedy stands below, set in
    assert {line[0] for line in headlines} <= {good_sign, bad_sign, "?"}
    assert f"{bad_sign} " in plain


@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_fails_on_a_gbk_terminal(command: str) -> None:
    done = run_on_terminal("gbk", command, "--help")
    assert done.returncode == 0, done.stderr.decode("gbk")
    assert done.stdout.decode("gbk")


def test_answers_and_mistakes_appear_on_a_gbk_terminal(tmp_path: Path) -> None:
    file = tmp_path / "hall.toml"
    file.write_text(GOOD.replace("东区大厅", "㙦塘大厅"))
    done = run_on_terminal("gbk", "check", str(file))
    assert done.returncode in (0, 2)
    file.write_text(GOOD.replace('number = "1"', 'number = "㙦✓"'))
    done = run_on_terminal("gbk", "check", str(file))
    assert done.returncode == 2
    assert "windows.w1.number" in done.stderr.decode("gbk")
    for arguments in (
        ("hours", "--policy", str(CONFIGS / "policy-example.json")),
        ("op", "list"),
        ("policy", "schema"),
    ):
        done = run_on_terminal("gbk", *arguments)
        assert b"Traceback" not in done.stderr, arguments
    assert all(char not in "".join(stands) for char, stands in STANDS_FOR.items())


BOM = "\ufeff".encode()


@pytest.mark.parametrize("written", [b"s3cret", BOM + b"s3cret\r\n", b"s3cret\r\nmore", BOM + b"s3cret\n"])
async def test_a_password_file_as_editors_save_it_gives_access_to_the_broker(
    tmp_path: Path, written: bytes
) -> None:
    file, known = tmp_path / "mqtt.password", tmp_path / "known"
    file.write_bytes(written)
    subprocess.run(["mosquitto_passwd", "-b", "-c", str(known), "edged", "s3cret"], check=True)  # noqa: ASYNC221
    known.chmod(0o644)
    assert first_line(str(file)) == "s3cret"
    async with real_mosquitto("allow_anonymous false", f"password_file {known}") as broker:
        settings = settings_for(broker)
        link = MqttLink(
            type(settings)(
                "edged-test", port=broker.port, username="edged", password_file=str(file), ping_topic="p"
            ),
            Rejections(),
        )
        async with running(link):
            assert link.connected


def test_a_password_file_that_is_not_utf_8_is_refused_as_such(tmp_path: Path) -> None:
    file = tmp_path / "mqtt.password"
    file.write_bytes("s3cret".encode("utf-16"))
    with pytest.raises(ValueError, match="not UTF-8"):
        first_line(str(file))


# What input methods, word processors and web pages make of TOML.
SPOILT = {
    "full-width equals": ('id = "east"', 'id ＝ "east"', 'column 4 has "＝"', 'write "="'),
    "typographic quotes": ('id = "east"', "id = “east”", 'column 6 has "“"', "write '\"'"),
    "full-width comma": ('skills = ["tax"]', 'skills = ["tax"，"x"]', 'has "，"', 'write ","'),
    "full-width digit": ("tidal = true", "tidal = １", 'column 9 has "１"', 'write "1"'),
    "full-width bracket": ("[duty]", "［duty］", 'column 1 has "［"', 'write "["'),
    "ideographic space": ('id = "east"', 'id　= "east"', "IDEOGRAPHIC SPACE", 'write " "'),
    "no-break space": ('id = "east"', 'id\u00a0= "east"', "NO-BREAK SPACE", 'write " "'),
    "zero width in a key": (
        'id = "east"',
        'i\u200bd = "east"',
        "column 2 has",
        "ZERO WIDTH SPACE): delete it",
    ),
    "zero width in a text": ('name = "税务"', 'name = "税\u200b务"', "character 2", "ZERO WIDTH SPACE"),
    "byte order mark inside": (
        'name = "税务"',
        'name = "\ufeff税务"',
        "character 1",
        "ZERO WIDTH NO-BREAK SPACE",
    ),
    "full-width letter in an id": ('id = "chen"', 'id = "ｃhen"', '"ｃ" (U+FF43', 'write "c"'),
    "full-width digit in a number": ('number = "1"', 'number = "１"', '"１" (U+FF11', 'write "1"'),
}


@pytest.mark.parametrize("case", SPOILT)
def test_a_look_alike_character_in_the_configuration_is_named_with_its_place(
    tmp_path: Path, case: str
) -> None:
    before, after, *says = SPOILT[case]
    assert before in GOOD
    spoilt = GOOD.replace(before, after, 1)
    file = tmp_path / "hall.toml"
    file.write_text(spoilt)
    with pytest.raises(ConfigErrors) as refused:
        load(file)
    line = spoilt[: spoilt.index(after)].count("\n") + 1
    named = next(one for one in refused.value.lines if one.startswith(f"{file}:{line}: "))
    for words in says:
        assert words in named, named


def test_a_file_with_a_byte_order_mark_and_carriage_returns_is_read(tmp_path: Path) -> None:
    file = tmp_path / "hall.toml"
    file.write_bytes(BOM + GOOD.replace("\n", "\r\n").encode())
    assert load(file).hall == "east"
