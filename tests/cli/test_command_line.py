"""The command line from outside: what it says, how fast, and with which exit code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from devices import REGISTRY
from edged.cli import COMMANDS, load_command
from edged.cli.target import NoTarget, Target, announce, demo_file, find, from_url, running_demo

ROOT = Path(__file__).parents[2]
NOWHERE = Path(__file__).parent  # a directory where no demo announces itself


def edged(*arguments: str | Path, **environ: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "edged", *map(str, arguments)]
    clean = {"PYTHONPATH": str(ROOT), "XDG_RUNTIME_DIR": str(NOWHERE)}
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, **clean, **environ},
        check=False,
    )


GROUPS = ("config", "devices", "web", "policy", "keys", "op", "pki", "centre")


def test_help_teaches_the_first_steps() -> None:
    done = edged("--help")
    assert done.returncode == 0
    for word in (*COMMANDS, "First steps", "Exit codes", "edged demo", "潮汐"):
        assert word in done.stdout
    assert "..." not in done.stdout.replace("[ARGS]...", ""), "a help line is cut off at 80 columns"


@pytest.mark.parametrize("group", GROUPS)
def test_a_group_lists_each_of_its_commands_in_a_whole_sentence(group: str) -> None:
    listed = edged(group, "--help").stdout.partition("Commands:")[2]
    assert len(listed.splitlines()) > 1
    assert "..." not in listed


def test_every_group_of_commands_is_looked_at() -> None:
    assert {name for name in COMMANDS if hasattr(load_command(name), "commands")} == set(GROUPS)


def test_help_loads_none_of_what_it_lists() -> None:
    heavy = ("msgspec", "pydantic", "paho", "apsw", "cryptography", "asyncio")
    code = f"import sys, edged.cli; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == "[]"


def test_a_daemon_loads_none_of_what_it_does_not_use() -> None:
    """Each of these costs megabytes and a good part of the start; a JSON device needs no other wire."""
    spared: tuple[str, ...] = (
        "rich",
        "aiohttp",
        "cryptography",
        "amqtt",
        "pymodbus",
        "serialx",
        "hypothesis",
        "email.mime",
    )
    spared += ("pydantic",)  # of the command line's framework
    spared += ("typer", "greenlet", "edged.central.policies", "edged.central.operations")
    code = (
        "import sys; from edged.daemon.start import _skip_rich; _skip_rich();"
        "import edged.daemon.app, edged.logs, edged.config, devices.mqtt_json.driver;"
        f"print([name for name in {spared} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_listed_command_exists_and_explains_itself(name: str) -> None:
    command = load_command(name)
    assert command.name == name
    assert len(command.help) > 20


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("chek",), "Did you mean 'check'?"),
        (("check",), "Missing argument"),
        (("status", "--broker", "mqtt://127.0.0.1:1"), "--broker needs --hall"),
        (("status", "--broker", "http://127.0.0.1", "--hall", "x"), "not a broker: http://127.0.0.1"),
        (("policy", "status"), "no demo is running here"),
        (("policy", "push", "missing.json", "--broker", "127.0.0.1:1"), "--broker needs --hall"),
        (("policy", "check", "missing.json"), "missing.json: No such file"),
    ],
)
def test_wrong_usage_says_what_to_do_and_ends_with_2(arguments: tuple[str, ...], expected: str) -> None:
    done = edged(*arguments)
    assert done.returncode == 2, done.stderr
    assert expected in done.stderr
    assert "Traceback" not in done.stderr


def test_a_broker_that_is_not_there_is_a_plain_no() -> None:
    done = edged("status", "--broker", "mqtt://127.0.0.1:1", "--hall", "x")
    assert done.returncode == 1
    assert done.stderr.startswith("edged: no broker at 127.0.0.1:1: ")


def test_check_prints_every_mistake_and_ends_with_2() -> None:
    done = edged("check", "tests/config/broken.toml")
    assert done.returncode == 2
    golden = (ROOT / "tests/config/broken.golden").read_text("utf-8")
    assert done.stderr == golden.replace("{drivers}", ", ".join(sorted(REGISTRY)))
    assert done.stdout == ""


def test_keygen_keeps_the_secret_secret_and_overwrites_nothing(tmp_path: Path) -> None:
    done = edged("policy", "keygen", "city", "--dir", tmp_path)
    assert done.returncode == 0
    assert (tmp_path / "city.key").stat().st_mode & 0o777 == 0o600
    before = (tmp_path / "city.key").read_bytes()
    again = edged("policy", "keygen", "city", "--dir", tmp_path)
    assert again.returncode == 2
    assert "nothing is overwritten" in again.stderr
    assert (tmp_path / "city.key").read_bytes() == before


def test_check_and_sign_refuse_what_every_hall_would_refuse(tmp_path: Path) -> None:
    edged("policy", "keygen", "city", "--dir", tmp_path)
    silly = tmp_path / "silly.json"
    document = json.loads((ROOT / "configs/policy-example.json").read_text("utf-8"))
    document["body"]["tidal"]["band"] |= {"close_at": 6, "max_window": 2}
    silly.write_text(json.dumps(document))
    done = edged("policy", "check", silly)
    assert done.returncode == 1
    assert 'body.tidal.band.max_window: this field is not known; did you mean "max_windows"?' in done.stderr
    del document["body"]["tidal"]["band"]["max_window"]
    silly.write_text(json.dumps(document))
    done = edged("policy", "sign", silly, "--key", tmp_path / "city.key", "--out", tmp_path / "signed.json")
    assert done.returncode == 1
    assert "close_at (6) must be below open_above (6)" in done.stderr
    assert "收窗人数（6）必须小于启用人数（6）" in done.stderr
    assert not (tmp_path / "signed.json").exists()


def test_a_signed_policy_is_checked_as_well_as_a_plain_one(tmp_path: Path) -> None:
    edged("policy", "keygen", "city", "--dir", tmp_path)
    out = tmp_path / "signed.json"
    example = ROOT / "configs/policy-example.json"
    done = edged("policy", "sign", example, "--key", tmp_path / "city.key", "--out", out, "--version", "12")
    assert done.returncode == 0, done.stderr
    assert set(json.loads(out.read_text())) == {"payloadType", "payload", "signatures"}
    done = edged("policy", "check", out)
    assert done.returncode == 0
    assert "OK: version 12" in done.stdout


def test_the_running_demo_is_found_and_a_dead_one_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    target = Target("demo", port=12345, protocol="3.1.1", username="edged", web="http://127.0.0.1:1")
    assert running_demo() is None
    with announce(target) as file:
        assert file.stat().st_mode & 0o777 == 0o600
        assert find(None, None, None) == find(None, "demo", None) == target
        with pytest.raises(NoTarget, match='the running demo is hall "demo", not "east"'):
            find(None, "east", None)
        process = subprocess.Popen(["true"])
        process.wait()
        file.write_text(json.dumps({"pid": process.pid, "hall": "demo"}))
        assert running_demo() is None
        file.write_text("[1")
        assert running_demo() is None
        file.unlink()
        file.symlink_to("/etc/passwd")
        assert running_demo() is None
    demo_file().unlink()


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("10.0.0.5", Target("x", host="10.0.0.5")),
        ("mqtt://10.0.0.5:1884", Target("x", host="10.0.0.5", port=1884)),
        (
            "mqtts://u%40hall@broker",
            Target("x", host="broker", port=8883, username="u@hall", tls=True),
        ),
        ("mqtt://b?protocol=3.1.1", Target("x", host="b", protocol="3.1.1")),
    ],
)
def test_broker_urls(url: str, expected: Target) -> None:
    assert from_url(url, "x") == expected


def test_a_password_in_a_broker_url_is_refused_and_not_repeated() -> None:
    with pytest.raises(NoTarget, match="command line") as refused:
        from_url("mqtts://u:p%40ss@broker", "x")
    assert "p%40ss" not in str(refused.value)


def test_hours_shows_holidays_make_up_days_and_what_is_not_known() -> None:
    done = edged("hours", "configs/policy-example.json", "--from", "2026-09-30", "--days", "11")
    lines = done.stdout.splitlines()
    assert done.returncode == 0
    assert lines[0].startswith("2026-09-30 周三 Wed  工作日 workday  09:00-17:00（午间 noon 12:00-13:30）")
    assert "2026-10-01 周四 Thu  节假日 holiday  09:00-16:00 自助 self-service" in done.stdout
    assert "2026-10-10 周六 Sat  调休上班 make-up  09:00-17:00" in done.stdout
    assert done.stderr == ""
    late = edged("hours", "configs/policy-example.json", "--from", "2027-01-01", "--days", "1")
    assert "holidays of 2027 are not in the policy" in late.stderr


def test_the_holidays_of_a_year_are_ready_for_a_policy() -> None:
    known = json.loads(edged("hours", "--calendar", "2026").stdout)
    example = json.loads((ROOT / "configs/policy-example.json").read_text("utf-8"))["body"]["hours"]
    assert known == {"holidays": example["holidays"], "workdays": example["workdays"]}
    unknown = edged("hours", "--calendar", "2040")
    assert (unknown.returncode, "2040 is not known" in unknown.stderr) == (1, True)


def test_the_list_of_operations_fits_a_terminal_and_shows_no_markup() -> None:
    lines = edged("op", "list").stdout.splitlines()
    assert max(map(len, lines)) <= 100
    assert all(line[0] != " " or line.startswith(" " * 17) for line in lines)
    assert not any("``" in line for line in lines)
