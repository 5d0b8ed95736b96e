"""A real systemd, booted with systemd-nspawn on the host's own /usr: no image, no download, the host untouched.

Rules: the root, /etc and /var are memory and gone with the container; the daemon runs from /opt/edged by the shipped
unit, as its user, in its sandbox; the network is the host's, so that brokers and devices of a test are the hall's.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from edged.clock import monotonic_s
from tests.support.brokers import until
from tests.support.needs import lacking

ROOT = Path(__file__).parents[2]
UNITS = ROOT / "systemd"
INSIDE = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"}  # nothing of what the tests themselves run with
BOOT_S = 90.0  # on a busy machine; a quiet one takes three
UNWANTED = ("systemd-firstboot.service", "systemd-networkd.service")
LIBRARIES = "[Service]\nEnvironment=LD_LIBRARY_PATH=/opt/edged/python/lib\n"  # where Python was built as one


class Container:
    """A booted systemd in a container. ``leader``: process id of its first process, as this machine sees it."""

    def __init__(self, process: asyncio.subprocess.Process, leader: int) -> None:
        self._process = process
        self.leader = leader
        self.root = Path("/")  # where its disk is mounted here

    async def call(self, *command: str, within_s: float = 30.0) -> str:
        """Run ``command`` inside; returns what it prints on stdout."""
        inside = ("nsenter", "-t", str(self.leader), "-m", "-u", "-i", "-p", "-n", "--", *command)
        done = await asyncio.to_thread(
            subprocess.run, inside, capture_output=True, text=True, timeout=within_s, check=False, env=INSIDE
        )
        return done.stdout.strip()

    def file(self, place: str) -> Path:
        """The path on this machine of the file ``place`` of the container's disk."""
        return self.root / place.lstrip("/")

    async def shell(self, script: str, within_s: float = 30.0) -> tuple[int, str]:
        """Run a shell script inside; returns its exit code and all its output."""
        said = await self.call("sh", "-c", f"({script}) 2>&1; echo rc=$?", within_s=within_s)
        text, _, code = said.rpartition("rc=")
        return int(code), text

    async def show(self, name: str) -> str:
        """The value of property ``name`` of the daemon's systemd unit."""
        return await self.call("systemctl", "show", "edged", "--value", "-p", name)

    async def signal(self, number: int) -> None:
        """Send signal ``number`` to the daemon."""
        await self.call("kill", f"-{number}", await self.show("MainPID"))

    async def until_restarted(self, before: int, within_s: float) -> None:
        """Wait until systemd has restarted the daemon more than ``before`` times in all; fails after ``within_s``."""
        deadline_s = monotonic_s() + within_s
        while int(await self.show("NRestarts")) <= before:
            assert monotonic_s() < deadline_s, f"still the start after {before} restarts"
            await asyncio.sleep(0.1)

    async def until_state(self, wanted: str, within_s: float) -> None:
        """Wait until the unit's ``ActiveState/SubState`` is ``wanted``; fails after ``within_s``."""
        deadline_s = monotonic_s() + within_s
        while (state := f"{await self.show('ActiveState')}/{await self.show('SubState')}") != wanted:
            log = await self.call("journalctl", "-u", "edged", "--no-pager", "-n", "30")
            assert monotonic_s() < deadline_s, f"{state} instead of {wanted}: {log}"
            await asyncio.sleep(0.1)


@asynccontextmanager
async def booted(
    directory: Path, hall: Path, more: dict[Path, str] | None = None
) -> AsyncIterator[Container]:
    """Boot systemd with the shipped unit and wait until it serves ``hall``, a hall.toml. ``directory``: a scratch
    folder; ``more``: further files of this machine to show inside, each with its path there.
    """
    binds = _files(directory, hall) | (more or {})
    async with _booted(directory, binds, "systemd.wants=edged.service") as container:
        await container.until_state("active/running", BOOT_S)
        yield container


@asynccontextmanager
async def machine_on(root: Path, directory: Path, binds: dict[Path, str]) -> AsyncIterator[Container]:
    """Boot systemd from the folder ``root``, which it may change, without a network. ``binds``: files of this machine
    to show inside, each with its path there.
    """
    async with _booted(
        directory, binds, "systemd.show_status=no", "--private-network", root=root
    ) as container:
        yield container


@asynccontextmanager
async def _booted(
    directory: Path, binds: dict[Path, str], word: str, *options: str, root: Path | None = None
) -> AsyncIterator[Container]:
    """Boot systemd by systemd-nspawn; ``word`` is added to systemd's arguments, ``options`` to those of systemd-nspawn.
    ``root`` None: this machine's own /usr, everything else in memory.
    """
    if os.geteuid() != 0:
        lacking("booting systemd in a container takes root")
    nspawn = shutil.which("systemd-nspawn")
    if nspawn is None:
        lacking("systemd-nspawn is not installed (apt-get install systemd-container)")
    with (directory / "boot.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            nspawn,
            *("--quiet", "--boot", "--register=no", "--keep-unit", f"--machine=edged-{os.getpid()}"),
            *(("--directory=/", "--volatile=yes") if root is None else (f"--directory={root}",)),
            *options,
            *(f"--bind-ro={source}:{place}" for source, place in binds.items()),
            *(
                f"systemd.unit={'basic' if root is None else 'multi-user'}.target",
                word,
                "systemd.firstboot=off",
            ),
            *(f"systemd.mask={unit}" for unit in UNWANTED),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        try:
            await until(lambda: _inits(process.pid) != [], BOOT_S)
            yield Container(process, _inits(process.pid)[0])
        finally:
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)  # nspawn passes it on as a power-off
            try:
                async with asyncio.timeout(20):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()


def _inits(nspawn: int) -> list[int]:
    """The id of the container's first process, as a list; empty until that process has become systemd. ``nspawn``:
    process id of systemd-nspawn.
    """
    children = Path(f"/proc/{nspawn}/task/{nspawn}/children").read_text().split()
    return [int(child) for child in children if Path(f"/proc/{child}/comm").read_text() == "systemd\n"]


def _files(directory: Path, hall: Path) -> dict[Path, str]:
    """The files to show in the container beside /usr: each with its path there."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    opt = directory / "opt"
    site = opt / "venv" / "lib" / version / "site-packages"
    for made in (opt / "venv" / "bin", site, opt / "python", opt / "site", opt / "src"):
        made.mkdir(parents=True)
    (opt / "venv" / "bin" / "python").symlink_to(f"/opt/edged/python/bin/{version}")
    (opt / "venv" / "pyvenv.cfg").write_text("home = /opt/edged/python/bin\n")
    (site / "here.pth").write_text("/opt/edged/src\n/opt/edged/site\n")
    libraries = directory / "libraries.conf"
    libraries.write_text(LIBRARIES)
    return {
        opt: "/opt/edged",
        Path(sys.base_prefix): "/opt/edged/python",
        Path(sysconfig.get_path("purelib")): "/opt/edged/site",
        ROOT: "/opt/edged/src",
        UNITS / "edged.service": "/etc/systemd/system/edged.service",
        libraries: "/etc/systemd/system/edged.service.d/libraries.conf",
        UNITS / "edged.sysusers": "/etc/sysusers.d/edged.conf",
        UNITS / "edged.tmpfiles": "/etc/tmpfiles.d/edged.conf",
        hall: "/etc/edged/hall.toml",
    }
