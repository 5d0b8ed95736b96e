"""Runs Debian's PostgreSQL for a test: in its own directory, on a Unix socket; as user postgres if we are root."""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg

from tests.support.needs import lacking

START_S = 30.0
# No wait for a disk: the machine stays up. synchronous_commit: what a careless city has; the ledger asks for more.
SETTINGS = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=40")


class Postgres:
    """A PostgreSQL server. A test may ``start`` and ``kill`` it any number of times; directory and socket stay the
    same.
    """

    def __init__(self, programs: Path, directory: Path) -> None:
        self._programs = programs
        self.directory = directory
        self.dsn = f"host={directory} user=postgres dbname=postgres"
        self._as: dict[str, Any] = {}
        if os.getuid() == 0:
            self._as = {"user": "postgres", "group": "postgres", "extra_groups": []}
            shutil.chown(directory, "postgres")
        self._run(
            "initdb",
            "-D",
            str(directory / "data"),
            "-A",
            "trust",
            "-U",
            "postgres",
            "--no-sync",
            "-E",
            "UTF8",
        )
        self._process: subprocess.Popen[bytes] | None = None

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [self._programs / program, *arguments],
            check=True,
            capture_output=True,
            cwd=self.directory,
            timeout=120,
            **self._as,
        )

    def start(self) -> None:
        settings = [word for one in SETTINGS for word in ("-c", one)]
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *(self._programs / "postgres", "-D", self.directory / "data", "-k", self.directory),
                    *("-c", "listen_addresses=", *settings),
                ],
                cwd=self.directory,
                stdout=log,
                stderr=log,
                **self._as,
            )
        deadline = time.monotonic() + START_S
        while True:
            try:
                psycopg.connect(self.dsn).close()
            except psycopg.OperationalError:
                assert time.monotonic() < deadline, (self.directory / "log").read_text()[-2000:]
                time.sleep(0.02)
            else:
                return

    def kill(self) -> None:
        """Kill the server and its child processes by SIGKILL, so that nothing can be shut down in order."""
        assert self._process is not None
        children = [int(pid) for pid in _children(self._process.pid)]
        for pid in (self._process.pid, *children):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait()

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self.kill()

    def rows(self, query: str, *values: Any) -> list[Any]:
        """Run one query on a connection of its own; returns all rows."""
        with psycopg.connect(self.dsn) as connection:
            return connection.execute(query.encode(), values).fetchall()

    def value(self, query: str, *values: Any) -> Any:
        """Run one query; returns the first column of the first row, None without a row."""
        found = self.rows(query, *values)
        return found[0][0] if found else None


def _children(pid: int) -> list[str]:
    with suppress(OSError):
        return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return []


def _programs() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        lacking("PostgreSQL is not installed (apt-get install postgresql)")
    with suppress(KeyError):
        pwd.getpwnam("postgres")
    return found[-1].parent


@contextmanager
def real_postgres() -> Iterator[Postgres]:
    """Run a new PostgreSQL server while the block runs; its files are deleted at the end."""
    programs = _programs()
    directory = Path(tempfile.mkdtemp(prefix="edged-postgres-"))
    directory.chmod(0o755)
    server = Postgres(programs, directory)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(directory, ignore_errors=True)


@asynccontextmanager
async def postgres_beside() -> AsyncIterator[Postgres]:
    """``real_postgres`` for async tests: it starts and stops the server in a thread, so that the event loop is not
    blocked.
    """
    block = real_postgres()
    server = await asyncio.to_thread(block.__enter__)
    try:
        yield server
    finally:
        await asyncio.to_thread(block.__exit__, None, None, None)
