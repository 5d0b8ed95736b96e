"""The doctor on this machine, with a real broker and with programs of a system that says what a test wants."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from click.testing import CliRunner

from edged.cli import doctor_checks, load_command
from edged.cli.commissioning import LINES
from edged.cli.doctor_checks import CHECKS
from edged.config import load
from tests.links.test_mqtt_tls import certificate
from tests.support.brokers import real_mosquitto

ROOT = Path(__file__).parents[2]
SYSTEMCTL = """#!/bin/sh
case "$*" in
  *LoadState*) echo loaded ;;
  *FragmentPath*) echo /etc/systemd/system/edged.service ;;
  *RuntimeWatchdogUSec*) echo 30s ;;
  *WatchdogUSec*) echo {watchdog} ;;
  *Restart\\ *) echo always ;;
  *StartLimitIntervalUSec*) echo {limit} ;;
  *LimitNOFILE*) echo {files} ;;
esac
"""


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_checks, "SYNCS", 5)


def hall(directory: Path, **edits: str) -> Path:
    """The smallest hall, with its text changed."""
    text = (ROOT / "configs/hall-small.toml").read_text()
    for before, after in edits.items():
        found = {"port": "port = 1883", "path": 'path = "small.db"', "web": "port = 9464"}[before]
        assert found in text
        text = text.replace(found, after)
    file = directory / "hall.toml"
    file.write_text(text)
    return file


def doctor(file: Path, *words: str) -> tuple[int, str]:
    """Run the doctor; return its exit code and its output."""
    runner = CliRunner()
    done = runner.invoke(load_command("doctor"), ["--config", str(file), *words])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output


async def looks(file: Path) -> dict[str, Any]:
    """Run the doctor on ``file`` and return the result of each of its checks, by name."""
    _, output = await asyncio.to_thread(doctor, file, "--json")
    found: dict[str, Any] = json.loads(output)["looks"]
    return found


TIMED = """#!/bin/sh
case "$*" in
  *LoadState*) echo loaded ;;
  *ActiveState*) echo {state} ;;
  *Environment*) echo EDGED_BACKUP={place} ;;
esac
"""


@pytest.mark.parametrize(
    ("state", "age_s", "other_disk", "verdict", "expected"),
    [
        ("inactive", 60, True, "ill", "is not enabled"),
        ("active", None, True, "ill", "there is no backup in"),
        ("active", 3000, True, "ill", "is 50 minutes old"),
        ("active", 60, False, "ill", "is on the journal's own disk"),
        ("active", 60, True, "well", "1 minutes old"),
    ],
)
def test_backups_that_are_missing_old_or_on_the_same_disk_are_found(
    state: str,
    age_s: int | None,
    other_disk: bool,
    verdict: str,
    expected: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    place = Path("/dev/shm" if other_disk else tmp_path) / f"edged-backups-{os.getpid()}"
    place.mkdir()
    try:
        if age_s is not None:
            made = place / "edged-small-20261130-080000.tar.gz"
            made.touch()
            os.utime(made, (time.time() - age_s, time.time() - age_s))
        systemctl = tmp_path / "systemctl"
        systemctl.write_text(TIMED.format(state=state, place=place))
        systemctl.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        found = CHECKS["backup"](load(hall(tmp_path)))
    finally:
        shutil.rmtree(place)
    assert (found.state, expected in found.english) == (verdict, True), found


async def test_a_broker_is_asked_with_our_name_and_without(tmp_path: Path) -> None:
    async with real_mosquitto() as broker:
        checks = await looks(hall(tmp_path, port=f"port = {broker.port}"))
        assert checks["broker"]["state"] == "well"
        assert checks["broker-guard"]["state"] == "ill", "anybody may connect to this one"
        assert set(checks) == set(CHECKS)
    checks = await looks(hall(tmp_path, port=f"port = {broker.port}"))
    assert checks["broker"]["state"] == "ill"
    assert str(broker.port) in checks["broker"]["en"]
    assert checks["broker-guard"]["state"] == "unknown"


async def test_a_broker_that_wants_a_password_is_well_guarded(tmp_path: Path) -> None:
    (tmp_path / "names").write_text("small:secret\n")
    await (await asyncio.create_subprocess_exec("mosquitto_passwd", "-U", tmp_path / "names")).wait()
    (tmp_path / "password").write_text("secret\n")
    guard = ("allow_anonymous false", f"password_file {tmp_path / 'names'}")
    async with real_mosquitto(*guard) as broker:
        login = f'port = {broker.port}\nusername = "small"\npassword_file = "password"'
        checks = await looks(hall(tmp_path, port=login))
        assert (checks["broker"]["state"], checks["broker-guard"]["state"]) == ("well", "well")
        assert checks["secrets"]["state"] == "well"
        (tmp_path / "password").unlink()
        checks = await looks(hall(tmp_path, port=login))
        assert (checks["broker"]["state"], checks["secrets"]["state"]) == ("ill", "ill")


def test_a_certificate_that_ends_this_month_is_ill(tmp_path: Path) -> None:
    """The certificate of this test is good for a day."""
    certificate(tmp_path, "broker")
    file = hall(tmp_path, port='port = 8883\ntls = { ca_file = "broker.pem" }')
    found = CHECKS["secrets"](load(file))
    assert found.state == "ill"
    assert f"ends within 30 days: {tmp_path / 'broker.pem'}: 0 d" in found.english


@pytest.mark.parametrize(
    ("watchdog", "limit", "files", "ill"),
    [
        ("6s", "0", "1024", set()),
        ("1min", "0", "1024", {"watchdog"}),
        ("0", "10s", "256", {"watchdog", "unit", "limits"}),
    ],
)
def test_the_installed_unit_is_compared_with_the_shipped_one(
    watchdog: str, limit: str, files: str, ill: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "systemctl"
    program.write_text(SYSTEMCTL.format(watchdog=watchdog, limit=limit, files=files))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    small = load(hall(tmp_path))
    found = {name: CHECKS[name](small).state for name in ("watchdog", "unit", "limits")}
    assert {name for name, state in found.items() if state == "ill"} == ill
    assert set(found.values()) <= {"well", "ill"}


def test_a_journal_on_a_disk_of_memory_is_ill_and_ports_want_lasting_names(tmp_path: Path) -> None:
    assert CHECKS["room"](load(hall(tmp_path, path='path = "/dev/shm/edged/hall.db"'))).state == "ill"
    example = ROOT / "configs/hall-example.toml"
    gone = CHECKS["serial"](load(example)).english
    assert "not there: /dev/serial/by-path/" in gone
    assert "; this machine has " in gone
    text = example.read_text()
    for port, device in ((1, "null"), (2, "zero")):
        text = text.replace(
            f"/dev/serial/by-path/pci-0000:00:14.0-usb-0:1.{port}:1.0-port0", f"/dev/{device}"
        )
    loose = tmp_path / "loose.toml"
    loose.write_text(text)
    assert "names that change with a replug: /dev/null, /dev/zero" in CHECKS["serial"](load(loose)).english


def test_the_checklist_is_for_people_of_two_languages_and_for_programs(tmp_path: Path) -> None:
    file = hall(tmp_path)
    code, both = doctor(file, "--commission")
    assert code == 1, "there is no broker"
    for line in LINES:
        assert f"□ {line.case}" in both
        assert all(text in both for text in (*line.do, *line.see))
        assert (f"(≤ {line.within_s} s)" in both) or not line.within_s
    assert "go-on A057" in both
    _, chinese = doctor(file, "--commission", "--lang", "zh")
    assert "应急卡" in chinese
    assert not any(line.do[1] in chinese for line in LINES)
    _, output = doctor(file, "--commission", "--json")
    assert [line["case"] for line in json.loads(output)["checklist"]] == [line.case for line in LINES]


def test_every_line_of_the_checklist_has_a_check_that_exists() -> None:
    assert {line.check for line in LINES if line.check} == set(CHECKS), "a check in no line, or the reverse"
    assert len({line.case for line in LINES}) == len(LINES)


def test_a_broken_file_is_told_line_by_line(tmp_path: Path) -> None:
    (tmp_path / "hall.toml").write_text("[hall\n")
    code, output = doctor(tmp_path / "hall.toml")
    assert code == 2
    assert output.startswith(f"{tmp_path / 'hall.toml'}:1: TOML:")


def test_a_host_that_nobody_knows_is_ill(tmp_path: Path) -> None:
    file = hall(tmp_path)
    file.write_text(
        file.read_text().replace('host = "127.0.0.1"\nport = 1883', 'host = "broker.invalid"\nport = 1883')
    )
    found = doctor_checks.check_names(load(file))
    assert found.state == "ill"
    assert "broker.invalid" in found.english
    assert doctor_checks.check_names(load(hall(tmp_path))).state == "well"


@pytest.mark.parametrize(("mode", "state"), [(0o600, "ill"), (0o604, "well")])
def test_a_key_that_the_broker_may_not_read_is_ill(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int, state: str
) -> None:
    with TemporaryDirectory(dir="/var/tmp") as folder:  # others may pass through its parents
        place = Path(folder)
        place.chmod(0o755)
        key = place / "broker.key"
        key.write_text("secret")
        key.chmod(mode)
        (place / "edged.conf").write_text(f"listener 8883\nkeyfile {key}\n")
        monkeypatch.setattr(doctor_checks, "MOSQUITTO", folder)
        monkeypatch.setattr(doctor_checks, "MOSQUITTO_USER", "nobody")
        found = doctor_checks.check_broker_key(load(hall(tmp_path)))
    assert found.state == state
    assert state == "well" or str(key) in found.english
