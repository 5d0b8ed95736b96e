"""Boots a Debian of its own for a test: a root folder made by debootstrap, on an ext4 disk image, without a network.

Rules: the root is made once per test run. ``EDGED_DEBIAN_IMAGE`` names an image to use, or the file in which to keep
the new one; ``EDGED_DEBIAN_SUITE`` is the release. Every machine boots a copy of the image, so that a test's changes to
its disk do not reach other tests, and the disk may be copied as a power cut leaves it.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.support.containers import Container, machine_on
from tests.support.needs import lacking

SUITES = {"bookworm": "3.11", "trixie": "3.13"}  # Debian 12 and 13, and the Python of each
SUITE = os.environ.get("EDGED_DEBIAN_SUITE", "bookworm")
PYTHON = SUITES[SUITE]
PACKAGES = (
    *("systemd", "systemd-sysv", "dbus", "udev", "python3", "python3-venv", "openssl", "procps", "iproute2"),
    *("mosquitto", "mosquitto-clients", "sudo"),
)
IMAGE_MIB = 1800
SOURCES = (Path("/etc/apt/sources.list"), *Path("/etc/apt/sources.list.d").glob("*"))


def root_image(folder: Path) -> Path:
    """The disk image of a freshly installed Debian; made in ``folder`` (or at ``EDGED_DEBIAN_IMAGE``) if it does not
    exist.
    """
    tool = shutil.which("debootstrap") or shutil.which("debootstrap", path="/usr/sbin")
    image = Path(os.environ.get("EDGED_DEBIAN_IMAGE", folder / "debian.img"))
    if os.geteuid() != 0:
        lacking("making and booting a machine takes root")
    if image.exists():
        return image
    root = folder / "root"
    words = ("--variant=minbase", f"--include={','.join(PACKAGES)}", SUITE, str(root), _mirror())
    done = subprocess.run(
        [tool or lacking("debootstrap is not installed"), *words], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        lacking(f"debootstrap failed: {done.stdout[-500:]}{done.stderr[-500:]}")
    (root / "etc" / "machine-id").write_text("")
    (root / "etc" / "hosts").write_text("127.0.0.1 localhost\n")
    shutil.rmtree(root / "var" / "cache" / "apt", ignore_errors=True)
    shutil.rmtree(root / "var" / "lib" / "apt" / "lists", ignore_errors=True)
    (root / "etc" / "systemd" / "system" / "multi-user.target.wants" / "mosquitto.service").unlink(True)
    part = image.with_name(image.name + ".part")
    with part.open("wb") as file:
        file.truncate(IMAGE_MIB << 20)
    subprocess.run(["mkfs.ext4", "-q", "-F", "-d", str(root), str(part)], check=True)
    shutil.rmtree(root)
    os.replace(part, image)
    return image


def copy_disk(image: Path, copy: Path) -> Path:
    """Copy a disk image as it is at this moment; returns ``copy``."""
    subprocess.run(["cp", "--sparse=always", "--reflink=auto", str(image), str(copy)], check=True)
    return copy


@asynccontextmanager
async def debian_machine(directory: Path, disk: Path, binds: dict[Path, str]) -> AsyncIterator[Container]:
    """Boot a Debian from the image ``disk``, which it may change. ``binds``: files of this machine to show inside, each
    with its path there.
    """
    root = directory / "root"
    root.mkdir(parents=True, exist_ok=True)
    await asyncio.to_thread(subprocess.run, ["mount", "-o", "loop", str(disk), str(root)], check=True)
    try:
        async with machine_on(root, directory, binds) as container:
            container.root = root
            await container.call("ip", "link", "set", "lo", "up")
            yield container
    finally:
        await asyncio.to_thread(subprocess.run, ["umount", "--lazy", str(root)], check=False)


def power_off(container: Container) -> None:
    """Stop every process of the machine at once by SIGSTOP, as a power cut would: nothing more is written."""
    for pid in _processes(container.leader):
        os.kill(pid, signal.SIGSTOP)


def throw_away(container: Container) -> None:
    """Kill a machine stopped by ``power_off``, and wake the commands that wait for it here (nsenter stops with its
    child).
    """
    os.kill(container.leader, signal.SIGKILL)
    for child in Path(f"/proc/{os.getpid()}/task").glob("*/children"):
        for pid in child.read_text().split():
            if Path(f"/proc/{pid}/comm").read_text() == "nsenter\n":
                os.kill(int(pid), signal.SIGCONT)


def _processes(leader: int) -> list[int]:
    space = os.readlink(f"/proc/{leader}/ns/pid")
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                if os.readlink(entry / "ns" / "pid") == space:
                    found.append(int(entry.name))
            except OSError:
                continue
    return sorted(found, reverse=True)


def _mirror() -> str:
    """The URL from which this machine gets its own Debian packages; without one, Debian's main server."""
    for file in SOURCES:
        text = file.read_text(errors="replace") if file.is_file() else ""
        for url in re.findall(r"^(?:URIs:|deb)\s+(?:\[[^]]*\]\s+)?(https?://\S+/debian)/?\s", text, re.M):
            return str(url)
    return "http://deb.debian.org/debian"
