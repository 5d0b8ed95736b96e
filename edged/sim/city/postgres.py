"""Starts a PostgreSQL server for a simulated city, in its own folder, on a Unix socket only."""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

from edged.clock import monotonic_s
from edged.sim.city.processes import CityProcesses, PartMissing, as_user

START_S = 60.0
CHECK_S = 0.05
USER = "postgres"
PLACES = ("/usr/lib/postgresql/*/bin", "/opt/homebrew/opt/postgresql*/bin", "/usr/pgsql-*/bin")
# Without fsync: the data need not survive a power cut.
SETTINGS = ("fsync=off", "full_page_writes=off", "max_connections=40", "listen_addresses=")


def postgres_folder() -> Path | None:
    """Find the folder with the programs initdb and postgres; None if PostgreSQL is not installed."""
    found = [file for place in PLACES for file in sorted(Path("/").glob(f"{place[1:]}/initdb"))]
    named = shutil.which("initdb")
    found += [] if named is None else [Path(named)]
    return found[0].parent if found else None


class CityPostgres:
    """A PostgreSQL server for the city; started again after ``kill``, it has the same data and the same address
    (``dsn``). Raises ``PartMissing`` if PostgreSQL is not installed, or if we are root and the user ``USER``, under
    whom it must run, does not exist.
    """

    def __init__(self, programs: CityProcesses) -> None:
        found = postgres_folder()
        if found is None:
            raise PartMissing(
                "PostgreSQL is not installed here (Debian: apt-get install postgresql) / 未安装 PostgreSQL"
            )
        self._bin = found
        self._programs = programs
        self._folder = programs.folder / "postgres"
        self._folder.mkdir()
        self._user = as_user(USER)
        if self._user:
            try:
                pwd.getpwnam(USER)
            except KeyError:
                raise PartMissing(
                    f"PostgreSQL does not run as root: make a user {USER}, or start this as another one"
                ) from None
            shutil.chown(self._folder, USER)
        self.dsn = f"host={self._folder} user={USER} dbname=postgres"
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start the server and wait until it accepts a connection. Raises ``PartMissing`` if that takes longer than
        ``START_S`` or the server ends.
        """
        data = self._folder / "data"
        settings: dict[str, Any] = {"cwd": self._folder, "log": "postgres.log"} | self._user
        if not data.exists():
            made = await self._programs.start(
                *(f"{self._bin}/initdb", "-D", f"{data}"),
                *("-A", "trust", "-U", USER, "--no-sync", "-E", "UTF8"),
                **settings,
            )
            await made.wait()
            await self._programs.end(made)
        words = [word for one in SETTINGS for word in ("-c", one)]
        self._process = await self._programs.start(
            *(f"{self._bin}/postgres", "-D", f"{data}", "-k", f"{self._folder}", *words),
            end=signal.SIGQUIT,
            **settings,
        )
        until_s = monotonic_s() + START_S
        while not await asyncio.to_thread(self._answers):
            if self._process.returncode is not None or monotonic_s() > until_s:
                tail = (self._programs.folder / "postgres.log").read_text(errors="replace")[-500:]
                raise PartMissing(f"PostgreSQL does not start: {tail}")
            await asyncio.sleep(CHECK_S)

    async def kill(self) -> None:
        """Kill the server and all its processes with SIGKILL."""
        assert self._process is not None
        children = _children(self._process.pid)
        self._process.kill()
        for pid in children:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        await self._programs.end(self._process)

    def _answers(self) -> bool:
        import psycopg

        try:
            psycopg.connect(self.dsn, connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True


def rows(dsn: str, query: str, *values: Any) -> list[Any]:
    """Run one query on a new connection and return its rows."""
    import psycopg

    with psycopg.connect(dsn, connect_timeout=5) as connection:
        return connection.execute(query.encode(), values or None).fetchall()


def _children(pid: int) -> list[int]:
    with suppress(OSError):
        return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []
