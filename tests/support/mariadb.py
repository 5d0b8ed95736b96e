"""Runs Debian's MariaDB for a test: in its own directory, on a free port; as user mysql if we are root."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pymysql  # type: ignore[import-untyped]

from edged.sim.broker import free_port
from tests.support.needs import lacking

SERVER, INSTALL = "/usr/sbin/mariadbd", "/usr/bin/mariadb-install-db"
START_S = 60.0


@contextmanager
def mariadb() -> Iterator[str]:
    """Run a MariaDB with an empty database "queue"; yields its SQLAlchemy URL. Where it is not installed the test is
    skipped (under CI it fails).
    """
    if not Path(SERVER).exists():
        lacking("MariaDB is not installed (apt-get install mariadb-server)")
    directory = Path(tempfile.mkdtemp(prefix="edged-mariadb-"))
    directory.chmod(0o755)
    try:
        with _served(directory) as url:
            yield url
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def _served(directory: Path) -> Iterator[str]:
    data, port = directory / "data", free_port()
    data.mkdir()
    as_user: dict[str, Any] = {}
    if os.getuid() == 0:
        as_user = {"user": "mysql", "group": "mysql", "extra_groups": []}
        shutil.chown(data, "mysql", "mysql")
    where = ("--no-defaults", f"--datadir={data}")
    made = subprocess.run(
        [INSTALL, *where, "--auth-root-authentication-method=normal", "--skip-test-db"],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
        **as_user,
    )
    assert made.returncode == 0, made.stdout + made.stderr
    options = (
        f"--port={port}",
        f"--socket={data}/s",
        "--bind-address=127.0.0.1",
        "--skip-grant-tables",
        "--skip-name-resolve",
    )
    server = subprocess.Popen(
        [SERVER, *where, *options, "--innodb-flush-log-at-trx-commit=0"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        **as_user,
    )
    try:
        deadline = time.monotonic() + START_S
        while True:
            try:
                with pymysql.connect(host="127.0.0.1", port=port, user="root") as connection:
                    connection.cursor().execute("CREATE DATABASE queue CHARACTER SET utf8mb4")
                break
            except pymysql.MySQLError:
                assert server.poll() is None, "mariadbd ended"
                assert time.monotonic() < deadline, "mariadbd does not accept"
                time.sleep(0.05)
        yield f"mysql+pymysql://root@127.0.0.1:{port}/queue?charset=utf8mb4"
    finally:
        server.terminate()
        with suppress(subprocess.TimeoutExpired):
            server.wait(20)
        server.kill()
        server.wait()
