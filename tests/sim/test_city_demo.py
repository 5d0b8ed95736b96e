"""``edged centre demo`` as its user starts it: the whole story in a few seconds; however it ends, no process is
left.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import pytest

from edged.sim.city.postgres import postgres_folder
from tests.support.brokers import _mosquitto_path, until
from tests.support.daemons import ROOT, hear_ctrl_c
from tests.support.needs import lacking


async def started(*words: str) -> asyncio.subprocess.Process:
    _mosquitto_path()
    if postgres_folder() is None:
        lacking("PostgreSQL is not installed (apt-get install postgresql)")
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "edged", "centre", "demo", *words),
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        preexec_fn=hear_ctrl_c,
    )


async def test_a_city_takes_a_policy_and_loses_a_line_for_a_while() -> None:
    process = await started("--halls", "2", "--daemons", "1", "--minutes", "0.05", "--json")
    async with asyncio.timeout(120):
        out, output = await process.communicate()
    assert process.returncode == 0, output.decode() + out.decode()
    summary = json.loads(out)
    assert (summary["halls"], summary["daemons"], summary["wrong_halls"]) == (2, 1, [])
    assert summary["events"] == summary["stored"] > 0
    assert (summary["policy_refused"], summary["policy_applied"], summary["policy_silent"]) == (
        ["hall002"],
        2,
        [],
    )
    assert summary["line_cut_s"] == 2


@pytest.mark.parametrize(
    ("number", "code"),
    [pytest.param(signal.SIGINT, 130, marks=pytest.mark.long), (signal.SIGKILL, -signal.SIGKILL)],
)
async def test_the_city_demo_leaves_no_process_and_no_folder(number: int, code: int) -> None:
    process = await started("--halls", "1", "--daemons", "0")
    assert process.stderr is not None
    async with asyncio.timeout(60):
        folder = Path((await process.stderr.readline()).decode().split()[-1])
        while b"halls are online" not in (line := await process.stderr.readline()):
            assert line, "it ended"
    assert len(running(folder)) >= 3  # PostgreSQL, broker, guard
    process.send_signal(number)
    async with asyncio.timeout(30):
        _, output = await process.communicate()
    assert (process.returncode, b"Traceback" in output) == (code, False), output.decode()
    await until(lambda: not folder.exists() and not running(folder))


def running(folder: Path) -> list[bytes]:
    """Command lines of programs that name the folder."""
    found = []
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = place.read_bytes()
        except OSError:
            continue
        if str(folder).encode() in line:
            found.append(line)
    return found
