"""Two versions of the program that decide differently, one after the other, in a hall with visitors."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.brokers import until
from tests.support.daemons import ROOT, Daemon, Hall, Machines

OURS = "heads = [(lane, tickets[queue[0]]) for lane, queue in _lanes(turn, window)]"
THEIRS = OURS.replace("queue[0]", "queue[-1]")  # whoever came last is called first


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with another version of the program: it calls whoever came last."""
    folder = tmp_path_factory.mktemp("before")
    for package in ("edged", "devices", "configs"):
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    ordering = folder / "edged" / "core" / "queue" / "ordering.py"
    text = ordering.read_text()
    assert text.count(OURS) == 1
    ordering.write_text(text.replace(OURS, THEIRS))
    return folder


def run_version(daemon: Daemon, version: Path) -> None:
    """Run this version of the program from the daemon's next start on."""
    daemon.before = ("env", "-C", str(version))
    daemon.environ["PYTHONPATH"] = str(version)


def printed(machines: Machines) -> list[str]:
    """Numbers on paper, in order."""
    return [str(fields["number"]) for kind, fields in machines.dispenser.actions if kind == "print"]


def at_window_1(machines: Machines) -> object:
    return machines.panel.shown.get("panel", {}).get("number")


async def take(machines: Machines, count: int) -> None:
    """One after the other, so that numbers and ids go together."""
    for _ in range(count):
        before = len(printed(machines))
        machines.dispenser.request("tax-general")
        await until(lambda before=before: len(printed(machines)) > before)  # type: ignore[misc]


async def killed_while_serving(daemon: Daemon, machines: Machines) -> None:
    """Five visitors wait, the last of them is called at window 1, and the process is gone."""
    await daemon.start()
    machines.panel.press("login")
    await take(machines, 5)
    machines.panel.press("next")
    await until(lambda: at_window_1(machines) == "A005")
    await until(lambda: machines.ids(machines.voice, "say") != [])  # said once it is on the disk
    await daemon.kill()


def settle(version: Path, files: Hall) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["env", "-C", str(version), sys.executable, "-m", "edged", "settle", str(files.journal)],
        env=os.environ | {"PYTHONPATH": str(version)},
        capture_output=True,
        text=True,
        check=False,
    )


async def test_a_call_of_the_version_before_still_counts_after_an_upgrade(
    hall: tuple[Hall, Daemon, Machines], before: Path
) -> None:
    """It was killed: its last steps have no state dump, and this version would have called A001."""
    files, daemon, machines = hall
    run_version(daemon, before)
    await killed_while_serving(daemon, machines)
    assert settle(ROOT, files).returncode == 1, "what another version decided is not ours to dump"
    run_version(daemon, ROOT)
    await daemon.restart()
    assert daemon.logged("recorded-outcome-kept")
    await until(lambda: at_window_1(machines) == "A005")
    assert "decided-otherwise" not in files.get("/healthz")[1], "all of it could be brought in"
    machines.panel.press("arrive")
    machines.panel.press("finish")
    machines.panel.press("next")
    await until(lambda: at_window_1(machines) == "A001")
    await take(machines, 2)
    await daemon.kill()
    await daemon.restart()
    assert len(daemon.logged("recorded-outcome-kept")) == 1, "those steps are settled"
    await until(lambda: at_window_1(machines) == "A001")
    assert len(set(printed(machines))) == 7
    ids = machines.ids(machines.dispenser, "print")
    assert len(dict(zip(ids, printed(machines), strict=True))) == len(set(ids)) == 7
    assert await daemon.stop() == 0


async def test_the_version_before_dumps_its_own_steps(
    hall: tuple[Hall, Daemon, Machines], before: Path
) -> None:
    """As the install program does before it switches: nothing is left to decide."""
    files, daemon, machines = hall
    run_version(daemon, before)
    await killed_while_serving(daemon, machines)
    done = await asyncio.to_thread(settle, before, files)
    assert done.returncode == 0, done.stderr
    run_version(daemon, ROOT)
    await daemon.restart()
    assert not daemon.logged("recorded-outcome-kept")
    await until(lambda: at_window_1(machines) == "A005")
    assert settle(ROOT, files).returncode == 75, "not under a running daemon"
    machines.panel.press("no-show")
    machines.panel.press("next")
    await until(lambda: at_window_1(machines) == "A001")
    assert await daemon.stop() == 0
    assert "0 steps" in settle(ROOT, files).stdout
