"""Starts the programs of a simulated city in one folder. If this process is killed, a guard process ends them and
deletes the folder.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Self

from edged.clock import monotonic_s

STOP_S = 15.0  # then it is killed
CHECK_S = 0.02


class PartMissing(RuntimeError):
    """A program that the simulated city needs is not installed or does not start. The text says what to do."""


class CityProcesses:
    """The programs of a simulated city: ``start`` them inside ``async with CityProcesses() as programs``. All have
    ended when the block ends.
    """

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="edged-city-"))
        self.folder.chmod(0o755)  # PostgreSQL may have to run as another user
        self._running: dict[asyncio.subprocess.Process, int] = {}

    async def __aenter__(self) -> Self:
        self._guard = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "edged.sim.city.guard", str(self.folder)),
            stdin=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        return self

    async def __aexit__(self, *_exc: object) -> None:
        for process in reversed(list(self._running)):
            await self.end(process, self._running[process])
        assert self._guard.stdin is not None
        self._guard.stdin.close()
        await self._guard.wait()

    async def start(
        self, *command: str | Path, end: int = signal.SIGTERM, log: str | None = None, **settings: Any
    ) -> asyncio.subprocess.Process:
        """Start a program. ``end``: the signal that ends it when the ``async with`` block ends; ``log``: name of the
        file in the folder for its output, None to drop the output.

        ``settings`` are arguments of ``subprocess.Popen``. Ctrl-C in the terminal does not reach the program.
        """
        output: IO[bytes] | int = asyncio.subprocess.DEVNULL
        if log is not None:
            output = (self.folder / log).open("ab")
        try:
            process = await asyncio.create_subprocess_exec(
                *map(str, command),
                **{"stdin": asyncio.subprocess.DEVNULL, "stdout": output, "stderr": output} | settings,
                start_new_session=True,
            )
        finally:
            if not isinstance(output, int):
                output.close()
        self._running[process] = end
        self._send_line(f"+{process.pid} {int(end)}")
        return process

    async def run(self, *words: str, within_s: float = 120.0) -> tuple[int, str]:
        """Run ``edged WORDS...`` in the folder to its end; returns exit code and output. Raises ``TimeoutError`` if it
        takes longer than ``within_s`` seconds.
        """
        pipe = asyncio.subprocess.PIPE
        process = await self.start(
            *(sys.executable, "-m", "edged", *words),
            cwd=self.folder,
            stdout=pipe,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            async with asyncio.timeout(within_s):
                output, _ = await process.communicate()
        finally:
            await self.end(process, signal.SIGKILL)
        assert process.returncode is not None
        return process.returncode, output.decode()

    async def end(self, process: asyncio.subprocess.Process, number: int = signal.SIGTERM) -> None:
        """Send a program the signal ``number`` and wait until it has ended; after ``STOP_S`` seconds kill it with
        SIGKILL.
        """
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.send_signal(number)
            try:
                async with asyncio.timeout(STOP_S):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()
        if self._running.pop(process, None) is not None:
            self._send_line(f"-{process.pid}")

    def _send_line(self, line: str) -> None:
        assert self._guard.stdin is not None
        self._guard.stdin.write(line.encode() + b"\n")


async def accepts(process: asyncio.subprocess.Process, port: int, name: str, within_s: float = 20.0) -> None:
    """Wait until ``process`` accepts connections on a port of this machine. Raises ``PartMissing`` if it ends before or
    ``within_s`` seconds pass; ``name`` is what the program is called in the text of this exception.
    """
    until_s = monotonic_s() + within_s
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            if process.returncode is not None or monotonic_s() > until_s:
                raise PartMissing(f"{name} does not start (exit code {process.returncode})") from None
            await asyncio.sleep(CHECK_S)
        else:
            writer.close()
            return


def as_user(name: str) -> dict[str, Any]:
    """Return arguments for ``CityProcesses.start`` that run a program as user ``name``, because some refuse to run as
    root; {} if we are not root.
    """
    return {"user": name, "group": name, "extra_groups": []} if os.geteuid() == 0 else {}
