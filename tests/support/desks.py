"""Runs real ``edged`` commands in a directory, as a policy author does, and the daemon of a hall there."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from edged.links.mqtt.link import MqttLink
from tests.support.brokers import collect, until
from tests.support.daemons import ROOT

ENVIRON = os.environ | {
    "PYTHONPATH": str(ROOT),
    "XDG_RUNTIME_DIR": str(Path(__file__).parent),
}  # no demo runs here
COMMAND_S = 90.0
STOP_S = 60.0


class Desk:
    """The working directory of somebody who runs ``edged`` commands."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    async def run(self, *arguments: str) -> tuple[int, str]:
        """Run ``edged`` with ``arguments``; returns its exit code and all its output."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "edged", *arguments),
            cwd=self.directory,
            env=ENVIRON,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        async with asyncio.timeout(COMMAND_S):
            out, _ = await process.communicate()
        assert process.returncode is not None
        return process.returncode, out.decode()

    def write(self, name: str, document: object) -> str:
        """Write ``document`` as JSON to the file ``name`` of the directory; returns the name."""
        (self.directory / name).write_text(json.dumps(document))
        return name


@asynccontextmanager
async def hall_process(directory: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run ``edged run`` with the hall.toml in ``directory`` while the block runs."""
    with (directory / "run.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "edged", "run", "-c", "hall.toml"), cwd=directory, env=ENVIRON, stderr=log
        )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        async with asyncio.timeout(STOP_S):
            await process.wait()


@asynccontextmanager
async def hall_in_service(directory: Path, link: MqttLink, state: bytes = b'"online"') -> AsyncIterator[None]:
    """Run ``hall_process`` for the hall "east"; the block begins once its status message contains ``state``: "online",
    or "degraded" if devices are lost.
    """
    said = collect(link, "hall/east/status")
    async with hall_process(directory):
        await until(lambda: any(state in message.payload for message in said))
        yield
