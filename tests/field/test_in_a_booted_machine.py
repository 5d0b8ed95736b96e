"""What only a machine with systemd shows: a journald that was away, and root's commands while the unit is down.

Booting takes a while, so only with ``-m full``.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from edged.clock import monotonic_s
from tests.support.brokers import until
from tests.support.containers import Container, booted
from tests.support.daemons import Daemon, Hall, Machines

pytestmark = pytest.mark.full
Parts = tuple[Hall, Daemon, Machines]
JOURNALD = (
    "systemd-journald.socket",
    "systemd-journald-dev-log.socket",
    "systemd-journald-audit.socket",
    "systemd-journald.service",
)
EDGED = ("env", "LD_LIBRARY_PATH=/opt/edged/python/lib", "/opt/edged/venv/bin/python", "-I", "-m", "edged")
CONFIG = ("--config", "/etc/edged/hall.toml")
SECRET = "/run/credentials/edged.service/secrets_broker"


def installed(files: Hall) -> Path:
    """The hall's file as it stands on a machine: its journal and its secret where the unit has them."""
    files.edit('path = "hall.db"', 'path = "/var/lib/edged/hall.db"')
    files.edit('username = "edged"', f'username = "edged"\npassword_file = "{SECRET}"')
    return files.file


async def lines(container: Container) -> int:
    """Return how often the daemon has logged that it read hall.toml again."""
    logged = await container.call("journalctl", "-u", "edged", "--no-pager", "-o", "cat")
    return logged.count('"reloaded"')


async def test_logging_resumes_when_journald_returns_and_root_may_use_a_stopped_units_secrets(
    hall: Parts, tmp_path: Path
) -> None:
    """One boot for both: logging goes on once journald is back; root reads the secrets of a stopped unit."""
    files, _, machines = hall
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "broker").write_text("open sesame\n")
    async with booted(tmp_path / "box", installed(files), {secrets: "/etc/edged/secrets"}) as container:
        assert (await container.call("sh", "-c", "systemctl reload edged; echo $?")).endswith("0")
        assert await lines(container) == 1
        await container.call("systemctl", "stop", *JOURNALD)
        await asyncio.sleep(2)
        await container.call("systemctl", "reload", "edged")  # said to nobody
        await container.call("systemctl", "start", *JOURNALD[:3], JOURNALD[3])
        machines.tickets(1)
        await until(lambda: machines.panel.waiting == 1)
        before, deadline_s = await lines(container), monotonic_s() + 20
        while (
            await lines(container) == before
        ):  # what is said in the second between two tries is lost, and counted
            assert monotonic_s() < deadline_s
            await container.call("systemctl", "reload", "edged")
            await asyncio.sleep(1.2)

        await container.call("systemctl", "stop", "edged")
        doctor = await container.call("sh", "-c", " ".join([*EDGED, "doctor", *CONFIG, "2>&1"]))
        assert "✓ secrets" in doctor, doctor
        assert "✓ broker " in doctor, doctor
        status = await container.call(*EDGED, "status", *CONFIG)
        assert "not running on this machine" in status, status
        cases = await container.call("sh", "-c", " ".join([*EDGED, "cases", *CONFIG, "2>&1"]))
        assert "Traceback" not in cases
        assert "cannot be read" not in cases
