"""A mistake in hall.toml costs nobody the hall: not when it is made, and not at the next start.

The same is known of others: Home Assistant got a recovery mode for a bad configuration.yaml; nginx and HAProxy keep
serving what they have when a reload is refused, fail the reload, and are dark after the next boot. Here: reload,
start, and every file that hall.toml names.
"""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edged.config import accepted
from tests.support.brokers import until
from tests.support.daemons import Daemon, Hall, Machines, edged

Parts = tuple[Hall, Daemon, Machines]


async def reload(files: Hall) -> tuple[int, str]:
    """Run ``edged reload`` as the unit does; return its exit code and its output."""
    done = await asyncio.to_thread(edged, "reload", "--config", str(files.file))
    return done.returncode, done.stdout + done.stderr


async def health(files: Hall) -> dict[str, Any]:
    _, text = await asyncio.to_thread(files.get, "/healthz")
    found: dict[str, Any] = json.loads(text)
    return found


def misspelt(files: Hall) -> None:
    files.edit('path = "hall.db"', 'path = "hall.db"\nkeep_dayz = 9')


def cut_off(files: Hall) -> None:
    """An editor or a full disk left half of it."""
    whole = files.file.read_bytes()
    files.file.write_bytes(whole[: len(whole) // 2])


def merged(files: Hall) -> None:
    """Marks of a merge that nobody finished (Home Assistant, openHAB: people keep their configuration in git)."""
    files.edit("[hall]", "<<<<<<< HEAD\n[hall]")


def saved_as_utf16(files: Hall) -> None:
    """Notepad's "Unicode"."""
    files.file.write_bytes(files.file.read_text().encode("utf-16"))


def emptied(files: Hall) -> None:
    """A copy onto a full disk."""
    files.file.write_bytes(b"")


def removed(files: Hall) -> None:
    files.file.unlink()


def folder_instead(files: Hall) -> None:
    """Docker makes a folder where the file to be mounted is not there (moby: bind mounts of missing files)."""
    files.file.unlink()
    files.file.mkdir()


SPOILT = (misspelt, cut_off, merged, saved_as_utf16, emptied, removed, folder_instead)


@pytest.mark.parametrize("spoil", SPOILT, ids=lambda one: one.__name__)
async def test_a_refused_reload_is_shown_and_the_next_start_uses_the_accepted_file(
    hall: Parts, spoil: Callable[[Hall], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    files, daemon, machines = hall
    monkeypatch.setenv("STATE_DIRECTORY", str(files.directory))  # as systemd does
    good = files.file.read_bytes()
    await daemon.start()
    assert (await reload(files))[0] == 0
    spoil(files)
    code, output = await reload(files)
    assert code == 1
    assert "未生效" in output
    await assert_refusal_shown(files)
    await daemon.kill()

    await daemon.restart()
    machines.tickets(1)
    await until(lambda: machines.panel.waiting == 1)
    await assert_refusal_shown(files)
    if spoil is misspelt:
        status = await asyncio.to_thread(edged, "status", "--config", str(files.file))
        assert "hall.toml is refused" in status.stdout
        assert "ALARM hall.toml: 配置文件有误" in status.stdout

    restore_file(files, good)
    code, output = await reload(files)
    assert (code, "taken" in output) == (0, True), output
    now = await health(files)
    assert now["config_mistakes"] == []
    assert await files.metric("edged_config_accepted") == 1
    await until(lambda: "config-refused/hall.toml" not in json.loads(files.get("/healthz")[1])["alarms"])


async def assert_refusal_shown(files: Hall) -> None:
    """Assert that health page, alarm and metrics show the refused file."""
    now = await health(files)
    assert now["config_mistakes"] != []
    assert now["state"] == "degraded"
    assert "config-refused/hall.toml" in now["alarms"]
    assert await files.metric("edged_config_accepted") == 0
    assert await files.metric('edged_alarms{alarm="config-refused"}') == 1


def restore_file(files: Hall, good: bytes) -> None:
    """Write the good content again, whatever stands in its place."""
    if files.file.is_dir():
        files.file.rmdir()
    files.file.write_bytes(good)


async def test_a_file_corrected_to_its_accepted_content_needs_no_reload(hall: Parts) -> None:
    """Whoever takes the mistake back is not told to do more."""
    files, daemon, _machines = hall
    good = files.file.read_bytes()
    await daemon.start()
    misspelt(files)
    daemon.signal(signal.SIGHUP)
    await until(lambda: daemon.logged("reload-refused") != [])
    files.file.write_bytes(good)
    await until(lambda: json.loads(files.get("/healthz")[1])["config_mistakes"] == [])


async def test_a_first_start_with_a_configuration_mistake_names_it_and_ends(hall: Parts) -> None:
    """Nothing was ever accepted: there is nothing to serve with."""
    files, _daemon, _machines = hall
    misspelt(files)
    done = await asyncio.to_thread(edged, "run", "--config", str(files.file))
    assert done.returncode == 2
    assert "keep_dayz" in done.stderr


async def test_the_accepted_configuration_of_another_hall_is_not_used(hall: Parts, tmp_path: Path) -> None:
    files, daemon, _machines = hall
    await daemon.start()
    assert await daemon.stop() == 0
    other = tmp_path / "other.toml"
    assert accepted.last(files.file) is not None
    assert accepted.last(other, {"STATE_DIRECTORY": str(files.directory)}) is None


async def test_a_configuration_change_waiting_for_a_visitor_is_applied_when_the_visit_ends(
    hall: Parts,
) -> None:
    files, daemon, machines = hall
    await daemon.start()
    machines.tickets(1)
    await until(lambda: machines.panel.waiting == 1)
    files.edit('"tax-general"', '"tax-special"')
    code, output = await reload(files)
    assert code == 1
    assert "A001" in output
    assert "config-waiting/hall.toml" in (await health(files))["alarms"]
    machines.panel.press("login")
    machines.panel.press("next")
    await until(lambda: machines.panel.shown.get("panel", {}).get("number") == "A001")
    machines.panel.press("arrive")
    machines.panel.press("finish")
    await until(lambda: files.notes()["ticket.finished"] == 1)
    await until(lambda: files.notes()["site.loaded"] == 2)
    await until(lambda: json.loads(files.get("/healthz")[1])["alarms"] == [])


async def test_a_configuration_change_that_needs_a_restart_raises_an_alarm_until_then(hall: Parts) -> None:
    files, daemon, _machines = hall
    await daemon.start()
    files.edit('path = "hall.db"', 'path = "hall.db"\nkeep_days = 9')
    code, output = await reload(files)
    assert code == 0
    assert "[store] waits for a restart" in output
    assert "config-waiting/hall.toml" in (await health(files))["alarms"]
    assert await daemon.stop() == 0
    await daemon.restart()
    await until(lambda: json.loads(files.get("/healthz")[1])["alarms"] == [])


async def test_the_reload_command_without_a_running_daemon_says_so(hall: Parts) -> None:
    files, daemon, _machines = hall
    code, output = await reload(files)
    assert (code, "no daemon serves" in output) == (1, True)
    await daemon.start()
    assert await daemon.stop() == 0
    code, output = await reload(files)
    assert (code, "no daemon serves" in output) == (1, True)
